"""The network volume: models and installed software, which survive stops and replacements of the pod."""

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
    """Ranked GPU ids; the volume is created in a data centre that offers one of them."""
    gpu_requirement: Mapping[str, Any]
    """Requirement that the GPU ids satisfy, in the provider's form; empty when the settings name GPU ids."""
    gpu_count: int
    data_centers: tuple[str, ...]
    """Ranked data centres; empty means any."""
    keep: bool
    """Whether destroy keeps the volume, which is then still billed."""
    protect: bool
    """Whether the engine refuses every plan that deletes or replaces the volume."""
    may_replace: str
    """Id of the volume, when the settings allow that its content is lost."""
    existing_id: str
    """Id of an existing volume to use; empty means create one."""


class ModelVolume(Component):
    """A network volume, created or existing."""

    volume_id: pulumi.Output[str]
    size_gb: pulumi.Output[float]
    """Allocated and billed size in GB: a volume never shrinks."""

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
        # Its content is expensive to download again; the engine refuses to delete a protected resource.
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
            # The provider keeps it, not retain_on_delete, so that the stack file at the time of deletion decides.
            keep=args.keep,
            may_replace=args.may_replace or None,
            opts=self.under(guarded),
        )
