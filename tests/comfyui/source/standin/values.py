"""The values that nodes exchange; pictures stand for tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image


@dataclass(frozen=True)
class Model:
    """A diffusion model, with the LoRAs laid over it."""

    name: str
    loras: tuple[str, ...] = ()

    def with_lora(self, name: str, strength: float) -> Model:
        """Return the model with one more LoRA."""
        return replace(self, loras=(*self.loras, f"{name}@{strength:g}"))


@dataclass(frozen=True)
class Clip:
    """Text encoders."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Vae:
    """An image decoder."""

    name: str


@dataclass(frozen=True)
class Conditioning:
    """A prompt as the sampler sees it."""

    text: str
    guidance: float = 0.0


@dataclass(frozen=True)
class Latent:
    """A batch of pictures to be; `pictures` is empty before anything was encoded or sampled."""

    width: int
    height: int
    batch: int
    pictures: tuple[Image.Image, ...] = ()

    @property
    def pixels(self) -> int:
        """How many pixels the whole batch has."""
        return self.width * self.height * self.batch
