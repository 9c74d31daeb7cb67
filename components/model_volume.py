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
    protect: bool
    """Whether the engine refuses every plan that deletes or replaces the volume."""
    may_replace: str
    """Id of the volume, when a person says that its content may be lost."""
    existing_id: str
    """A volume to use instead of making one; empty means make one."""


class ModelVolume(Component):
    """A network volume, made or taken over."""

    volume_id: pulumi.Output[str]
    size_gb: pulumi.Output[float]
    """What is there and billed, in GB: a volume that should be smaller keeps the size it has."""

    def __init__(self, name: str, args: ModelVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, vars(args), opts)
        if args.existing_id:
            self.volume_id = pulumi.Output.from_input(args.existing_id)
            self.size_gb = pulumi.Output.from_input(float(args.size_gb))
        else:
            volume = self._make(args)
            self.volume_id, self.size_gb = volume.network_volume_id, volume.size.apply(float)
        self.register_outputs({"volumeId": self.volume_id})

    def _make(self, args: ModelVolumeArgs) -> runpod.NetworkVolume:
        # What is on it took hours and money to get there; the engine itself refuses to delete what is protected.
        guarded = pulumi.ResourceOptions(protect=args.protect)
        return runpod.NetworkVolume(
            self.child("volume"),
            name_=naming.physical(args.environment, "models"),
            size=args.size_gb,
            guard=args.guard,
            data_center_ids=args.data_centers or None,
            gpu_type_id_list=args.gpus,
            gpu_requirement=args.gpu_requirement or None,
            gpu_count=args.gpu_count,
            # Kept by the provider and not by retain_on_delete, so that the stack file counts as it is at the end.
            keep=args.keep,
            may_replace=args.may_replace or None,
            opts=self.under(guarded),
        )
