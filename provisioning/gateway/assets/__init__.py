"""Uploads and outputs: their rows, their files, their expiry."""
