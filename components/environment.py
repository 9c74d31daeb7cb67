"""One environment: guard, volume, pod, gateway and ComfyUI, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import runpod
from components.comfyui import ComfyUI, ComfyUIArgs, PodAccess
from components.component import Component
from components.gateway import Gateway, GatewayArgs
from components.gpu_pod import GpuPod, GpuPodArgs
from components.model_volume import ModelVolume, ModelVolumeArgs
from provisioning import contract


@dataclass(frozen=True)
class MachineSpec:
    """The rented machine and its location."""

    image: str
    disk_gb: int
    gpus: tuple[str, ...]
    """Ranked GPU ids: from the settings or, with required capabilities, by current price."""
    gpu_requirement: Mapping[str, Any]
    """Required capabilities in the provider's form; empty when the settings name GPU ids."""
    gpu_count: int
    data_centers: tuple[str, ...]
    replace: str
    """`before` or `after`."""
    when_stopped: str
    """`start` or `replace`."""
    ready_timeout_seconds: int
    install_timeout_seconds: int
    """Seconds an installation may make no progress."""
    min_cuda_version: str
    volume_gb: int
    keep_volume: bool
    protect_volume: bool
    """Whether the engine refuses every plan that deletes or replaces the volume."""
    replaceable_volume: str
    """Id of the volume, when the settings allow that its content is lost; otherwise empty."""
    existing_volume: str
    """Id of an existing volume to use; empty means create one."""
    paused: bool = False
    """Whether there is no pod now; volume and keys are kept for the next one."""


@dataclass(frozen=True)
class RuntimeSpec:
    """The software that runs on the pod."""

    plan: contract.ProvisionPlan
    torch: str
    """Version of PyTorch in the image."""
    unknown_hashes: str
    """`warn` or `refuse`."""
    bundle: str
    """Digest of the bundle that is uploaded to the pod."""
    download_tokens: Mapping[str, pulumi.Input[str]]
    """By field name of contract.Secrets."""


class Environment(Component):
    """Everything of one stack."""

    def __init__(
        self,
        name: str,
        *,
        machine: MachineSpec,
        software: RuntimeSpec,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, {"environment": name, "keep_volume": machine.keep_volume}, opts)
        # Created before everything that is billed and deleted after it: its deletion fails while anything is billed.
        self.guard = runpod.StackGuard(
            self.child("guard"), stack=name, keep_volumes=machine.keep_volume, opts=self.under()
        )
        self.volume = self._volume(name, machine)
        self.gpu_pod = self._gpu_pod(name, machine)
        self.pod = self.gpu_pod.pod
        self.gateway = self._gateway(software.plan.gateway)
        self.comfyui = None if self.pod is None else self._comfyui(software, machine, self.pod)
        pod_id = "" if self.pod is None else self.pod.pod_id
        self.register_outputs({"gatewayUrl": self.gateway.url, "podId": pod_id})

    def _volume(self, name: str, machine: MachineSpec) -> ModelVolume:
        args = ModelVolumeArgs(
            environment=name,
            guard=self.guard.instance_id,
            size_gb=machine.volume_gb,
            gpus=machine.gpus,
            gpu_requirement=machine.gpu_requirement,
            gpu_count=machine.gpu_count,
            data_centers=machine.data_centers,
            keep=machine.keep_volume,
            protect=machine.protect_volume,
            may_replace=machine.replaceable_volume,
            existing_id=machine.existing_volume,
        )
        return ModelVolume(self.child("models"), args, self.under())

    def _gpu_pod(self, name: str, machine: MachineSpec) -> GpuPod:
        args = GpuPodArgs(
            environment=name,
            guard=self.guard.instance_id,
            volume_id=self.volume.volume_id,
            image=machine.image,
            disk_gb=machine.disk_gb,
            gpus=machine.gpus,
            gpu_requirement=machine.gpu_requirement,
            gpu_count=machine.gpu_count,
            data_centers=machine.data_centers,
            replace=machine.replace,
            when_stopped=machine.when_stopped,
            ready_timeout_seconds=machine.ready_timeout_seconds,
            min_cuda_version=machine.min_cuda_version,
            paused=machine.paused,
        )
        return GpuPod(self.child("gpu"), args, self.under())

    def _gateway(self, plan: contract.GatewayPlan) -> Gateway:
        args = GatewayArgs(None if self.pod is None else self.pod.urls, plan.options)
        return Gateway(self.child("gateway"), args, self.under())

    def _comfyui(self, software: RuntimeSpec, machine: MachineSpec, pod: runpod.Pod) -> ComfyUI:
        args = ComfyUIArgs(
            plan=software.plan,
            torch=software.torch,
            unknown_hashes=software.unknown_hashes,
            bundle=software.bundle,
            access=self._access(pod),
            unreachable_seconds=machine.ready_timeout_seconds,
            stalled_seconds=machine.install_timeout_seconds,
            secrets=self._secrets(software.download_tokens),
        )
        return ComfyUI(self.child("comfyui"), args, self.under())

    def _access(self, pod: runpod.Pod) -> PodAccess:
        return PodAccess(
            pod_id=pod.pod_id,
            host=pod.ssh_host,
            port=pod.ssh_port,
            host_key=self.gpu_pod.host_key.public_key,
            private_key=self.gpu_pod.login_key.private_key,
            usd_per_hour=pod.cost_per_hr,
        )

    def _secrets(self, tokens: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
        gateway = self.gateway
        first = {"client_key": gateway.client_key, "admin_key": gateway.admin_key, "gateway_pepper": gateway.pepper}
        return {**tokens, **first}
