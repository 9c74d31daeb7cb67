"""Beginning an epoch: what the predecessor left comes to the container disk, and a new log begins with a copy of it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage import address
from provisioning.gateway.storage.log import former, rebuild
from provisioning.gateway.storage.log.epochs import Epoch, Epochs
from provisioning.gateway.storage.log.keys import Keys
from provisioning.gateway.storage.log.lives import Predecessor
from provisioning.gateway.storage.log.local import LOCK_SECONDS, PAUSE_SECONDS, LocalLock, Status
from provisioning.gateway.storage.log.log import EpochLog, Follower, Log
from provisioning.gateway.storage.log.watch import Watch


class LogError(Exception):
    """The log cannot be begun; the text says why and what to do."""


def open_log(settings: GatewaySettings, *, serves: bool) -> Log | None:
    """Return the log of the database that the settings name, None for one without; raises LogError, OSError.

    With `serves` a gateway begins an epoch. A command begins one when no gateway runs here, and follows it otherwise.
    """
    file = address.file_of(settings.database)
    if settings.log is None or file is None:
        return None
    lock = LocalLock(file)
    deadline = time.monotonic() + LOCK_SECONDS
    while not lock.take():
        follower = Follower(file, settings.volume_patience_seconds)
        if not serves and follower.is_up:
            return follower
        if time.monotonic() > deadline:
            raise LogError(f"{file}: another process has it; end that, or wait until the gateway is ready")
        time.sleep(PAUSE_SECONDS)
    try:
        return _begin(settings, settings.log, file, lock, serves=serves)
    except BaseException:
        lock.release()
        raise


def _begin(settings: GatewaySettings, root: Path, file: Path, lock: LocalLock, *, serves: bool) -> EpochLog:
    epochs, keys = Epochs(root), Keys(settings.log_secrets)
    epoch = begin_epoch(epochs, settings)
    _put_in_place(settings, epochs, epoch, keys, file)
    log = EpochLog(epochs, epoch, keys, lock, settings.volume_patience_seconds)
    log.begun = partial(former.put_away, settings.former_database)
    if serves:
        log.watch = Watch(epoch, log.trouble, settings.pod_id, settings.silence_seconds)
    return log


def begin_epoch(epochs: Epochs, settings: GatewaySettings) -> Epoch:
    """Begin an epoch unless the gateway of another pod lives; raises LogError, OSError."""
    newest = epochs.newest()
    if newest is not None and not Predecessor(newest, settings.pod_id, settings.silence_seconds).is_over():
        life = newest.life()
        raise LogError(f"the gateway of pod {life.pod_id if life else '?'} serves; do it there, or end that pod first")
    try:
        return epochs.begin(settings.pod_id)
    except FileExistsError:
        raise LogError("another gateway has begun at the same moment; try again") from None


def _put_in_place(settings: GatewaySettings, epochs: Epochs, epoch: Epoch, keys: Keys, file: Path) -> None:
    Status(file).clear()
    before = epochs.with_state(epoch.number)
    try:
        if before is not None:
            rebuild.rebuild(before, keys, file)
        elif settings.former_database is not None and settings.former_database.exists():
            rebuild.remove(file)
            former.take(settings.former_database, file)
    except rebuild.RebuildError as error:
        raise LogError(str(error)) from error
