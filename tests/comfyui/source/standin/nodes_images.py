"""Nodes that read, change and write pictures."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any, ClassVar

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from .node import Inputs, Node, integer


class SaveImage(Node):
    """Writes pictures into the output folder."""

    CATEGORY = "image"
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    KIND: ClassVar[str] = "output"
    COMPRESSION: ClassVar[int] = 4

    @classmethod
    def inputs(cls) -> Inputs:
        required = {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})}
        return {"required": required, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    def save_images(
        self,
        images: list[Image.Image],
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: dict[str, object] | None = None,
    ) -> dict[str, Any]:
        folder, name, subfolder, counter = self.machine.folders.next_output(self.KIND, filename_prefix)
        metadata = _metadata(prompt, extra_pnginfo or {}) if self.machine.options.metadata else None
        results = []
        for batch_number, image in enumerate(images):
            file = f"{name.replace('%batch_num%', str(batch_number))}_{counter + batch_number:05}_.png"
            image.save(folder / file, pnginfo=metadata, compress_level=self.COMPRESSION)
            results.append({"filename": file, "subfolder": subfolder, "type": self.KIND})
        return {"ui": {"images": results}}


class PreviewImage(SaveImage):
    """Writes pictures into the temporary folder."""

    KIND = "temp"
    COMPRESSION = 1

    @classmethod
    def inputs(cls) -> Inputs:
        return super().inputs() | {"required": {"images": ("IMAGE",)}}

    def save_images(
        self,
        images: list[Image.Image],
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: dict[str, object] | None = None,
    ) -> dict[str, Any]:
        return super().save_images(images, f"{filename_prefix}_temp_{secrets.token_hex(3)}", prompt, extra_pnginfo)


class _Reader(Node):
    FUNCTION = "load_image"

    @classmethod
    def offered(cls) -> tuple[list[str], dict[str, bool]]:
        """Return the input that offers every uploaded picture."""
        return cls.machine.folders.input_names(), {"image_upload": True}

    @classmethod
    def is_there(cls, image: str) -> bool | str:
        """Return True, or what is wrong with the name."""
        return cls.machine.folders.annotated(image) is not None or f"Invalid image file: {image}"

    @classmethod
    def digest(cls, image: str) -> str:
        """Return the hash of the file's content: a file that changed is read again."""
        path = cls.machine.folders.annotated(image)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""

    def open(self, image: str) -> Image.Image:
        """Return the picture, upright; raises FileNotFoundError or what Pillow raises on a damaged file."""
        path = self.machine.folders.annotated(image)
        if path is None:
            raise FileNotFoundError(f"Invalid image file: {image}")
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)


class LoadImage(_Reader):
    """Reads an uploaded picture."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE", "MASK")

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"image": cls.offered()}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:  # noqa: N802 - the name is ComfyUI's
        return cls.is_there(image)

    @classmethod
    def IS_CHANGED(cls, image: str) -> str:  # noqa: N802 - the name is ComfyUI's
        return cls.digest(image)

    def load_image(self, image: str) -> tuple[list[Image.Image], Image.Image]:
        picture = self.open(image)
        mask = ImageOps.invert(picture.convert("RGBA").getchannel("A"))
        return [picture.convert("RGB")], mask


class LoadImageMask(_Reader):
    """Reads one channel of an uploaded picture."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    CHANNELS: ClassVar[list[str]] = ["alpha", "red", "green", "blue"]

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"image": cls.offered(), "channel": (cls.CHANNELS,)}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:  # noqa: N802 - the name is ComfyUI's
        return cls.is_there(image)

    @classmethod
    def IS_CHANGED(cls, image: str, channel: str) -> str:  # noqa: N802 - the name is ComfyUI's
        return cls.digest(image) + channel

    def load_image(self, image: str, channel: str) -> tuple[Image.Image]:
        band = self.open(image).convert("RGBA").getchannel(channel[0].upper())
        return (ImageOps.invert(band) if channel == "alpha" else band,)


class EmptyImage(Node):
    """Pictures of one colour."""

    CATEGORY = "image"
    FUNCTION = "generate"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def inputs(cls) -> Inputs:
        side, colour = integer(512, 1, 16384), ("INT", integer(0, 0, 0xFFFFFF)[1] | {"display": "color"})
        return {"required": {"width": side, "height": side, "batch_size": integer(1, 1, 4096), "color": colour}}

    def generate(self, width: int, height: int, batch_size: int, color: int) -> tuple[list[Image.Image]]:
        picture = Image.new("RGB", (width, height), f"#{color:06x}")
        return ([picture] * batch_size,)


class ImageScale(Node):
    """Brings pictures to another size."""

    CATEGORY = "image/upscaling"
    FUNCTION = "upscale"
    RETURN_TYPES = ("IMAGE",)
    METHODS: ClassVar[dict[str, Image.Resampling]] = {
        "nearest-exact": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "area": Image.Resampling.BOX,
        "bicubic": Image.Resampling.BICUBIC,
        "lanczos": Image.Resampling.LANCZOS,
    }

    @classmethod
    def inputs(cls) -> Inputs:
        side = integer(512, 0, 16384)
        size = {"width": side, "height": side, "crop": (["disabled", "center"],)}
        return {"required": {"image": ("IMAGE",), "upscale_method": (list(cls.METHODS),)} | size}

    def upscale(
        self, image: list[Image.Image], upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[list[Image.Image]]:
        first = image[0]
        # Zero means: whatever keeps the proportions; both zero means: as it is.
        wide = width or round(first.width * height / first.height) or first.width
        high = height or round(first.height * width / first.width) or first.height
        self.machine.touch_gpu(wide * high * len(image))
        method = self.METHODS[upscale_method]
        change = ImageOps.fit if crop == "center" else Image.Image.resize
        return ([change(one, (wide, high), method) for one in image],)


def _metadata(prompt: object, extra: dict[str, object]) -> PngInfo:
    info = PngInfo()
    if prompt is not None:
        info.add_text("prompt", json.dumps(prompt))
    for name, value in extra.items():
        info.add_text(name, json.dumps(value))
    return info


IMAGES = (SaveImage, PreviewImage, LoadImage, LoadImageMask, EmptyImage, ImageScale)
