"""Tests of the repository: its documents, words, workflows and make targets."""
