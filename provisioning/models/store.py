"""The volume's models: one file per content, named by its hash, with links in ComfyUI's model folders."""

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
from provisioning.models.download import DownloadedFile

RESERVE_BYTES = 64 << 20
"""Free space to keep on the volume for logs, outputs and the ledger."""


@dataclass(frozen=True)
class StoredModel:
    """A model in the store."""

    sha256: str
    size: int


def record_path(layout: Layout, pin: ModelPin) -> Path:
    """Return the path of the record with the hash and size of a URL's file."""
    return layout.model_records / f"{hashlib.sha256(pin.url.encode()).hexdigest()}.json"


def stored(layout: Layout, pin: ModelPin) -> StoredModel | None:
    """Return the stored model for an entry; None when it must be downloaded."""
    sha256 = pin.sha256 or _recorded(layout, pin)
    file = layout.model_store / sha256
    # The installer creates no links here, and a link could point to any file.
    if not sha256 or not file.is_file() or file.is_symlink():
        return None
    size = file.stat().st_size
    return StoredModel(sha256, size) if pin.size_bytes in {0, size} else None


def _recorded(layout: Layout, pin: ModelPin) -> str:
    try:
        return str(json.loads(record_path(layout, pin).read_text(encoding="utf-8"))["sha256"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""


def keep(layout: Layout, pin: ModelPin, fetched: DownloadedFile) -> StoredModel:
    """Move a verified file into the store and record the hash and size of its URL."""
    layout.model_store.mkdir(parents=True, exist_ok=True)
    record = {"url": pin.url, "sha256": fetched.sha256, "sizeBytes": fetched.size}
    # The record first: without it, a model with unknown hash would be downloaded again.
    write(record_path(layout, pin), json.dumps(record, sort_keys=True))
    # Readable by ComfyUI and writable by root only: a model is never changed in place.
    fetched.path.chmod(0o444)
    fetched.path.replace(layout.model_store / fetched.sha256)
    return StoredModel(fetched.sha256, fetched.size)


def link_path(layout: Layout, pin: ModelPin) -> Path:
    """Return the model's path in ComfyUI's folders."""
    return layout.model_folders / pin.folder / pin.name


def linked(layout: Layout, pin: ModelPin) -> bool:
    """Return whether the model is stored and linked."""
    have = stored(layout, pin)
    # If ComfyUI must not access the volume, the link points to a copy with the same name.
    target = link_path(layout, pin).resolve()
    return have is not None and target.name == have.sha256 and target.is_file()


def put_in_place(layout: Layout, pin: ModelPin, have: StoredModel) -> None:
    """Create ComfyUI's link to a stored model."""
    link(link_path(layout, pin), layout.model_store / have.sha256)


def remove_others(layout: Layout, pins: Iterable[ModelPin]) -> None:
    """Remove links of models that are no longer in the manifest; the stored files stay for the next plan."""
    wanted = {link_path(layout, pin) for pin in pins}
    for path in layout.model_folders.glob("*/*"):
        if path.is_symlink() and path not in wanted:
            path.unlink()


def make_room(layout: Layout, missing_bytes: int, wanted: Iterable[ModelPin], capacity_bytes: int) -> tuple[str, ...]:
    """Free space on the volume for the remaining downloads, and return the hashes of the removed models.

    Models of earlier manifests are kept while there is space for them.

    Args:
        layout: The pod's paths.
        missing_bytes: Size of the remaining downloads.
        wanted: The entries whose models are kept.
        capacity_bytes: Size of the volume; 0 when unknown, then the file system's size counts.

    Raises:
        DiskFullError: There is too little space even without the models of earlier manifests.
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
    """Return the free space on the volume in bytes.

    A network volume's file system shows the cluster's free space and not the volume's, so the files are summed up. A
    plain disk may be smaller than the requested volume.
    """
    shown = shutil.disk_usage(layout.volume).free
    return min(shown, capacity_bytes - used_bytes(layout.volume)) if capacity_bytes else shown


def used_bytes(directory: Path) -> int:
    """Return the total size of the files below a directory; files that disappear meanwhile are ignored."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  (a path object for each file is slow)
    return total


def _fits(free: int, missing_bytes: int) -> bool:
    return missing_bytes + RESERVE_BYTES <= free
