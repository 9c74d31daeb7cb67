"""Nodes that turn text into conditioning."""

from __future__ import annotations

from dataclasses import replace

from .node import Inputs, Node, number, text
from .values import Clip, Conditioning


class CLIPTextEncode(Node):
    """Encodes a prompt."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"text": text(), "clip": ("CLIP",)}}

    def run(self, text: str, clip: Clip) -> tuple[Conditioning]:
        del clip
        return (Conditioning(text),)


class CLIPTextEncodeFlux(Node):
    """Encodes FLUX's two prompts, of which the second is what people read."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def inputs(cls) -> Inputs:
        words = {"clip": ("CLIP",), "clip_l": text(), "t5xxl": text()}
        return {"required": words | {"guidance": number(3.5, 0.0, 100.0, 0.1)}}

    def run(self, clip: Clip, clip_l: str, t5xxl: str, guidance: float) -> tuple[Conditioning]:
        del clip
        return (Conditioning(t5xxl or clip_l, guidance),)


class FluxGuidance(Node):
    """Sets how closely FLUX follows the prompt."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"conditioning": ("CONDITIONING",), "guidance": number(3.5, 0.0, 100.0, 0.1)}}

    def run(self, conditioning: Conditioning, guidance: float) -> tuple[Conditioning]:
        return (replace(conditioning, guidance=guidance),)


class ConditioningZeroOut(Node):
    """Makes a prompt say nothing; FLUX workflows feed it to the sampler's negative input."""

    CATEGORY = "advanced/conditioning"
    RETURN_TYPES = ("CONDITIONING",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"conditioning": ("CONDITIONING",)}}

    def run(self, conditioning: Conditioning) -> tuple[Conditioning]:
        return (replace(conditioning, text=""),)


CONDITIONING = (CLIPTextEncode, CLIPTextEncodeFlux, FluxGuidance, ConditioningZeroOut)
