"""The store and the space on the volume, as the settings say."""

from __future__ import annotations

import contextlib

from provisioning.gateway.assets.store.encryption import FileCipher
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.disk_space import DiskSpace, VolumeSpace
from provisioning.gateway.core.settings import GatewaySettings


def open_store(settings: GatewaySettings) -> FileStore | None:
    """Return the store of uploads and outputs; None where ComfyUI's own folders keep them."""
    if settings.files is None:
        return None
    # Whatever is wrong with the volume is told to whoever uploads; the gateway comes up all the same.
    with contextlib.suppress(OSError):
        settings.files.mkdir(parents=True, exist_ok=True)
    cipher = FileCipher(settings.encryption_keys, active=settings.encrypt_at_rest)
    return FileStore(settings.files, cipher, settings.internal.file_stall_seconds)


def disk_space_of(settings: GatewaySettings, store: FileStore | None) -> DiskSpace:
    """Return what knows how much room there is on the container's disk and, with a store, on the volume."""
    local = DiskSpace(settings.requests, settings.min_free_bytes)
    if store is None or settings.files is None:
        return local
    sizes = (settings.volume_bytes, settings.min_free_bytes)
    return VolumeSpace(local, settings.files, sizes, store)
