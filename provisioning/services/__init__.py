"""ComfyUI and the gateway as running services: configuration, start, health."""
