"""Brings one file to the staging directory: resumed after a cut, hashed on the way, bounded by what is expected."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError, ModelError
from provisioning.models.http import Answer, PassingError, RangeError, Tokens, get, shown

CHUNK = 1 << 20
TRIES = 6
"""Tries in a row that bring not one byte; each byte that arrives sets the count back."""


@dataclass(frozen=True)
class Fetched:
    """A complete file in the staging directory."""

    path: Path
    sha256: str
    size: int


class Download:
    """One model on its way; `done` and `total` may be read by others meanwhile."""

    def __init__(
        self,
        pin: ModelPin,
        staging: Path,
        tokens: Tokens,
        *,
        cancelled: threading.Event,
        sleep: Callable[[float], None],
    ) -> None:
        key = pin.sha256 or hashlib.sha256(pin.url.encode()).hexdigest()
        self._pin = pin
        self._part = staging / f"{key}.part"
        self._notes = staging / f"{key}.json"
        self._tokens = tokens
        self._cancelled = cancelled
        self._sleep = sleep
        self._digest = hashlib.sha256()
        self._hashed = 0
        self.done = self._part.stat().st_size if self._part.exists() else 0
        self.total = pin.size_bytes

    def run(self) -> Fetched:
        """Fetch to the end; raises ModelError or DiskFullError. A broken connection leaves what came so far."""
        failures = 0
        while True:
            before = self.done
            try:
                self._fetch_rest()
                return self._verified()
            except PassingError as error:
                failures = 1 if self.done > before else failures + 1
                if failures >= TRIES:
                    raise ModelError(f"model {self._pin.name}: given up after {TRIES} tries: {error}") from error
                self._sleep(min(30.0, 2.0**failures))

    def _fetch_rest(self) -> None:
        if self.total and self.done == self.total:
            return
        if self.total and self.done > self.total:
            self._forget()
        try:
            answer = get(self._pin.url, self._tokens, self.done, self._tag())
        except RangeError as error:
            if error.total == self.done:
                return
            self._forget()
            raise
        with answer.body:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        expected = self._pin.size_bytes
        if expected and answer.total and answer.total != expected:
            raise ModelError(
                f"model {self._pin.name}: the manifest says {expected} bytes, {shown(self._pin.url)} has {answer.total}"
            )
        self.total = answer.total or expected
        self._notes.write_text(json.dumps({"tag": answer.tag}), encoding="utf-8")
        with self._part.open("r+b" if self._part.exists() else "wb") as file:
            file.truncate(answer.start)
            file.seek(answer.start)
            self.done = answer.start
            self._hash_up_to(answer.start)
            self._copy(answer.body, file)
        if self.total and self.done < self.total:
            raise PassingError(f"{shown(self._pin.url)}: cut after {self.done} of {self.total} bytes")

    def _copy(self, body: IO[bytes], file: IO[bytes]) -> None:
        while True:
            if self._cancelled.is_set():
                raise ModelError(f"model {self._pin.name}: stopped because another model failed")
            try:
                chunk = body.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise PassingError(f"{shown(self._pin.url)}: {type(error).__name__}") from error
            if not chunk:
                return
            if self.total and self.done + len(chunk) > self.total:
                raise ModelError(f"model {self._pin.name}: {shown(self._pin.url)} sends more than {self.total} bytes")
            self._write(file, chunk)

    def _write(self, file: IO[bytes], chunk: bytes) -> None:
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DiskFullError(
                    f"model {self._pin.name}: the volume is full after {self.done} of {self.total or '?'} bytes; "
                    "raise volume.sizeGb in the stack file and run the command again, the download goes on from there"
                ) from error
            raise
        self._digest.update(chunk)
        self.done += len(chunk)
        self._hashed = self.done

    def _hash_up_to(self, size: int) -> None:
        """Bring the running hash to cover exactly the first `size` bytes; reads only what it has not seen."""
        if self._hashed == size:
            return
        self._digest, self._hashed = hashlib.sha256(), 0
        with self._part.open("rb") as file:
            while self._hashed < size and (chunk := file.read(min(CHUNK, size - self._hashed))):
                self._digest.update(chunk)
                self._hashed += len(chunk)

    def _verified(self) -> Fetched:
        self._hash_up_to(self.done)
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        found = self._digest.hexdigest()
        if self._pin.sha256 and found != self._pin.sha256:
            self._forget()
            raise ModelError(
                f"model {self._pin.name}: {shown(self._pin.url)} has SHA-256 {found}, the manifest says "
                f"{self._pin.sha256}; the file was thrown away. Correct the manifest if the new file is meant"
            )
        return Fetched(self._part, found, self.done)

    def _tag(self) -> str:
        try:
            return str(json.loads(self._notes.read_text(encoding="utf-8"))["tag"])
        except (FileNotFoundError, ValueError, KeyError):
            return ""

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
        self.done = 0
