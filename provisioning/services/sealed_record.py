"""services.sealed: what the next start needs to know, signed as a whole and its secrets sealed.

In clear stand the names of the two archives that a start unpacks before it can open the rest.
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
    """Name of the bundle's directory; boot.sh reads this member."""
    python: str
    """The gateway's interpreter, below our root on the container disk."""
    archive: str
    """The archive that holds it."""
    sealed: str
    """Desired, as AES-GCM text."""


def store(layout: Layout, key: str, spec: ServiceSpec) -> None:
    """Write the record; raises InstallError when the volume is full, OSError when it cannot be written."""
    service = spec.gateway
    sealed = sealing.run(layout.local / service.python, "seal", key, spec.to_json())
    record = Record(spec.bundle, service.python, service.archive, sealed)
    signed.write(layout.sealed, key, json.dumps(asdict(record), sort_keys=True).encode())


def read(layout: Layout, key: str) -> Record:
    """Return the record.

    Raises:
        UntrustedFileError: It is not what this stack wrote.
        FileNotFoundError: Nothing was installed on this volume yet.
    """
    return Record(**json.loads(signed.read(layout.sealed, key)))


def opened(layout: Layout, key: str, record: Record) -> ServiceSpec:
    """Return what is desired; the gateway's interpreter must be in place. Raises InstallError."""
    python: Path = layout.local / record.python
    try:
        return ServiceSpec.from_json(sealing.run(python, "open", key, record.sealed))
    except (KeyError, TypeError, ValueError) as error:
        raise InstallError(f"{layout.sealed} has a form this program does not know; run `make up`") from error
