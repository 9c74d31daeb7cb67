"""A network volume."""

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
    """Ranked GPU types of pods with this volume; used at creation only."""
    gpu_requirement: pulumi.Input[Mapping[str, Any]] | None
    """Required capabilities, if the market chooses the GPU types; see Pod. Used at creation only."""
    gpu_count: pulumi.Input[int] | None
    """GPUs per pod, 1 by default; used at creation only."""
    cloud_type: pulumi.Input[str] | None
    """Cloud whose stock is checked, SECURE by default; used at creation only."""
    is_next_gen_storage: pulumi.Input[bool] | None
    """Request the high-performance tier, which costs more; a change replaces the volume."""
    keep: pulumi.Input[bool] | None
    """Keep the volume at RunPod, where it is still billed, when the stack deletes it; false by default."""
    may_replace: pulumi.Input[str] | None
    """Id of this volume, to allow that it is replaced and its content lost."""


class NetworkVolume(Resource):
    """A network volume in a data centre that offers a requested GPU."""

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
        """The volume's data centre."""
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
