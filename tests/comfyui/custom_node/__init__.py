"""A custom node that draws a border; its presence in /object_info shows that custom nodes were installed."""

from __future__ import annotations

from typing import Any, ClassVar

from PIL import Image, ImageOps


class StandInBorder:
    """Draws a frame of one colour round every image."""

    CATEGORY = "stand-in"
    DESCRIPTION = "Draws a frame round the image (made for the ComfyUI stand-in)."
    FUNCTION = "frame"
    RETURN_TYPES = ("IMAGE",)
    COLOURS: ClassVar[list[str]] = ["white", "black", "gold", "crimson"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the name is ComfyUI's
        """Return the inputs in ComfyUI's form."""
        width = {"default": 16, "min": 0, "max": 512, "step": 1}
        return {"required": {"image": ("IMAGE",), "width": ("INT", width), "colour": (cls.COLOURS,)}}

    def frame(self, image: list[Image.Image], width: int, colour: str) -> tuple[list[Image.Image]]:
        """Return the images, larger by `width` pixels (0 to 512) on every side."""
        return ([ImageOps.expand(one, border=width, fill=colour) for one in image],)


NODE_CLASS_MAPPINGS = {"StandInBorder": StandInBorder}
NODE_DISPLAY_NAME_MAPPINGS = {"StandInBorder": "Border (stand-in)"}
