"""The services ComfyUI and gateway: configuration, start, health."""
