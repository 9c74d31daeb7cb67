"""A network volume: what survives the pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

import pulumi

from components.runpod.binding import Resource, declared


class VolumeInputs(TypedDict, total=False):
    """Inputs of a network volume."""

    name_: Required[pulumi.Input[str]]
    """Base of the physical name; the stack's marker is appended."""
    size: Required[pulumi.Input[int]]
    """GB, 10 to 4096; grows in place and never shrinks."""
    guard: Required[pulumi.Input[str]]
    """Instance id of the stack's guard; a change replaces the volume."""
    data_center_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked data centres; none means any that has the storage and the GPU."""
    gpu_type_id_list: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """Ranked GPU types that pods with this volume will ask for; used at creation alone."""
    gpu_requirement: pulumi.Input[Mapping[str, Any]] | None
    """What the GPU types follow from, where they are chosen by the market; see Pod. Used at creation alone."""
    gpu_count: pulumi.Input[int] | None
    """GPUs per pod, 1 unless said; used at creation alone."""
    cloud_type: pulumi.Input[str] | None
    """Cloud whose stock is looked at, SECURE unless said; used at creation alone."""
    is_next_gen_storage: pulumi.Input[bool] | None
    """Ask for the high-performance tier (dearer); a change replaces the volume."""
    keep: pulumi.Input[bool] | None
    """Leave the volume at RunPod, where it bills on, when the stack ends or drops it; false unless said."""
    may_replace: pulumi.Input[str] | None
    """Id of this very volume: the word of a person that it may be replaced and its content lost."""


class NetworkVolume(Resource):
    """A network volume, put where the wanted GPU can be had."""

    token = "runpod:index:NetworkVolume"  # noqa: S105 - a resource type
    outputs = ("networkVolumeId", "dataCenterId", "storageType", "physicalName")

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: Unpack[VolumeInputs]
    ) -> None:
        """Declare a volume; see VolumeInputs."""
        super().__init__(resource_name, declared(inputs, VolumeInputs), opts)
        self.acknowledge(self.network_volume_id)

    @property
    def network_volume_id(self) -> pulumi.Output[str]:
        """RunPod's id; unknown until created, unlike `id`."""
        return self.output("networkVolumeId")

    @property
    def data_center_id(self) -> pulumi.Output[str]:
        """The data centre that was chosen."""
        return self.output("dataCenterId")

    @property
    def size(self) -> pulumi.Output[int]:
        """Allocated GB."""
        return self.output("size")

    @property
    def storage_type(self) -> pulumi.Output[str]:
        """STANDARD or HIGH_PERFORMANCE."""
        return self.output("storageType")

    @property
    def physical_name(self) -> pulumi.Output[str]:
        """The name at RunPod, marker included."""
        return self.output("physicalName")
