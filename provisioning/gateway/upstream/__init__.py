"""The client of the one ComfyUI behind the gateway."""
