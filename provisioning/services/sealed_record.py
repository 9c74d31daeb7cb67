"""services.sealed: the signed record for the next start, with encrypted secrets.

The names of the two archives that a start needs to decrypt the rest are in plain text.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.layout import Layout
from provisioning.services.service_spec import ServiceSpec
from provisioning.vault import sealing, signed


@dataclass(frozen=True)
class Record:
    """The file's content."""

    bundle: str
    """Name of the bundle's directory, which boot.sh reads."""
    python: str
    """The gateway's interpreter, relative to the installation's root on the container disk."""
    archive: str
    """The archive that contains the interpreter."""
    sealed: str
    """The ServiceSpec, encrypted with AES-GCM."""


def store(layout: Layout, key: str, spec: ServiceSpec) -> None:
    """Write the record; raises InstallError when the volume is full, OSError when it cannot be written."""
    service = spec.gateway
    sealed = sealing.run(layout.local / service.python, "seal", key, spec.to_json())
    record = Record(spec.bundle, service.python, service.archive, sealed)
    signed.write(layout.sealed, key, json.dumps(asdict(record), sort_keys=True).encode())


def read(layout: Layout, key: str) -> Record:
    """Return the record.

    Raises:
        UntrustedFileError: This stack did not write it.
        FileNotFoundError: Nothing is installed on this volume yet.
    """
    return Record(**json.loads(signed.read(layout.sealed, key)))


def decrypt(layout: Layout, key: str, record: Record) -> ServiceSpec:
    """Decrypt the service specification with the gateway's interpreter, which must be unpacked; raises InstallError."""
    python: Path = layout.local / record.python
    try:
        return ServiceSpec.from_json(sealing.run(python, "open", key, record.sealed))
    except (KeyError, TypeError, ValueError) as error:
        raise InstallError(f"{layout.sealed} has an unknown format; run `make up`") from error
