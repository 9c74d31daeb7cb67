"""The account's resources other than pods and volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Template:
    """A preset of container settings; it costs nothing."""

    id: str
    account: str
    name: str
    image: str
    created_at: float
    args: str = ""
    disk: int = 20
    ports: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict, repr=False)
    registry: str | None = None
    mounts: dict[str, Any] = field(default_factory=dict)
    serverless: bool = False
    public: bool = False
    category: str = "NVIDIA"
    start_ssh: bool = True
    start_jupyter: bool = True
    allowed_cuda: list[str] = field(default_factory=list)
    ended_at: float | None = None


@dataclass
class Credential:
    """Credentials of a container registry; a hash stands for user and password, which are never shown again."""

    id: str
    account: str
    name: str
    created_at: float
    secret_hash: str
    ended_at: float | None = None


@dataclass
class Worker:
    """A worker of an endpoint; it bills from start to end."""

    id: str
    started_at: float
    version: int
    image: str
    data_center: str
    gpu: str = ""
    gpu_count: int = 0
    price: float = 0.0
    """USD per hour."""
    busy: bool = False
    ends_at: float | None = None
    """When it is gone; None while nothing asks for its end."""


@dataclass
class Endpoint:
    """A serverless endpoint; only its workers cost something."""

    id: str
    account: str
    name: str
    type: str
    created_at: float
    scaling: dict[str, Any]
    image: str = ""
    args: str = ""
    disk: int = 20
    ports: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict, repr=False)
    registry: str | None = None
    gpu: dict[str, Any] | None = None
    cpu: list[dict[str, Any]] = field(default_factory=list)
    minimum: int = 0
    maximum: int = 3
    idle_timeout: int = 10
    data_centers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    timeout: int = 300_000
    flashboot: str = "OFF"
    version: int = 1
    workers: list[Worker] = field(default_factory=list)
    """All it ever had: what ended is kept for its bill."""
    ended_at: float | None = None


def read_endpoint(raw: dict[str, Any]) -> Endpoint:
    """Return an endpoint from its JSON form."""
    return Endpoint(**raw | {"workers": [Worker(**worker) for worker in raw["workers"]]})
