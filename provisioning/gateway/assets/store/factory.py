"""Creation of the store and of the check of disk space from the settings."""

from __future__ import annotations

import contextlib

from provisioning.gateway.assets.store.encryption import FileCipher
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.disk_space import DiskSpace, VolumeSpace
from provisioning.gateway.core.settings import GatewaySettings


def open_store(settings: GatewaySettings) -> FileStore | None:
    """Return the store of uploads and outputs; None when they stay in ComfyUI's folders."""
    if settings.files is None:
        return None
    # A faulty volume does not prevent the start: uploads report the error.
    with contextlib.suppress(OSError):
        settings.files.mkdir(parents=True, exist_ok=True)
    cipher = FileCipher(settings.encryption_keys, active=settings.encrypt_at_rest)
    return FileStore(settings.files, cipher, settings.internal.file_stall_seconds)


def disk_space_of(settings: GatewaySettings, store: FileStore | None) -> DiskSpace:
    """Return the check of free space on the container disk and, with a store, on the volume."""
    local = DiskSpace(settings.requests, settings.min_free_bytes)
    if store is None or settings.files is None:
        return local
    sizes = (settings.volume_bytes, settings.min_free_bytes)
    return VolumeSpace(local, settings.files, sizes, store)
