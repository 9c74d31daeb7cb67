"""Nodes that show something to the client and save nothing."""

from __future__ import annotations

import time
from typing import Any

from PIL import Image

from .node import Inputs, Node


class SaveImageWebsocket(Node):
    """Sends pictures over the client's socket, whole and as PNG, instead of writing them."""

    CATEGORY = "api/image"
    FUNCTION = "save_images"
    OUTPUT_NODE = True

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"images": ("IMAGE",)}}

    @classmethod
    def IS_CHANGED(cls, images: object) -> float:  # noqa: N802 - the name is ComfyUI's
        del images
        return time.time()

    def save_images(self, images: list[Image.Image]) -> dict[str, Any]:
        for number, image in enumerate(images):
            self.machine.show(number, len(images), image)
        return {}


class Preview3D(Node):
    """Shows a model file by its name; like ComfyUI's, it tells what it was given as if it had made it."""

    CATEGORY = "3d"
    FUNCTION = "process"
    OUTPUT_NODE = True

    @classmethod
    def inputs(cls) -> Inputs:
        optional = {"camera_info": ("LOAD3D_CAMERA",), "bg_image": ("IMAGE",)}
        return {"required": {"model_file": ("STRING", {"default": "", "multiline": False})}, "optional": optional}

    def process(self, model_file: str, camera_info: object = None, bg_image: object = None) -> dict[str, Any]:
        del bg_image
        return {"ui": {"result": [model_file, camera_info, None]}}


SHOWN = (SaveImageWebsocket, Preview3D)
