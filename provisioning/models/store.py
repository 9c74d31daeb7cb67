"""The volume's models: one copy per content, named by its hash, with links where ComfyUI looks for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError
from provisioning.host.files import link, write
from provisioning.layout import Layout
from provisioning.models.download import Fetched

RESERVE_BYTES = 64 << 20
"""Room left on the volume for logs, outputs and the ledger."""


@dataclass(frozen=True)
class Stored:
    """A model that is in place."""

    sha256: str
    size: int


def record_path(layout: Layout, pin: ModelPin) -> Path:
    """Return where the hash and size learnt for a URL are kept."""
    return layout.model_records / f"{hashlib.sha256(pin.url.encode()).hexdigest()}.json"


def stored(layout: Layout, pin: ModelPin) -> Stored | None:
    """Return what the store holds for an entry; None when it must be fetched."""
    sha256 = pin.sha256 or _recorded(layout, pin)
    file = layout.model_store / sha256
    # A link is none of ours, and could lead to anything.
    if not sha256 or not file.is_file() or file.is_symlink():
        return None
    size = file.stat().st_size
    return Stored(sha256, size) if pin.size_bytes in {0, size} else None


def _recorded(layout: Layout, pin: ModelPin) -> str:
    try:
        return str(json.loads(record_path(layout, pin).read_text(encoding="utf-8"))["sha256"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""


def keep(layout: Layout, pin: ModelPin, fetched: Fetched) -> Stored:
    """Give a checked file its name in the store and remember what its URL led to."""
    layout.model_store.mkdir(parents=True, exist_ok=True)
    record = {"url": pin.url, "sha256": fetched.sha256, "sizeBytes": fetched.size}
    # The record first: a file in the store that no record names would be fetched again where its hash is not known.
    write(record_path(layout, pin), json.dumps(record, sort_keys=True))
    # Readable by ComfyUI, writable by nobody but root: a model is never changed in place.
    fetched.path.chmod(0o444)
    fetched.path.replace(layout.model_store / fetched.sha256)
    return Stored(fetched.sha256, fetched.size)


def link_path(layout: Layout, pin: ModelPin) -> Path:
    """Return where ComfyUI finds the model."""
    return layout.model_folders / pin.folder / pin.name


def linked(layout: Layout, pin: ModelPin) -> bool:
    """Say whether the model is in place under its name."""
    have = stored(layout, pin)
    # Where ComfyUI must not reach the volume, the link leads to a copy of the same name.
    target = link_path(layout, pin).resolve()
    return have is not None and target.name == have.sha256 and target.is_file()


def put_in_place(layout: Layout, pin: ModelPin, have: Stored) -> None:
    """Make ComfyUI's link to a stored model."""
    link(link_path(layout, pin), layout.model_store / have.sha256)


def remove_others(layout: Layout, pins: Iterable[ModelPin]) -> None:
    """Remove links of models that are no longer in the manifest; the stored files stay for the next plan."""
    wanted = {link_path(layout, pin) for pin in pins}
    for path in layout.model_folders.glob("*/*"):
        if path.is_symlink() and path not in wanted:
            path.unlink()


def make_room(layout: Layout, missing_bytes: int, wanted: Iterable[ModelPin], capacity_bytes: int) -> tuple[str, ...]:
    """See that the volume can hold what is still to be fetched, and return the hashes of what had to go for it.

    Models of earlier manifests stay as long as there is room for them.

    Args:
        layout: The pod's paths.
        missing_bytes: What is still to be fetched.
        wanted: The entries whose models stay.
        capacity_bytes: Size of the volume; 0 when it is not known, then the file system is believed.

    Raises:
        DiskFullError: There is too little room, also without the models of earlier manifests.
    """
    kept = {have.sha256 for pin in wanted if (have := stored(layout, pin))}
    free = _free(layout, capacity_bytes)
    removed = []
    for file in sorted(layout.model_store.glob("*"), key=lambda path: path.stat().st_size, reverse=True):
        if _fits(free, missing_bytes):
            break
        if file.name not in kept:
            free += file.stat().st_size
            file.unlink()
            removed.append(file.name)
    if not _fits(free, missing_bytes):
        raise DiskFullError(
            f"the volume has {max(0, free) / 1e9:.1f} GB free and the models need {missing_bytes / 1e9:.1f} GB more; "
            "raise volume.sizeGb in the stack file"
        )
    return tuple(removed)


def _free(layout: Layout, capacity_bytes: int) -> int:
    """Return the room on the volume in bytes.

    A network volume's file system shows the cluster's room and not the volume's, so what lies there is counted. A plain
    disk may have less than the volume was asked to have.
    """
    shown = shutil.disk_usage(layout.volume).free
    return min(shown, capacity_bytes - used_bytes(layout.volume)) if capacity_bytes else shown


def used_bytes(directory: Path) -> int:
    """Return the sizes of all files below a directory; what goes away meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  (a path object for each file costs)
    return total


def _fits(free: int, missing_bytes: int) -> bool:
    return missing_bytes + RESERVE_BYTES <= free
