"""The only way in: an authenticating gateway in front of one ComfyUI that listens on loopback."""
