"""A stand-in for ComfyUI: its interface and manners, without models and without a GPU."""
