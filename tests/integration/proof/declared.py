"""What the model's stack declares, and how its state holds it."""

from __future__ import annotations

from dataclasses import dataclass

from components.runpod.plugin.base.property_codec import Values

KEY = "rpa_canary_model"
STACK, PROJECT = "local", "comfyui-runpod"
URN = f"urn:pulumi:{STACK}::{PROJECT}::runpod:index:"
GUARD, VOLUME, POD = f"{URN}StackGuard::guard", f"{URN}NetworkVolume::volume", f"{URN}Pod::pod"
LATE_EFFECT = 60.0


@dataclass
class Entry:
    """One resource in the state."""

    urn: str
    id: str
    inputs: Values
    outputs: Values
    doomed: bool = False
    """Replaced, and waiting for its deletion."""
    unfit: bool = False
    """Its creation or update failed after it existed."""


@dataclass(frozen=True)
class Program:
    """What is declared."""

    image: str = "image:1"
    gpus: tuple[str, ...] = ("NVIDIA RTX A5000", "NVIDIA GeForce RTX 4090")
    size: int = 20
    before: bool = True
    """Whether a pod to be replaced ends before the new one comes."""

    def inputs(self, urn: str, outputs: dict[str, Values]) -> Values:
        guard = outputs.get(GUARD, {}).get("instanceId", "")
        if urn == GUARD:
            return {"stack": STACK}
        if urn == VOLUME:
            return {"name": "models", "size": self.size, "guard": guard, "gpuTypeIdList": list(self.gpus)}
        volume = outputs[VOLUME]["networkVolumeId"]
        own: Values = {"name": "gpu", "imageName": self.image, "gpuTypeIdList": list(self.gpus), "guard": guard}
        return own | {"networkVolumeId": volume, "ports": "8189/http", "env": {"X": "1"}, "readyTimeoutSeconds": 120}
