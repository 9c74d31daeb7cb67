"""Settings of the gateway: one JSON file, written by the installer and readable only by the gateway's user."""

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
    """The settings file cannot be used; the message names the file, the keys and the faults, never a value."""


class SeedKey(BaseModel):
    """An API key that the stack created; it is valid from the first start on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    key: SecretStr
    scopes: frozenset[Scope] = Field(min_length=1)


class GatewaySettings(Options):
    """All settings of the gateway; an unknown key prevents its start."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    host: str = "127.0.0.1"
    port: int = Field(default=GATEWAY_PORT, ge=0, le=65535)
    upstream: Annotated[str, StringConstraints(pattern=r"^http://[A-Za-z0-9.\[\]:-]+$")]
    """ComfyUI's base URL, without a path."""
    database: Annotated[URL, PlainValidator(database_url.parse)]
    """The path of an SQLite file, or a PostgreSQL URL: `postgresql://user:password@host:port/name`."""
    log: Path | None = None
    """Folder on the volume that the database's changes are written to before a request is answered; without it only the
    database file is written."""
    former_database: Path | None = None
    """An SQLite file that is imported when there is no log yet, and renamed once the log holds its content."""
    files: Path | None = None
    """Folder on the volume in which uploads and outputs are stored; without it they stay in ComfyUI's own folders."""
    isolation: Literal["landlock", "folder", "none", ""] = ""
    """How the pod denies ComfyUI access to the volume; empty outside a pod."""
    volume_bytes: int = Field(default=0, ge=0)
    """Size that the volume was created with; 0 when unknown."""
    encryption_key: SecretStr | None = Field(default=None, min_length=16)
    """The secret for `encrypt_at_rest`; the pepper when omitted."""
    former_encryption_keys: tuple[SecretStr, ...] = ()
    """Secrets that encrypted existing rows and files: former values of `encryption_key` or of the pepper."""
    pod_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    requests: Path | None = None
    """Directory for requests to the pod's helper; without it no requests are made."""
    usd_per_hour: float = Field(default=0.0, ge=0)
    """The pod's price, for usage rows."""
    boot_file: Path | None = None
    """A file that the pod's container writes once, when it starts: from then on the pod is billed."""
    setup_dir: Path | None = None
    """Directory in which the installer records the progress of its runs."""
    pepper: SecretStr = Field(min_length=16)
    """Secret of the HMACs under which API keys are stored, so that a stolen database reveals no key."""
    seed_keys: tuple[SeedKey, ...] = ()
    internal: InternalLimits = InternalLimits()

    @property
    def encryption_keys(self) -> tuple[str, ...]:
        """Return the current encryption secret, followed by former ones."""
        newest = self.encryption_key or self.pepper
        return tuple(key.get_secret_value() for key in (newest, self.pepper, *self.former_encryption_keys))

    @property
    def log_secrets(self) -> tuple[str, ...]:
        """Return the current secret of the log's checksums, followed by former ones."""
        return tuple(key.get_secret_value() for key in (self.pepper, *self.former_encryption_keys))

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Return the host names that a Host header may contain."""
        return frozenset(self.hosts) | ({gateway_host(self.pod_id)} if self.pod_id else set())


def load(path: Path) -> GatewaySettings:
    """Read settings from a file; raises SettingsError."""
    try:
        return GatewaySettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); give --config a readable file") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        # `from None`: pydantic's message can quote secret values.
        raise SettingsError(f"{path}: {faults}") from None
