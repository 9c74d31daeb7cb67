"""Opening the log: the database is rebuilt on the container disk, and a new epoch begins with a snapshot of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from provisioning.gateway.core import database_url
from provisioning.gateway.core.database import sqlite_backup
from provisioning.gateway.core.database.log import file_takeover, rebuild
from provisioning.gateway.core.database.log.checksum_keys import ChecksumKeys
from provisioning.gateway.core.database.log.epochs import Epoch, Epochs
from provisioning.gateway.core.database.log.heartbeat import Heartbeat
from provisioning.gateway.core.database.log.liveness import Predecessor
from provisioning.gateway.core.database.log.local_state import LOCK_SECONDS, PAUSE_SECONDS, LocalLock, Status
from provisioning.gateway.core.database.log.log import EpochLog, Follower, Log
from provisioning.gateway.core.settings import GatewaySettings


class LogError(Exception):
    """The log cannot be opened; the message gives the reason and the remedy."""


class DamagedError(LogError):
    """The log on the volume is damaged."""


def open_log(settings: GatewaySettings, *, serves: bool) -> Log | None:
    """Return the log of the database that the settings name, None for one without; raises LogError, OSError.

    With `serves`, a gateway begins an epoch. A command begins one when no gateway runs here; otherwise it follows the
    gateway's log.
    """
    file = database_url.file_of(settings.database)
    if settings.log is None or file is None:
        return None
    lock = LocalLock(file)
    deadline = time.monotonic() + LOCK_SECONDS
    while not lock.take():
        follower = Follower(file, settings.volume_patience_seconds)
        if not serves and follower.is_up:
            return follower
        if time.monotonic() > deadline:
            raise LogError(f"{file}: another process has locked it; end that, or wait until the gateway is ready")
        time.sleep(PAUSE_SECONDS)
    return _begin(settings, file, lock, _put_in_place, waited=serves)


def open_with(settings: GatewaySettings, file: Path, source: Path) -> EpochLog:
    """Return the log of a new epoch that begins with the database `source`; raises LogError, OSError.

    Until the log is attached to that database, the former epoch stays valid.
    """
    lock = LocalLock(file)
    if not lock.take():
        raise LogError(f"{file}: a gateway or another command has locked it; end that first")

    def put(_settings: GatewaySettings, _before: Epoch | None, _keys: ChecksumKeys, target: Path) -> None:
        rebuild.remove(target)
        sqlite_backup.copy_file(source, target)

    return _begin(settings, file, lock, put)


def write_newest(settings: GatewaySettings, target: Path, *, to_damage: bool = False) -> bool:
    """Rebuild the database from the log on the volume into a file; returns whether the log holds one.

    A gateway that ships at the time is not affected. Raises LogError, OSError; with `to_damage`, a damaged log is read
    up to the damage.
    """
    keys = ChecksumKeys(settings.log_secrets)
    epoch = _newest_with_database(settings, keys)
    if epoch is None:
        return False
    try:
        rebuild.rebuild(epoch, keys, target, to_damage=to_damage)
    except rebuild.DamagedLogError as error:
        raise DamagedError(str(error)) from error
    except rebuild.RebuildError as error:
        raise LogError(str(error)) from error
    return True


Put = Callable[[GatewaySettings, Epoch | None, ChecksumKeys, Path], None]
"""Puts the first database of an epoch in place; its second argument is the newest epoch with a snapshot."""


def _begin(settings: GatewaySettings, file: Path, lock: LocalLock, put: Put, *, waited: bool = False) -> EpochLog:
    try:
        log = _claim(settings, lock, waited=waited)
    except BaseException:
        lock.release()
        raise
    keys = ChecksumKeys(settings.log_secrets)
    try:
        Status(file).clear()
        put(settings, _newest_with_database(settings, keys), keys, file)
    except BaseException as error:
        log.close()
        if isinstance(error, rebuild.RebuildError):
            raise LogError(str(error)) from error
        raise
    return log


def _claim(settings: GatewaySettings, lock: LocalLock, *, waited: bool) -> EpochLog:
    """Begin an epoch and start its heartbeat."""
    epochs, keys = epochs_of(settings), ChecksumKeys(settings.log_secrets)
    if not waited:
        _check_alone(epochs, settings)
    try:
        epoch = epochs.begin(settings.pod_id)
    except FileExistsError:
        raise LogError("another gateway started at the same moment; try again") from None
    log = EpochLog(epochs, epoch, keys, lock, settings.volume_patience_seconds)
    log.on_attached = partial(_put_away, settings, epochs, keys)
    log.heartbeat = Heartbeat(epoch, log.health, settings.pod_id, settings.silence_seconds)
    log.heartbeat.start()
    return log


def _put_away(settings: GatewaySettings, epochs: Epochs, keys: ChecksumKeys) -> None:
    """Remove what the new epoch has replaced, so that no later start uses it."""
    for key_id in keys.ids[1:]:
        Epochs(epochs.root.parent / key_id.hex()).forget_before(None)
    file_takeover.put_away(settings.former_database)
    file = database_url.file_of(settings.database)
    for copy in file.parent.glob(f"{file.name}.before-migration-from-*") if file is not None else ():
        # The container disk is lost with the pod; these copies allow a return to an older gateway.
        for older in epochs.root.glob("*.before-migration-from-*"):
            older.unlink()
        epochs.volume.put(epochs.root / copy.name, copy.read_bytes())
        copy.unlink()


def epochs_of(settings: GatewaySettings) -> Epochs:
    """Return the epochs of a gateway with this pepper; raises LogError for settings without a log.

    Each pepper, and so each stack, has its own folder: two stacks on one volume are separate, and a new stack on a kept
    volume begins with an empty database.
    """
    if settings.log is None:
        raise LogError("the settings name no folder for a log")
    return Epochs(settings.log / ChecksumKeys(settings.log_secrets).newest_id.hex())


def _newest_with_database(settings: GatewaySettings, keys: ChecksumKeys) -> Epoch | None:
    """Return the newest epoch with a snapshot: under this pepper, else under a former one."""
    newest = epochs_of(settings)
    every = (newest, *(Epochs(newest.root.parent / key_id.hex()) for key_id in keys.ids))
    return next((epoch for epochs in every if (epoch := epochs.newest_with_database()) is not None), None)


def _check_alone(epochs: Epochs, settings: GatewaySettings) -> None:
    newest = epochs.newest()
    if newest is not None and not Predecessor(newest, settings.pod_id, settings.silence_seconds).is_over():
        liveness = newest.liveness()
        raise LogError(
            f"the gateway of pod {liveness.pod_id if liveness else '?'} is active; run the command there, or stop it"
        )


def _put_in_place(settings: GatewaySettings, before: Epoch | None, keys: ChecksumKeys, file: Path) -> None:
    if before is not None:
        rebuild.rebuild(before, keys, file)
    elif settings.former_database is not None and settings.former_database.exists():
        rebuild.remove(file)
        file_takeover.take(settings.former_database, file)
