"""Convert settings to the rented machine and the installation plan: pure functions, tested without an engine."""

from __future__ import annotations

import math
from pathlib import Path

from components import cost
from components.environment import MachineSpec
from components.errors import StackSettingsError
from components.placement import PlacementRequest, Requirement, requirement_property
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, SourcePin
from stacks.lockfile import Lock
from stacks.sections import ModelSection, NodeSection, Requires
from stacks.settings import ROOT, Settings

STAGING_ROOM = 1.1
"""Factor for the space of a staged download beside the file it replaces, and for the file system."""

BYTES_PER_GB = 1_000_000_000
SMALLEST_VOLUME_GB = 10


def placement_request(settings: Settings) -> PlacementRequest:
    """Return the placement request in the settings."""
    gpu = settings.gpu
    requirement = None if gpu.require is None else _requirement(gpu.require)
    return PlacementRequest(gpu.candidates, requirement, gpu.count, settings.data_centers)


def machine_spec(settings: Settings, gpus: tuple[str, ...], *, paused: bool = False) -> MachineSpec:
    """Return the machine to rent; raises StackSettingsError when the volume is smaller than the models.

    Args:
        settings: The stack file. GPU names are passed on as they are written: stock decides which of them a new pod
            gets, and never replaces a running pod.
        paused: Whether the environment is to have no pod.
        gpus: Ranked GPUs with the capabilities that the stack file requires.
    """
    require = settings.gpu.require
    return MachineSpec(
        image=settings.pod.image,
        disk_gb=settings.pod.disk_gb,
        gpus=settings.gpu.candidates or gpus,
        gpu_requirement={} if require is None else requirement_property(_requirement(require)),
        gpu_count=settings.gpu.count,
        data_centers=settings.data_centers,
        replace=settings.pod.replace.value,
        when_stopped=settings.pod.when_stopped.value,
        ready_timeout_seconds=settings.pod.ready_timeout_seconds,
        install_timeout_seconds=settings.pod.install_timeout_seconds,
        min_cuda_version=settings.pod.min_cuda_version,
        volume_gb=volume_gb(settings),
        keep_volume=settings.volume.keep,
        protect_volume=settings.volume.protect,
        replaceable_volume=settings.volume.replace,
        existing_volume=settings.volume.id,
        paused=paused,
    )


def volume_gb(settings: Settings) -> int:
    """Return the volume's size in GB: as set, or what the models need plus the reserve, in steps of 5 GB."""
    models = models_gb(settings.models)
    if settings.volume.size_gb is None:
        need = models * STAGING_ROOM + settings.volume.reserve_gb
        return max(SMALLEST_VOLUME_GB, math.ceil(need / 5) * 5)
    if settings.volume.size_gb < models:
        raise StackSettingsError(
            [
                f"{settings.file}: volume.sizeGb: {settings.volume.size_gb} GB "
                f"are less than the models' {models:.1f} GB; raise it, or remove it to have it computed"
            ]
        )
    return settings.volume.size_gb


def models_gb(models: tuple[ModelSection, ...]) -> float:
    """Return the total size of the models in GB."""
    return sum(model.size_bytes / BYTES_PER_GB or model.approx_gb for model in models)


def price(settings: Settings, pod_usd_per_hour: float | None, size_gb: float | None = None) -> cost.Cost:
    """Return the cost of this environment with a pod of that price and a volume of `size_gb`, by default as set.

    Without a price, the environment is paused and has no pod.
    """
    size = volume_gb(settings) if size_gb is None else int(size_gb)
    disk_gb = 0 if pod_usd_per_hour is None else settings.pod.disk_gb
    return cost.price(cost.Plan(pod_usd_per_hour or 0.0, disk_gb, size))


def provision(settings: Settings, lock: Lock, root: Path = ROOT) -> ProvisionPlan:
    """Return the installation plan; raises LockError when settings and lock file contradict each other."""
    comfyui = SourcePin(
        "ComfyUI",
        settings.comfyui.repository,
        settings.comfyui.ref,
        settings.comfyui.commit,
        _text(root, settings.comfyui.requirements),
    )
    nodes = tuple(_node(node, root) for node in settings.nodes if node.repository)
    for source in (comfyui, *nodes):
        lock.check_source(source)
    return ProvisionPlan(
        comfyui=comfyui,
        nodes=nodes,
        models=tuple(lock.pin_model(_model(model)) for model in settings.models),
        gateway=GatewayPlan(settings.gateway.model_dump(mode="json", exclude_unset=True), 0.0),
        comfyui_args=settings.comfyui.args,
        isolation=settings.pod.isolation.value,
        volume_gb=volume_gb(settings),
    )


def _requirement(need: Requires) -> Requirement:
    tiers, exclude = frozenset(need.tiers), frozenset(need.exclude)
    return Requirement(need.min_vram_gb, need.max_price_per_hour, tiers, exclude)


def _node(node: NodeSection, root: Path) -> SourcePin:
    return SourcePin(node.name, node.repository, node.ref, node.commit, _text(root, node.requirements))


def _model(model: ModelSection) -> ModelPin:
    return ModelPin(
        model.name, model.folder, model.url, model.sha256, model.size_bytes, model.license, model.optional,
        approx_bytes=round(model.approx_gb * BYTES_PER_GB),
    )  # fmt: skip


def _text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8") if name else ""
