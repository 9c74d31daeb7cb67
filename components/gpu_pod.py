"""The GPU pod, which publishes only the gateway's port and SSH with a pinned host key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import naming, runpod
from components.component import Component
from provisioning import contract


@dataclass(frozen=True)
class GpuPodArgs:
    """Inputs of GpuPod."""

    environment: str
    guard: pulumi.Input[str]
    """Instance id of the stack's guard."""
    volume_id: pulumi.Input[str]
    image: str
    disk_gb: int
    """Container disk in GB, lost at every stop."""
    gpus: tuple[str, ...]
    """Ranked GPU ids; a new pod gets the first one in stock."""
    gpu_requirement: Mapping[str, Any]
    """Requirement that the GPU ids satisfy, in the provider's form; empty when the settings name GPU ids."""
    gpu_count: int
    data_centers: tuple[str, ...]
    """Ranked data centres; empty means the volume's."""
    replace: str
    """`before` or `after`: whether the old pod is deleted before or after the new one is created."""
    when_stopped: str
    """`start` or `replace`: what an update does with a stopped pod."""
    ready_timeout_seconds: int
    min_cuda_version: str
    """Oldest CUDA version of the host, such as 12.8; empty means any."""
    paused: bool = False
    """Whether there is no pod now; its keys are kept for the next one."""


class GpuPod(Component):
    """A pod that runs the boot script and accepts SSH with the stack's key."""

    def __init__(self, name: str, args: GpuPodArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, vars(args), opts)
        self.login_key = runpod.SshKeyPair(self.child("login-key"), comment=f"{name} login", opts=self.under())
        self.host_key = runpod.SshKeyPair(self.child("host-key"), comment=f"{name} host", opts=self.under())
        # The component owns the key, not the pod resource: a new pod reads what the previous pod wrote.
        self.volume_key = runpod.RandomSecret(self.child("volume-key"), length=64, opts=self.under()).value
        self.pod = None if args.paused else self._make(args)
        self.register_outputs(_outputs(self.pod))

    def _make(self, args: GpuPodArgs) -> runpod.Pod:
        # Two pods are billed twice, and a scarce GPU may not be available twice; the settings decide.
        order = pulumi.ResourceOptions(delete_before_replace=args.replace == "before")
        return runpod.Pod(
            self.child("pod"),
            name_=naming.physical(args.environment, "gpu"),
            image_name=args.image,
            gpu_type_id_list=args.gpus,
            gpu_requirement=args.gpu_requirement or None,
            gpu_count=args.gpu_count,
            data_center_ids=args.data_centers or None,
            network_volume_id=args.volume_id,
            volume_mount_path=contract.VOLUME_MOUNT,
            container_disk_in_gb=args.disk_gb,
            ports=",".join(contract.PUBLISHED_PORTS),
            env=self._env(),
            deferred_env=contract.DEFERRED_VARIABLES,
            docker_args=contract.START_COMMAND,
            min_cuda_version=args.min_cuda_version or None,
            ready_timeout_seconds=args.ready_timeout_seconds,
            when_stopped=args.when_stopped,
            guard=args.guard,
            opts=self.under(order),
        )

    def _env(self) -> pulumi.Output[Mapping[str, str]]:
        keys = pulumi.Output.all(
            host=self.host_key.private_key, login=self.login_key.public_key, volume=self.volume_key
        )
        return pulumi.Output.secret(keys.apply(lambda key: _pod_env(key["host"], key["login"], key["volume"])))


def _outputs(pod: runpod.Pod | None) -> dict[str, pulumi.Output[str]]:
    return {} if pod is None else {"podId": pod.pod_id, "gpu": pod.gpu, "dataCenter": pod.data_center}


def _pod_env(host_key: str, authorized_key: str, volume_key: str) -> Mapping[str, str]:
    return contract.PodEnv(contract.boot_script(), host_key, authorized_key, volume_key).to_env()
