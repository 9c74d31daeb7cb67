"""A pod's container as RunPod would run it: its variables and its start command."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from tests.emulator.faults import Conditions
from tests.emulator.runtimes import ContainerSpec
from tests.emulator.state import Pod, State
from tests.emulator.volume_behaviour import behaviour_of

PASSED = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
PASSED_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_")
"""The only variables of this machine that a pod sees: where it trusts and gets packages from. No real pod has them."""

VCPUS = 8
CRASHING = ["/bin/sh", "-c", "echo crash loop on request; exit 1"]


def passed_through(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a pod gets of this machine's certificate and mirror settings."""
    return {k: v for k, v in environment.items() if k in PASSED or k.startswith(PASSED_PREFIXES)}


def runpod_environment(pod: Pod) -> dict[str, str]:
    """Return the variables RunPod sets itself."""
    own = {
        "RUNPOD_POD_ID": pod.id,
        "RUNPOD_DC_ID": pod.data_center,
        "RUNPOD_POD_HOSTNAME": f"{pod.id}-{pod.api_key[-8:]}",
        "RUNPOD_GPU_COUNT": str(pod.gpus_got),
        "RUNPOD_CPU_COUNT": str(pod.cpu["vcpuCount"] if pod.cpu else VCPUS),
        "RUNPOD_PUBLIC_IP": "127.0.0.1",
        "RUNPOD_API_KEY": pod.api_key,
        "CUDA_VERSION": cuda_version(pod),
    }
    ports = {f"RUNPOD_TCP_PORT_{private}": str(public) for private, public in pod.tcp_ports.items()}
    volume = {"RUNPOD_VOLUME_ID": pod.volume_id} if pod.volume_id else {}
    key = {"PUBLIC_KEY": pod.public_key} if pod.public_key else {}
    return own | ports | volume | key


def cuda_version(pod: Pod) -> str:
    """Return the CUDA version of the pod's machine: one it asked for, else a usual one; empty without a GPU."""
    if pod.gpu is None:
        return ""
    allowed: list[str] = pod.gpu.get("allowedCudaVersions") or [pod.gpu.get("minCudaVersion") or "12.8"]
    return max(allowed, key=lambda version: [int(part) for part in version.split(".")])


def spec_of(pod: Pod, state: State, conditions: Conditions) -> ContainerSpec:
    """Return what the runtime is to run for a pod; ValueError when its args are no command line."""
    network = state.volumes.get(pod.volume_id) if pod.volume_id else None
    volume = state.volume_directory(pod.volume_id) if pod.volume_id else None
    if volume is None and "persistent" in pod.mounts:
        volume = state.directory / "volume-disks" / pod.id
    return ContainerSpec(
        pod_id=pod.id,
        args=CRASHING if conditions.hits(conditions.crash_loop, pod) else shlex.split(pod.args),
        env=passed_through(os.environ) | runpod_environment(pod) | pod.env,
        volume=volume,
        mount_path=pod.mount_path,
        ports=tuple(pod.private_ports("http") + pod.private_ports("tcp")),
        disk_gb=pod.disk,
        volume_mb=conditions.volume_megabytes,
        behaviour=behaviour_of(network, conditions) if network else None,
    )
