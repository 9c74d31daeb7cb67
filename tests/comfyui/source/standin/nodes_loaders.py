"""Nodes that load models: they read the file's header, so a damaged file fails as it does in ComfyUI."""

from __future__ import annotations

from typing import Any, ClassVar

from .model_files import read_header
from .node import Inputs, Node, number
from .values import Clip, Model, Vae

_DEVICES = (["default", "cpu"], {"advanced": True})


class _Loader(Node):
    CATEGORY: ClassVar[str] = "loaders"

    @classmethod
    def names(cls, kind: str) -> tuple[Any, ...]:
        """Return the input that offers every model of a kind."""
        return (cls.machine.folders.model_names(kind),)

    def load(self, kind: str, name: str) -> str:
        """Check that a model can be read and return its name; raises what ComfyUI would where it cannot."""
        path = self.machine.folders.model_path(kind, name)
        if path is None:
            raise FileNotFoundError(f"Model in folder '{kind}' with filename '{name}' not found.")
        read_header(path)
        return name


class CheckpointLoaderSimple(_Loader):
    """Loads model, text encoder and decoder from one file."""

    RETURN_TYPES = ("MODEL", "CLIP", "VAE")

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"ckpt_name": cls.names("checkpoints")}}

    def run(self, ckpt_name: str) -> tuple[Model, Clip, Vae]:
        name = self.load("checkpoints", ckpt_name)
        return Model(name), Clip((name,)), Vae(name)


class UNETLoader(_Loader):
    """Loads a diffusion model."""

    CATEGORY = "advanced/loaders"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def inputs(cls) -> Inputs:
        types = ["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]
        return {"required": {"unet_name": cls.names("diffusion_models"), "weight_dtype": (types, {"advanced": True})}}

    def run(self, unet_name: str, weight_dtype: str) -> tuple[Model]:
        del weight_dtype
        return (Model(self.load("diffusion_models", unet_name)),)


class CLIPLoader(_Loader):
    """Loads one text encoder."""

    CATEGORY = "advanced/loaders"
    RETURN_TYPES = ("CLIP",)
    TYPES: ClassVar[list[str]] = [
        "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2",
        "wan", "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image",
    ]  # fmt: skip

    @classmethod
    def inputs(cls) -> Inputs:
        required = {"clip_name": cls.names("text_encoders"), "type": (cls.TYPES,)}
        return {"required": required, "optional": {"device": _DEVICES}}

    def run(self, clip_name: str, type: str, device: str = "default") -> tuple[Clip]:  # noqa: A002 - ComfyUI's name
        del type, device
        return (Clip((self.load("text_encoders", clip_name),)),)


class DualCLIPLoader(_Loader):
    """Loads the two text encoders that FLUX and SDXL need."""

    CATEGORY = "advanced/loaders"
    RETURN_TYPES = ("CLIP",)
    TYPES: ClassVar[list[str]] = ["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"]

    @classmethod
    def inputs(cls) -> Inputs:
        names = cls.names("text_encoders")
        required = {"clip_name1": names, "clip_name2": names, "type": (cls.TYPES,)}
        return {"required": required, "optional": {"device": _DEVICES}}

    def run(self, clip_name1: str, clip_name2: str, type: str, device: str = "default") -> tuple[Clip]:  # noqa: A002
        del type, device
        return (Clip((self.load("text_encoders", clip_name1), self.load("text_encoders", clip_name2))),)


class VAELoader(_Loader):
    """Loads an image decoder."""

    RETURN_TYPES = ("VAE",)

    @classmethod
    def inputs(cls) -> Inputs:
        return {"required": {"vae_name": cls.names("vae")}}

    def run(self, vae_name: str) -> tuple[Vae]:
        return (Vae(self.load("vae", vae_name)),)


class LoraLoader(_Loader):
    """Lays a LoRA over model and text encoder."""

    RETURN_TYPES = ("MODEL", "CLIP")

    @classmethod
    def inputs(cls) -> Inputs:
        strength = number(1.0, -100.0, 100.0)
        linked = {"model": ("MODEL",), "clip": ("CLIP",)}
        chosen = {"lora_name": cls.names("loras"), "strength_model": strength, "strength_clip": strength}
        return {"required": linked | chosen}

    def run(
        self, model: Model, clip: Clip, lora_name: str, strength_model: float, strength_clip: float
    ) -> tuple[Model, Clip]:
        del strength_clip
        return model.with_lora(self.load("loras", lora_name), strength_model), clip


class LoraLoaderModelOnly(_Loader):
    """Lays a LoRA over the model alone."""

    RETURN_TYPES = ("MODEL",)

    @classmethod
    def inputs(cls) -> Inputs:
        chosen = {"lora_name": cls.names("loras"), "strength_model": number(1.0, -100.0, 100.0)}
        return {"required": {"model": ("MODEL",)} | chosen}

    def run(self, model: Model, lora_name: str, strength_model: float) -> tuple[Model]:
        return (model.with_lora(self.load("loras", lora_name), strength_model),)


LOADERS = (CheckpointLoaderSimple, UNETLoader, CLIPLoader, DualCLIPLoader, VAELoader, LoraLoader, LoraLoaderModelOnly)
