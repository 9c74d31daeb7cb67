"""The emulator's state: one JSON file, replaced atomically, so that a restart or a kill loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.emulator.presets import Credential, Endpoint, Template, read_endpoint

LISTED = ("PROVISIONING", "STARTING", "RUNNING", "EXITED", "ERROR")
"""Statuses of pods that exist; a TERMINATED one is kept for its bill alone."""


@dataclass
class Span:
    """A time during which something was billed."""

    start: float
    end: float | None
    """Unix time; None while it still bills."""
    gpu: float = 0.0
    """USD per hour, as are the other two."""
    cpu: float = 0.0
    disk: float = 0.0


@dataclass
class Pod:
    """A pod as the account's owner requested it, with its current state."""

    id: str
    account: str
    name: str
    image: str
    cloud: str
    created_at: float
    status: str = "PROVISIONING"
    args: str = ""
    disk: int = 50
    ports: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict, repr=False)
    gpu: dict[str, Any] | None = None
    cpu: dict[str, Any] | None = None
    mounts: dict[str, Any] = field(default_factory=dict)
    registry: str | None = None
    data_center: str = ""
    locked: bool = False
    global_networking: bool = False
    public_key: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    """The pod-scoped key: it may stop this pod and nothing else."""
    price: float = 0.0
    """USD per hour of the compute while it runs, all GPUs together."""
    gpus_got: int = 0
    """GPUs of the running container; 0 after a start that found none free."""
    started_at: float | None = None
    """When the container last started; None while there is none."""
    first_started_at: float | None = None
    gpus_hidden_until: float = 0.0
    """Unix time before which its `runtime` lists no GPU although it has them."""
    http_ports: dict[int, int] = field(default_factory=dict)
    """Private to public, for the pod's whole life."""
    tcp_ports: dict[int, int] = field(default_factory=dict)
    """Private to public, new at every start."""
    spans: list[Span] = field(default_factory=list)
    ended_at: float | None = None

    @property
    def volume_id(self) -> str | None:
        """The network volume it mounts, None when it has none."""
        network = self.mounts.get("network")
        return str(network[0]["volumeId"]) if network else None

    @property
    def mount_path(self) -> str:
        """Where its volume, network or persistent, is mounted."""
        mounts = [*self.mounts.get("network", []), self.mounts.get("persistent", {})]
        return str(mounts[0].get("path", "/workspace"))

    def private_ports(self, kind: str) -> list[int]:
        """Return the published ports of a kind, `http` or `tcp`."""
        return [int(port.partition("/")[0]) for port in self.ports if port.endswith(f"/{kind}")]


@dataclass
class Volume:
    """A network volume; its files lie in `<state>/volumes/<id>`."""

    id: str
    account: str
    name: str
    size: int
    data_center: str
    type: str
    spans: list[Span] = field(default_factory=list)
    ended_at: float | None = None

    @property
    def created_at(self) -> float:
        """When it was made."""
        return self.spans[0].start


@dataclass
class Account:
    """What belongs to the owner of an API key."""

    ssh_keys: list[str] = field(default_factory=list)


@dataclass
class State:
    """All that is remembered; `save` after every change."""

    directory: Path
    pods: dict[str, Pod] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    registries: dict[str, Credential] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Accounts that are another one: a key's own name, and the account it was joined to."""
    clock_offset: float = 0.0
    market: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Stock and prices as set from outside, over the catalogue's."""
    runtime: str = ""
    """The runtime its pods were made by."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """How this RunPod behaves now; see tests.emulator.faults."""

    @classmethod
    def load(cls, directory: Path) -> State:
        """Read the state of a directory, empty when there is none; the directory is made, for its owner alone."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = directory / "state.json"
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return cls(
            directory=directory,
            pods={key: read_pod(value) for key, value in raw.get("pods", {}).items()},
            volumes={key: read_volume(value) for key, value in raw.get("volumes", {}).items()},
            templates={key: Template(**value) for key, value in raw.get("templates", {}).items()},
            registries={key: Credential(**value) for key, value in raw.get("registries", {}).items()},
            endpoints={key: read_endpoint(value) for key, value in raw.get("endpoints", {}).items()},
            accounts={key: Account(**value) for key, value in raw.get("accounts", {}).items()},
            aliases=raw.get("aliases", {}),
            clock_offset=raw.get("clock_offset", 0.0),
            market=raw.get("market", {}),
            runtime=raw.get("runtime", ""),
            conditions=raw.get("conditions", {}),
        )

    def save(self) -> None:
        """Write the state so that a reader finds either the old or the new one, also after a power cut."""
        raw = {
            "pods": {key: asdict(pod) for key, pod in self.pods.items()},
            "volumes": {key: asdict(volume) for key, volume in self.volumes.items()},
            "templates": {key: asdict(template) for key, template in self.templates.items()},
            "registries": {key: asdict(credential) for key, credential in self.registries.items()},
            "endpoints": {key: asdict(endpoint) for key, endpoint in self.endpoints.items()},
            "accounts": {key: asdict(account) for key, account in self.accounts.items()},
            "aliases": self.aliases,
            "clock_offset": self.clock_offset,
            "market": self.market,
            "runtime": self.runtime,
            "conditions": self.conditions,
        }
        write_atomically(self.directory / "state.json", json.dumps(raw, indent=1))

    def account(self, name: str) -> Account:
        """Return an account, made when it is new."""
        return self.accounts.setdefault(name, Account())

    def living_pods(self, account: str | None = None) -> Iterator[Pod]:
        """Yield the pods that exist, of one account or of all."""
        owned = (pod for pod in self.pods.values() if account in (None, pod.account))
        return (pod for pod in owned if pod.status in LISTED)

    def living_volumes(self, account: str | None = None) -> Iterator[Volume]:
        """Yield the volumes that exist, of one account or of all."""
        owned = (volume for volume in self.volumes.values() if account in (None, volume.account))
        return (volume for volume in owned if volume.ended_at is None)

    def volume_directory(self, volume_id: str) -> Path:
        """Return where the files of a volume lie."""
        return self.directory / "volumes" / volume_id


def read_pod(raw: dict[str, Any]) -> Pod:
    """Return a pod from its JSON form."""
    pod = Pod(**raw)
    pod.spans = [Span(**span) for span in raw["spans"]]
    pod.http_ports = {int(key): value for key, value in raw["http_ports"].items()}
    pod.tcp_ports = {int(key): value for key, value in raw["tcp_ports"].items()}
    return pod


def read_volume(raw: dict[str, Any]) -> Volume:
    """Return a volume from its JSON form."""
    volume = Volume(**raw)
    volume.spans = [Span(**span) for span in raw["spans"]]
    return volume


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content in one step, readable by its owner alone."""
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
