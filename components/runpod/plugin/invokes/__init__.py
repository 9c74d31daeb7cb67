"""The functions that a program can invoke."""
