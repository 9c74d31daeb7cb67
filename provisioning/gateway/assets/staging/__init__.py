"""Copies of stored files in ComfyUI's own folders."""
