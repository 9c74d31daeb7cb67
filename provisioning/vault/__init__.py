"""Signed and encrypted files on the network volume: software archives with a keyed hash, and sealed secrets."""
