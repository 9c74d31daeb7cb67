"""Nodes that encode, decode and make latents."""

from __future__ import annotations

from PIL import Image

from .node import Inputs, Node, integer
from .values import Latent, Vae


def _size(default: int, low: int, step: int) -> Inputs:
    side = integer(default, low, 16384, step)
    return {"required": {"width": side, "height": side, "batch_size": integer(1, 1, 4096)}}


class EmptyLatentImage(Node):
    """An empty canvas."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def inputs(cls) -> Inputs:
        return _size(512, 16, 8)

    def run(self, width: int, height: int, batch_size: int) -> tuple[Latent]:
        return (Latent(width, height, batch_size),)


class EmptySD3LatentImage(EmptyLatentImage):
    """An empty canvas with the channels of SD3 and FLUX."""

    CATEGORY = "latent/sd3"

    @classmethod
    def inputs(cls) -> Inputs:
        return _size(1024, 16, 16)


class VAEEncode(Node):
    """Makes pictures the starting point of a sampler."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"pixels": ("IMAGE",), "vae": ("VAE",)}}

    def run(self, pixels: list[Image.Image], vae: Vae) -> tuple[Latent]:
        del vae
        return (Latent(pixels[0].width, pixels[0].height, len(pixels), tuple(pixels)),)


class VAEDecode(Node):
    """Makes the sampler's result visible."""

    CATEGORY = "latent"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",)}}

    def run(self, samples: Latent, vae: Vae) -> tuple[list[Image.Image]]:
        del vae
        self.machine.touch_gpu(samples.pixels)
        blank = Image.new("RGB", (samples.width, samples.height), "grey")
        return (list(samples.pictures) or [blank] * samples.batch,)


LATENTS = (EmptyLatentImage, EmptySD3LatentImage, VAEEncode, VAEDecode)
