"""Settings of the gateway: one JSON file, written by the installer and readable by the gateway's user alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SecretStr, StringConstraints, ValidationError
from sqlalchemy import URL

from provisioning.contract import GATEWAY_PORT, gateway_host
from provisioning.contract.gateway_options import Options
from provisioning.gateway.core import database_url
from provisioning.gateway.core.internal_limits import InternalLimits
from provisioning.gateway.core.scopes import Scope


class SettingsError(Exception):
    """The settings file cannot be used; the text names the file, the keys and the faults, never a value."""


class SeedKey(BaseModel):
    """A key that the stack made; it is known from the first start on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    key: SecretStr
    scopes: frozenset[Scope] = Field(min_length=1)


class GatewaySettings(Options):
    """Everything the gateway is told; a key it does not know stops it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    host: str = "127.0.0.1"
    port: int = Field(default=GATEWAY_PORT, ge=0, le=65535)
    upstream: Annotated[str, StringConstraints(pattern=r"^http://[A-Za-z0-9.\[\]:-]+$")]
    """ComfyUI's base URL, without a path."""
    database: Annotated[URL, PlainValidator(database_url.parse)]
    """An SQLite file's path, or a PostgreSQL: `postgresql://user:password@host:port/name`."""
    log: Path | None = None
    """Folder on the volume that the database's changes are written to before a request is answered; without it the
    database file is all there is."""
    former_database: Path | None = None
    """An SQLite file that is taken over when there is no log yet, and renamed once the log has it."""
    files: Path | None = None
    """Folder on the volume in which uploads and outputs are stored; without it they stay in ComfyUI's own folders."""
    isolation: Literal["landlock", "folder", "none", ""] = ""
    """How the pod keeps ComfyUI out of the volume; empty where there is no pod that knows."""
    volume_bytes: int = Field(default=0, ge=0)
    """Size of the volume as it was asked for; 0 where nobody knows it."""
    encryption_key: SecretStr | None = Field(default=None, min_length=16)
    """What `encrypt_at_rest` encrypts with; the pepper when this is left out."""
    former_encryption_keys: tuple[SecretStr, ...] = ()
    """What encrypted rows and files that are still to be read: a former `encryption_key`, or a former pepper."""
    pod_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    requests: Path | None = None
    """Directory in which the pod's helper is asked for things; without it nobody is asked."""
    usd_per_hour: float = Field(default=0.0, ge=0)
    """The pod's price, for usage rows."""
    boot_file: Path | None = None
    """A file that the pod's container writes when it starts, and never again: since then it costs."""
    setup_dir: Path | None = None
    """Where the installer keeps the progress of its runs."""
    pepper: SecretStr = Field(min_length=16)
    """Keeps a stolen database useless: keys are stored as HMACs under it."""
    seed_keys: tuple[SeedKey, ...] = ()
    internal: InternalLimits = InternalLimits()

    @property
    def encryption_keys(self) -> tuple[str, ...]:
        """Return the secret that encrypts from now on, then those that may have before."""
        newest = self.encryption_key or self.pepper
        return tuple(key.get_secret_value() for key in (newest, self.pepper, *self.former_encryption_keys))

    @property
    def log_secrets(self) -> tuple[str, ...]:
        """Return the secret whose key the log's checksums are made with, then those that may have been it before."""
        return tuple(key.get_secret_value() for key in (self.pepper, *self.former_encryption_keys))

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Return the names that a Host header may carry."""
        return frozenset(self.hosts) | ({gateway_host(self.pod_id)} if self.pod_id else set())


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
