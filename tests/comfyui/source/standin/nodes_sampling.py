"""The sampler: takes time at each step, sends previews, and raises the faults that the prompt asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from PIL import Image

from .drawing import draw, preview
from .machine import Machine, fault_in
from .node import Inputs, Node, integer, number
from .values import Conditioning, Latent, Model

SAMPLERS = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral",
    "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde",
    "ddpm", "lcm", "ipndm", "deis", "res_multistep", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip

SCHEDULERS = ["simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic"]


class KSampler(Node):
    """Draws the pictures."""

    CATEGORY = "sampling"
    DESCRIPTION: ClassVar[str] = "Draws a pattern for the prompt (ComfyUI stand-in)."
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def inputs(cls) -> Inputs:
        required = {
            "model": ("MODEL",),
            "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}),
            "steps": integer(20, 1, 10000),
            "cfg": number(8.0, 0.0, 100.0, 0.1),
            "sampler_name": (SAMPLERS,),
            "scheduler": (SCHEDULERS,),
            "positive": ("CONDITIONING",),
            "negative": ("CONDITIONING",),
            "latent_image": ("LATENT",),
            "denoise": number(1.0, 0.0, 1.0),
        }
        return {"required": required}

    def sample(
        self,
        *,
        model: Model,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        denoise: float = 1.0,
    ) -> tuple[Latent]:
        style = f"{model}{steps}{cfg}{sampler_name}{scheduler}{negative.text}{positive.guidance}"
        work = Sampling(positive.text, seed, steps, style, denoise)
        return (work.run(self.machine, latent_image),)


@dataclass(frozen=True)
class Sampling:
    """What a sampler is to do, however it was put together."""

    text: str
    seed: int
    steps: int
    style: str
    denoise: float = 1.0
    """How much of the picture is new: 1.0 leaves nothing of what was there."""

    def run(self, machine: Machine, latent: Latent) -> Latent:
        """Draw the batch, step by step; raises what the prompt asks for."""
        machine.touch_gpu(latent.pixels)
        drawn = [self._draw(latent, number) for number in range(latent.batch)]
        fault = fault_in(self.text)
        for step in range(1, self.steps + 1):
            # At the second step, so that a client has seen the job begin before it goes wrong.
            if fault and step == min(2, self.steps):
                machine.suffer(fault)
            options = machine.options
            shown = preview(drawn[0], step / self.steps, options.preview_size) if options.previews else None
            machine.step(step, self.steps, shown)
        return replace(latent, pictures=tuple(drawn))

    def _draw(self, latent: Latent, number: int) -> Image.Image:
        drawn = draw(self.text, self.seed + number, latent.width, latent.height, self.style)
        if not latent.pictures:
            return drawn
        return Image.blend(latent.pictures[number].convert("RGB"), drawn, self.denoise)


SAMPLING = (KSampler,)
