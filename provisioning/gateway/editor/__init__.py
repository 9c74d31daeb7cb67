"""ComfyUI's web editor, for an admin's browser."""
