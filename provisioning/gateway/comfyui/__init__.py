"""The ComfyUI behind the gateway, and what it is told and asked."""
