"""The shipping thread: appends commits to the log with one fsync for all waiting callers, then notifies them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic

from provisioning.gateway.core.database.log.generations import (
    AGAIN_SECONDS,
    LOG_BYTES,
    AtDatabase,
    Copier,
    DatabasePause,
)
from provisioning.gateway.core.database.log.health import LogHealth, NotOnVolume
from provisioning.gateway.core.database.log.local_state import Shipped, Status
from provisioning.gateway.core.database.log.wal import Position
from provisioning.gateway.core.database.log.writer import LogFiles, LogWriter
from provisioning.gateway.core.problems import Problem

IDLE_SECONDS = 0.2
"""Seconds between checks for writes by another process, a command."""

RETRY_SECONDS = 0.2
"""Delay after a failed write."""

_log = logging.getLogger(__name__)

Waiting = tuple[Position, Callable[[Problem | None], None]]


class Shipper:
    """Ships commits and notifies the callers that wait for them."""

    def __init__(
        self,
        files: LogFiles,
        writer: LogWriter,
        copier: Copier,
        status: Status,
        health: LogHealth,
        at_database: AtDatabase,
    ) -> None:
        self._wal, self._epoch = files.wal, files.epoch
        self._writer, self._copier, self._status = writer, copier, status
        self._health, self._at_database = health, at_database
        self.log_bytes = LOG_BYTES
        self._lock = Lock()
        self._waiting: list[Waiting] = []
        self._former: list[bytes] = [b""]
        """Salts of WAL files that were shipped completely."""
        self._confirmed = writer.shipped
        """The last shipped position after which no other gateway had taken over."""
        self._woken = Event()
        self._ending = False
        self._rotate_after = 0.0
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start the thread, before the first commit."""
        self._write_status()
        self._thread.start()

    def committed(self) -> Position:
        """Return the committed position and trigger shipping; called on the database's thread after a commit."""
        position = self._wal.position()
        self._woken.set()
        return position

    async def wait(self, position: Position, seconds: float) -> None:
        """Wait until the log has reached a position; raises Problem on time-out; the commit may be shipped later."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(problem: Problem | None) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done, problem)

        if self._add(position, settle):
            try:
                await asyncio.wait_for(done, seconds)
            except TimeoutError:
                raise self._health.late_problem() from None

    def wait_now(self, position: Position, seconds: float) -> None:
        """Do the same without an event loop."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        if self._add(position, lambda problem: _settle(done, problem)):
            try:
                done.result(seconds)
            except TimeoutError:
                raise self._health.late_problem() from None

    def _add(self, position: Position, settle: Callable[[Problem | None], None]) -> bool:
        with self._lock:
            if self._covers(position):
                return False
            self._waiting.append((position, settle))
            return True

    def _covers(self, position: Position) -> bool:
        confirmed = self._confirmed
        if not position.frames or position.salts in self._former:
            return True
        return position.salts == confirmed.salts and position.frames <= confirmed.frames

    def _run(self) -> None:
        while not self._ending:
            self._woken.wait(IDLE_SECONDS)
            self._woken.clear()
            if not self._ship():
                self._woken.wait(RETRY_SECONDS)
            try:
                self._rotate()
            except (OSError, sqlite3.Error, RuntimeError) as error:
                # The thread continues: commits are still shipped.
                self._rotate_after = monotonic() + AGAIN_SECONDS
                _log.error("no new generation of the log could be started, so that it grows: %s", error)

    def _ship(self) -> bool:
        """Ship new commits; returns False when that failed."""
        try:
            position = self._wal.position()
            if not self._covers(position):
                self._health.begin(monotonic())
                self._append(position)
                self._write_status()
        except OSError as error:
            self._health.fail(error)
            self._notify_failed()
            return False
        self._health.end()
        self._notify_shipped()
        return True

    def _append(self, position: Position) -> None:
        # A position shipped by an earlier attempt may not be confirmed yet.
        self._confirm()
        if self._writer.is_restarted(position) and self._writer.may_restart_at == self._writer.shipped.frames:
            self._begin_generation()
        if self._writer.shipped != position:
            self._writer.append(position)
        self._confirm()

    def _confirm(self) -> None:
        """Confirm the shipped position unless a newer epoch exists: its gateway reads what was shipped before."""
        if self._health.superseded or self._epoch.is_superseded():
            self._health.superseded = True
            raise InterruptedError("another gateway has taken over")
        self._confirmed = self._writer.shipped

    def _notify_shipped(self) -> None:
        with self._lock:
            notified = [settle for wanted, settle in self._waiting if self._covers(wanted)]
            self._waiting = [waiting for waiting in self._waiting if not self._covers(waiting[0])]
        for settle in notified:
            settle(None)

    def _notify_failed(self) -> None:
        problem = self._health.permanent_problem()
        if problem is None:
            return
        with self._lock:
            notified, self._waiting = self._waiting, []
        for _, settle in notified:
            settle(NotOnVolume(problem.code, problem.detail))

    def _rotate(self) -> None:
        self._copier.start_or_retry()
        long = self._writer.length > max(self.log_bytes, self._wal.main_bytes())
        if (
            not long
            or monotonic() < self._rotate_after
            or not self._copier.is_idle
            or self._ending
            or self._health.problem() is not None
        ):
            return
        with self._status.rotation.rotating() as alone:
            if alone:
                self._rotate_now()

    def _rotate_now(self) -> None:
        pause = DatabasePause()
        checkpointed = self._at_database(pause.run)
        if not pause.wait_until_paused() or not self._ship() or not pause.resume():
            return
        if checkpointed.result():
            self._begin_generation()
            self._write_status()
        elif pause.backfilled == self._writer.shipped.frames:
            self._writer.may_restart_at = pause.backfilled

    def _begin_generation(self) -> None:
        """Begin the next generation."""
        with self._lock:
            self._former.append(self._writer.shipped.salts)
            self._writer.begin_generation()
            self._confirmed = self._writer.shipped
        self._copier.request(self._writer.generation)

    def _write_status(self) -> None:
        shipped = self._writer.shipped
        said = Shipped(self._epoch.number, self._writer.generation, *shipped[:2], self._former[-1])
        self._status.write(said)

    def end(self, seconds: float) -> bool:
        """Ship the rest and stop within `seconds`; returns whether everything is on the volume."""
        if self._ending:
            return False
        until = monotonic() + seconds
        with contextlib.suppress(Problem, OSError):
            self.wait_now(self.committed(), seconds)
        self._ending = True
        self._woken.set()
        for part in (self._thread.join, self._copier.end):
            part(max(0.1, until - monotonic()))
        self._notify_failed()
        return not self._thread.is_alive() and not self._health.superseded and self._covers(self._wal.position())


def _settle(done: asyncio.Future[None] | concurrent.futures.Future[None], problem: Problem | None) -> None:
    if done.done():
        return
    if problem is None:
        done.set_result(None)
    else:
        done.set_exception(problem)
