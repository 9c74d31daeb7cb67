"""ComfyUI's own routes, answered for one caller."""
