"""Settings of the gateway: one JSON file, written by the installer and readable by the gateway's user alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from provisioning.contract import GATEWAY_PORT

MEBIBYTE = 1024 * 1024

HostName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9.\[\]:-]{1,255}$")]


class SettingsError(Exception):
    """The settings file cannot be used; the text names the file, the keys and the faults, never a value."""


class Scope(StrEnum):
    """What a key may do."""

    CLIENT = "client"
    """Run jobs and see its own."""
    ADMIN = "admin"
    """See everybody's jobs and use the routes that act on the machine."""


class Journal(StrEnum):
    """How SQLite keeps a transaction apart until it is whole."""

    TRUNCATE = "truncate"
    """A rollback journal: right for a network volume, where WAL's shared memory does not work."""
    WAL = "wal"
    """Faster, for a database on the pod's own disk; such a disk does not survive a stop."""


class SeedKey(BaseModel):
    """A key that the stack made; it is known from the first start on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    key: SecretStr
    scopes: frozenset[Scope] = Field(min_length=1)


class GatewaySettings(BaseModel):
    """Everything the gateway is told; a key it does not know stops it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(default=GATEWAY_PORT, ge=0, le=65535)
    upstream: Annotated[str, StringConstraints(pattern=r"^http://[A-Za-z0-9.\[\]:-]+$")]
    """ComfyUI's base URL, without a path."""
    database: Path
    hosts: tuple[HostName, ...] = ()
    """Host names it answers to, with or without a port; empty means the pod's own name at RunPod's proxy."""
    pod_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    rate_limit_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """Requests per key and minute; as many may come at once, as with every limit per minute."""
    owner_rate_limit_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    """Requests of all keys of an owner together; 0 means twice what one key may."""
    address_rate_limit_per_minute: int = Field(default=6000, ge=1, le=1_000_000)
    """Requests per network address, loopback left out; behind a proxy many clients have its address."""
    submits_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Submitted workflows per owner."""
    uploads_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Uploaded files per owner."""
    failed_logins_per_minute: int = Field(default=60, ge=1, le=1_000_000)
    """Refused keys per network address that are told why; further ones are told to wait."""
    max_queued_per_owner: int = Field(default=100, ge=1)
    """Unfinished jobs."""
    max_queued: int = Field(default=1000, ge=1)
    """Unfinished jobs of everybody together."""
    usd_per_hour: float = Field(default=0.0, ge=0)
    """The pod's price, for usage rows."""
    pepper: SecretStr = Field(min_length=16)
    """Keeps a stolen database useless: keys are stored as HMACs under it."""
    seed_keys: tuple[SeedKey, ...] = ()
    journal: Journal = Journal.TRUNCATE
    max_body_bytes: int = Field(default=10 * MEBIBYTE, ge=1024)
    """Largest JSON body."""
    max_upload_bytes: int = Field(default=100 * MEBIBYTE, ge=1024)
    """Largest upload; ComfyUI's own default."""
    max_nodes: int = Field(default=2000, ge=1)
    """Largest workflow."""
    max_requests_per_owner: int = Field(default=40, ge=1)
    """At once; fewer than the connections to ComfyUI, so that one owner's slow downloads leave some for the rest."""
    max_sockets_per_owner: int = Field(default=20, ge=1)
    deadline_seconds: float = Field(default=90.0, gt=0, le=90)
    """Until an answer begins; RunPod's proxy gives up at 100 s."""
    idle_seconds: float = Field(default=30.0, gt=0)
    """Longest silence of a client in the middle of a body."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long running answers may finish after SIGTERM."""
    retention_days: int = Field(default=30, ge=1)
    """How long request rows, workflows and results are kept; what a job took is kept for ever."""
    poll_seconds: float = Field(default=2.0, gt=0)
    """How often jobs in flight are compared with ComfyUI, beside its events."""

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Return the names that a Host header may carry."""
        own = f"{self.pod_id.lower()}-{GATEWAY_PORT}.proxy.runpod.net"
        return frozenset(self.hosts or ((own,) if self.pod_id else ()))


def load(path: Path) -> GatewaySettings:
    """Read settings from a file; raises SettingsError."""
    try:
        return GatewaySettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); give --config a readable file") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        # The chain is cut: pydantic's own text can quote what it was given.
        raise SettingsError(f"{path}: {faults}") from None
