"""The network volume: models and everything installed, kept over stops and replacements of the pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import naming, runpod
from components.component import Component


@dataclass(frozen=True)
class ModelVolumeArgs:
    """Inputs of ModelVolume."""

    environment: str
    guard: pulumi.Input[str]
    """Instance id of the stack's guard."""
    size_gb: int
    gpus: tuple[str, ...]
    """Ranked GPU ids: the volume is put where one of them can be had."""
    gpu_requirement: Mapping[str, Any]
    """What the GPU ids follow from, as the provider takes it; empty when they are what a person wrote."""
    gpu_count: int
    data_centers: tuple[str, ...]
    """Ranked; empty means any."""
    keep: bool
    """Whether destroy leaves the volume, which then bills on."""
    existing_id: str
    """A volume to use instead of making one; empty means make one."""


class ModelVolume(Component):
    """A network volume, made or taken over."""

    volume_id: pulumi.Output[str]

    def __init__(self, name: str, args: ModelVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, vars(args), opts)
        self.volume_id = pulumi.Output.from_input(args.existing_id) if args.existing_id else self._make(args)
        self.register_outputs({"volumeId": self.volume_id})

    def _make(self, args: ModelVolumeArgs) -> pulumi.Output[str]:
        # A kept volume leaves the state with the stack and stays at RunPod; `volume.id` takes it up again.
        kept = pulumi.ResourceOptions(retain_on_delete=args.keep)
        volume = runpod.NetworkVolume(
            self.child("volume"),
            name_=naming.physical(args.environment, "models"),
            size=args.size_gb,
            guard=args.guard,
            data_center_ids=args.data_centers or None,
            gpu_type_id_list=args.gpus,
            gpu_requirement=args.gpu_requirement or None,
            gpu_count=args.gpu_count,
            opts=self.under(kept),
        )
        return volume.network_volume_id
