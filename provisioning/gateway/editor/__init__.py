"""ComfyUI's web editor, for admins."""
