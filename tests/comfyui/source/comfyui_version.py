"""The version of ComfyUI whose interface the stand-in has."""

__version__ = "0.38.1"
