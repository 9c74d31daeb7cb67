"""The sampler's parts, as FLUX workflows connect them: noise, guider, sampler and steps."""

from __future__ import annotations

from dataclasses import dataclass

from .node import Inputs, Node, integer, number
from .nodes_sampling import SAMPLERS, SCHEDULERS, Sampling
from .values import Conditioning, Latent, Model


@dataclass(frozen=True)
class Guider:
    """A model that follows one prompt."""

    model: Model
    conditioning: Conditioning


@dataclass(frozen=True)
class Sigmas:
    """A schedule; only how many steps it has, and how much they change, matters here."""

    scheduler: str
    steps: int
    denoise: float


class RandomNoise(Node):
    """Holds the seed."""

    CATEGORY = "sampling/custom_sampling/noise"
    RETURN_TYPES = ("NOISE",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"noise_seed": integer(0, 0, 0xFFFFFFFFFFFFFFFF)}}

    def run(self, noise_seed: int) -> tuple[int]:
        return (noise_seed,)


class BasicGuider(Node):
    """Joins model and prompt."""

    CATEGORY = "sampling/custom_sampling/guiders"
    RETURN_TYPES = ("GUIDER",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"model": ("MODEL",), "conditioning": ("CONDITIONING",)}}

    def run(self, model: Model, conditioning: Conditioning) -> tuple[Guider]:
        return (Guider(model, conditioning),)


class KSamplerSelect(Node):
    """Chooses the algorithm."""

    CATEGORY = "sampling/custom_sampling/samplers"
    RETURN_TYPES = ("SAMPLER",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"sampler_name": (SAMPLERS,)}}

    def run(self, sampler_name: str) -> tuple[str]:
        return (sampler_name,)


class BasicScheduler(Node):
    """Makes the schedule."""

    CATEGORY = "sampling/custom_sampling/schedulers"
    RETURN_TYPES = ("SIGMAS",)

    @classmethod
    def inputs(cls) -> Inputs:
        amounts = {"steps": integer(20, 1, 10000), "denoise": number(1.0, 0.0, 1.0)}
        return {"required": {"model": ("MODEL",), "scheduler": (SCHEDULERS,)} | amounts}

    def run(self, model: Model, scheduler: str, steps: int, denoise: float) -> tuple[Sigmas]:
        del model
        return (Sigmas(scheduler, steps, denoise),)


class ModelSamplingFlux(Node):
    """Adapts FLUX's schedule to the size of the picture."""

    CATEGORY = "advanced/model"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def inputs(cls) -> Inputs:
        shift, side = number(1.15, 0.0, 100.0), integer(1024, 16, 16384, 8)
        amounts = {"max_shift": shift, "base_shift": number(0.5, 0.0, 100.0), "width": side, "height": side}
        return {"required": {"model": ("MODEL",)} | amounts}

    def run(self, model: Model, max_shift: float, base_shift: float, width: int, height: int) -> tuple[Model]:
        del max_shift, base_shift, width, height
        return (model,)


class SamplerCustomAdvanced(Node):
    """Draws the pictures."""

    CATEGORY = "sampling/custom_sampling"
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")

    @classmethod
    def inputs(cls) -> Inputs:
        parts = {
            "noise": "NOISE",
            "guider": "GUIDER",
            "sampler": "SAMPLER",
            "sigmas": "SIGMAS",
            "latent_image": "LATENT",
        }
        return {"required": {name: (kind,) for name, kind in parts.items()}}

    def sample(
        self, noise: int, guider: Guider, sampler: str, sigmas: Sigmas, latent_image: Latent
    ) -> tuple[Latent, Latent]:
        style = f"{guider.model}{sigmas}{sampler}{guider.conditioning.guidance}"
        work = Sampling(guider.conditioning.text, noise, sigmas.steps, style, sigmas.denoise)
        drawn = work.run(self.machine, latent_image)
        return drawn, drawn


CUSTOM_SAMPLING = (RandomNoise, BasicGuider, KSamplerSelect, BasicScheduler, ModelSamplingFlux, SamplerCustomAdvanced)
