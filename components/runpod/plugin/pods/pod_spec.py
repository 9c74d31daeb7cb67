"""The specification of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.runpod.api.models import Pod
from components.runpod.marker import ENV_NAME, Marker
from components.runpod.placement import Candidate
from components.runpod.plugin.base.property_codec import Values
from components.runpod.plugin.base.validation import split_ports
from components.runpod.plugin.pods import pod_env

STOPPED = frozenset({"EXITED", "ERROR"})
"""Statuses that only a start or another pod can resolve."""


@dataclass(frozen=True)
class PodSpec:
    """Validated inputs of a pod."""

    name: str
    image: str
    compute: str
    """GPU or CPU."""
    gpus: tuple[str, ...]
    gpu_count: int
    cpus: tuple[str, ...]
    vcpu_count: int
    cloud: str
    data_centers: tuple[str, ...]
    volume_id: str
    mount_path: str
    disk: int
    ports: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    args: str
    allowed_cuda: tuple[str, ...]
    min_cuda: str
    registry: str
    guard: str
    ready_timeout: int
    deferred_env: frozenset[str] = frozenset()
    """Variables whose change alone does not reset the pod."""

    @classmethod
    def parse(cls, inputs: Values) -> PodSpec:
        """Parse validated inputs."""
        return cls(
            name=inputs["name"],
            image=inputs["imageName"],
            compute=inputs["computeType"],
            gpus=tuple(inputs["gpuTypeIdList"]),
            gpu_count=inputs["gpuCount"],
            cpus=tuple(inputs["cpuFlavorIdList"]),
            vcpu_count=inputs["vcpuCount"],
            cloud=inputs["cloudType"],
            data_centers=tuple(inputs["dataCenterIds"]),
            volume_id=inputs["networkVolumeId"],
            mount_path=inputs["volumeMountPath"],
            disk=inputs["containerDiskInGb"],
            ports=split_ports(inputs["ports"]),
            env=inputs["env"],
            args=inputs["dockerArgs"],
            allowed_cuda=tuple(inputs["allowedCudaVersions"]),
            min_cuda=inputs["minCudaVersion"],
            registry=inputs["containerRegistryAuthId"],
            guard=inputs["guard"],
            ready_timeout=inputs["readyTimeoutSeconds"],
            deferred_env=pod_env.deferred(inputs),
        )

    @property
    def computes(self) -> tuple[str, ...]:
        """Ranked GPU types, or CPU flavours for a CPU pod."""
        return self.cpus if self.compute == "CPU" else self.gpus

    @property
    def wants_ssh(self) -> bool:
        """Whether readiness includes a public port for 22."""
        return "22/tcp" in self.ports

    @property
    def http_ports(self) -> tuple[int, ...]:
        """Private numbers of the published HTTP ports."""
        return tuple(int(port.split("/")[0]) for port in self.ports if port.endswith("/http"))

    def body(self, marker: Marker, candidate: Candidate) -> dict[str, Any]:
        """Return the request that creates this pod for one candidate."""
        body: dict[str, Any] = {"name": marker.name(self.name), "cloud": self.cloud, **self._compute(candidate)}
        body |= {"image": self.image, "disk": self.disk, "ports": list(self.ports), "env": self.full_env(marker)}
        if self.args:
            body["args"] = self.args
        if self.registry:
            body["registry"] = self.registry
        if candidate.data_center:
            body["dataCenterIds"] = [candidate.data_center]
        if self.volume_id:
            body["mounts"] = self._mounts()
        return body

    def patch(self, live: Pod, marker: Marker) -> dict[str, Any]:
        """Return the members that differ from the running pod; empty when there is nothing to change in place."""
        wanted = {"name": marker.name(self.name), "image": self.image, "args": self.args, "disk": self.disk}
        body: dict[str, Any] = {name: value for name, value in wanted.items() if value != getattr(live, name)}
        if self.registry != (live.registry or ""):
            body["registry"] = self.registry or None
        if sorted(self.ports) != sorted(live.ports):
            body["ports"] = list(self.ports)
        if self.volume_id and any(mount.path != self.mount_path for mount in live.mounts.network):
            body["mounts"] = self._mounts()
        changed = pod_env.different(self.full_env(marker), pod_env.declared_env(live.env, self.env, keep_marker=True))
        restarts = bool(body.keys() - {"name"}) or live.status in STOPPED
        if changed - self.deferred_env or (changed and restarts):
            # The call replaces the whole environment, so it includes RunPod's own variables.
            body["env"] = {name: live.env[name] for name in pod_env.INJECTED & set(live.env)} | self.full_env(marker)
        return body

    def full_env(self, marker: Marker) -> dict[str, str]:
        """Return the environment with the marker."""
        return {**self.env, ENV_NAME: str(marker)}

    def accepts(self, live: Pod, marker: Marker) -> bool:
        """Return whether an existing pod matches the specification."""
        volumes = [mount.volume_id for mount in live.mounts.network]
        return (
            not self.patch(live, marker)
            and self._is_made_of(live)
            and live.cloud == self.cloud
            and (not self.data_centers or live.data_center_id in self.data_centers)
            and volumes == ([self.volume_id] if self.volume_id else [])
        )

    def _compute(self, candidate: Candidate) -> dict[str, Any]:
        if self.compute == "CPU":
            return {"cpu": {"id": candidate.compute, "vcpuCount": self.vcpu_count}}
        gpu: dict[str, Any] = {"id": candidate.compute, "count": self.gpu_count}
        if self.allowed_cuda:
            gpu["allowedCudaVersions"] = list(self.allowed_cuda)
        elif self.min_cuda:
            gpu["minCudaVersion"] = self.min_cuda
        return {"gpu": gpu}

    def _is_made_of(self, live: Pod) -> bool:
        if self.compute == "CPU":
            return live.cpu is not None and live.cpu.id in self.cpus and live.cpu.vcpu_count == self.vcpu_count
        return live.gpu is not None and live.gpu.id in self.gpus and live.gpu.count == self.gpu_count

    def _mounts(self) -> dict[str, Any]:
        return {"network": [{"volumeId": self.volume_id, "path": self.mount_path}]}
