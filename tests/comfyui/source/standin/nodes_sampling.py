"""The sampler: it takes its time step by step, shows previews, and suffers the faults asked for in the prompt."""

from __future__ import annotations

from typing import ClassVar

from PIL import Image

from .drawing import draw, preview
from .machine import fault_in
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
        self.machine.touch_gpu(latent_image.pixels)
        style = f"{model}{steps}{cfg}{sampler_name}{scheduler}{negative.text}{positive.guidance}"
        drawn = [
            draw(positive.text, seed + number, latent_image.width, latent_image.height, style)
            for number in range(latent_image.batch)
        ]
        if latent_image.pictures:
            drawn = [
                Image.blend(old.convert("RGB"), new, denoise)
                for old, new in zip(latent_image.pictures, drawn, strict=True)
            ]
        self._take_steps(steps, positive.text, drawn[0])
        return (Latent(latent_image.width, latent_image.height, latent_image.batch, tuple(drawn)),)

    def _take_steps(self, steps: int, text: str, picture: Image.Image) -> None:
        fault = fault_in(text)
        options = self.machine.options
        for step in range(1, steps + 1):
            # At the second step, so that a client has seen the job begin before it goes wrong.
            if fault and step == min(2, steps):
                self.machine.suffer(fault)
            shown = preview(picture, step / steps, options.preview_size) if options.previews else None
            self.machine.step(step, steps, shown)


SAMPLING = (KSampler,)
