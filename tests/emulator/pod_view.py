"""A pod as the API shows it."""

from __future__ import annotations

from typing import Any

from tests.emulator.clock import iso
from tests.emulator.container import cuda_version
from tests.emulator.market import catalogue, holds
from tests.emulator.state import Pod

ACTIONS = {
    "RUNNING": ["stop", "restart", "terminate"],
    "EXITED": ["start", "terminate"],
    "ERROR": ["start", "terminate"],
    "PROVISIONING": ["stop", "terminate"],
    "STARTING": ["stop", "terminate"],
    "TERMINATED": [],
}
"""What may be asked of a pod in each status."""

INNER_ADDRESS = "100.65.0.2"
"""RunPod shows HTTP ports with an address of its inner network."""
INNER_HTTP_PORT = 19123
"""An HTTP port of RunPod's own that real pods show beside those they publish."""
SSH_PROXY = "ssh.runpod.io"


def view(pod: Pod, now: float) -> dict[str, Any]:
    """Return the pod in the document's form."""
    owned = ("id", "name", "status", "image", "args", "disk", "mounts", "ports", "env", "registry", "cloud", "locked")
    return {name: getattr(pod, name) for name in owned} | {
        **compute(pod),
        "actions": ACTIONS[pod.status],
        "dataCenterId": pod.data_center or None,
        "cudaVersion": cuda_version(pod) or None,
        "ssh": {"proxy": ssh_proxy(pod), "direct": ssh_direct(pod)},
        "template": None,
        "cost": pod.price if holds(pod) else 0.0,
        "runtime": runtime(pod, now),
        "createdAt": iso(pod.created_at),
        "startedAt": iso(pod.started_at) if pod.started_at else None,
        "globalNetworking": {"enabled": pod.global_networking},
    }


def compute(pod: Pod) -> dict[str, Any]:
    """Return the `gpu` or `cpu` member."""
    if pod.gpu:
        return {"gpu": {"id": pod.gpu["id"], "count": pod.gpu["count"]}}
    cpu = pod.cpu or {}
    memory = int(catalogue().cpus[cpu["id"]].ramGbPerVcpu * cpu["vcpuCount"])
    return {"cpu": {"id": cpu["id"], "vcpuCount": cpu["vcpuCount"], "memory": memory}}


def runtime(pod: Pod, now: float) -> dict[str, Any] | None:
    """Return the `runtime` member; null until the container runs."""
    if pod.status != "RUNNING" or pod.started_at is None:
        return None
    tcp = [port(private, public, "tcp", "127.0.0.1") for private, public in pod.tcp_ports.items()]
    http = [port(private, public, "http", INNER_ADDRESS) for private, public in pod.http_ports.items()]
    return {
        "uptime": int(now - pod.started_at),
        "gpus": [{"util": 0, "memoryUtil": 0}] * (pod.gpus_got if now >= pod.gpus_hidden_until else 0),
        "cpu": {"util": 0},
        "memory": {"util": 0},
        "ports": [*tcp, *http, port(INNER_HTTP_PORT, None, "http", INNER_ADDRESS)],
    }


def port(private: int, public: int | None, kind: str, address: str) -> dict[str, Any]:
    """Return one entry of `runtime.ports`."""
    return {"private": private, "public": public, "type": kind, "ip": address}


def ssh_proxy(pod: Pod) -> dict[str, Any]:
    """Return RunPod's own way in, which takes no file and no tunnel; nothing of ours uses it."""
    user = f"{pod.id}-{pod.api_key[-8:]}"
    return {"host": SSH_PROXY, "port": 22, "username": user, "command": f"ssh {user}@{SSH_PROXY}"}


def ssh_direct(pod: Pod) -> dict[str, Any] | None:
    """Return the way in over TCP; null until port 22 has a public number."""
    public = pod.tcp_ports.get(22)
    if public is None or runtime(pod, 0.0) is None:
        return None
    command = f"ssh root@127.0.0.1 -p {public}"
    return {"host": "127.0.0.1", "port": public, "username": "root", "command": command}
