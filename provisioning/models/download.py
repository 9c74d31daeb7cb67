"""Download of one file to the staging directory: resumable, verified by reading it back, limited to its size.

Network volumes fail with EIO during long writes, and have returned other bytes than were written. So volume errors are
retried like network errors, and the digest is computed from the bytes that the volume returns.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError, ModelError
from provisioning.host.files import FULL
from provisioning.models.http import (
    DownloadTokens,
    RangeError,
    RangeResponse,
    RateLimitError,
    TransientError,
    display_url,
    get,
)

CHUNK = 1 << 20
TRIES = 6
"""Consecutive attempts without a received byte; each received byte resets the count."""
RATE_LIMIT_SECONDS = 1800.0
"""Total wait of one model for a rate limit, in seconds; Hugging Face counts in windows of 300 s."""
WHOLE_TRIES = 3
"""Downloads of a file from its beginning, when the volume returned other bytes than were written."""


@dataclass(frozen=True)
class DownloadedFile:
    """A complete file in the staging directory."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class DownloadHooks:
    """Sleep and messages of a download; replaced in tests."""

    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = lambda _: None
    """Called with a line for every wait for a rate limit and every repeated download."""


class _CorruptedError(Exception):
    """The volume returned other bytes than were written."""


class Download:
    """The download of one model; other threads may read `done`, `checked` and `total`."""

    def __init__(
        self, pin: ModelPin, staging: Path, tokens: DownloadTokens, *, cancelled: threading.Event, waits: DownloadHooks
    ) -> None:
        key = pin.sha256 or hashlib.sha256(pin.url.encode()).hexdigest()
        self._pin = pin
        self._shown_url = display_url(pin.url)
        self._part = staging / f"{key}.part"
        self._notes = staging / f"{key}.json"
        for path in (self._part, self._notes):
            # A write through a link would change another file of the pod.
            if path.is_symlink():
                path.unlink()
        self._tokens = tokens
        self._cancelled = cancelled
        self._waits = waits
        self._limited = 0.0
        self._received = hashlib.sha256()
        self._hashed = 0
        self.done = self._part.stat().st_size if self._part.exists() else 0
        """Bytes in the staging directory."""
        self.checked = 0
        """Bytes that were read back."""
        self.total = pin.size_bytes
        self._resumed = self.done > 0

    @property
    def missing(self) -> int:
        """Bytes that are still to be downloaded, by the manifest's size."""
        return max(0, (self.total or self._pin.approx_bytes) - self.done)

    def run(self) -> DownloadedFile:
        """Download the file; raises ModelError or DiskFullError. Received bytes are kept after an error."""
        for attempt in range(1, WHOLE_TRIES + 1):
            self._fetch()
            try:
                return self._verified()
            except _CorruptedError as error:
                if attempt == WHOLE_TRIES:
                    raise ModelError(
                        f"model {self._pin.name}: {error}, in {attempt} attempts; use another volume"
                    ) from error
                self._waits.say(f"{self._pin.name}: {error}; downloading it again from its beginning")
                self._forget()
        raise AssertionError("the loop returns or raises")

    def _fetch(self) -> None:
        failures = 0
        while True:
            before = self.done
            try:
                self._fetch_rest()
            except RateLimitError as error:
                self._wait_for_the_limit(error)
            except TransientError as error:
                failures = 1 if self.done > before else failures + 1
                if failures >= TRIES:
                    raise ModelError(f"model {self._pin.name}: failed after {TRIES} attempts: {error}") from error
                self._waits.sleep(min(30.0, 2.0**failures))
            else:
                return

    def _wait_for_the_limit(self, error: RateLimitError) -> None:
        self._limited += error.seconds
        if self._limited > RATE_LIMIT_SECONDS:
            raise ModelError(
                f"model {self._pin.name}: {error} for more than {RATE_LIMIT_SECONDS / 60:.0f} minutes; set "
                "tokens.huggingFace (anonymous clients share a limit), or run the command again later"
            ) from error
        self._waits.say(f"{self._pin.name}: {error}; waiting {error.seconds:.0f} s as the server requests")
        self._waits.sleep(error.seconds)

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

    def _take(self, answer: RangeResponse) -> None:
        expected = self._pin.size_bytes
        if expected and answer.total and answer.total != expected:
            raise ModelError(
                f"model {self._pin.name}: the manifest says {expected} bytes, {self._shown_url} has {answer.total}"
            )
        self.total = answer.total or expected
        try:
            self._store(answer)
        except OSError as error:
            raise self._disk_fault(error) from error
        if self.total and self.done < self.total:
            raise TransientError(f"{self._shown_url}: connection closed after {self.done} of {self.total} bytes")

    def _store(self, answer: RangeResponse) -> None:
        self._notes.write_text(json.dumps({"tag": answer.tag}), encoding="utf-8")
        with self._part.open("r+b" if self._part.exists() else "wb") as file:
            file.truncate(answer.start)
            file.seek(answer.start)
            self.done = answer.start
            self._hash_up_to(answer.start)
            self._copy(answer.body, file)

    def _copy(self, body: IO[bytes], file: IO[bytes]) -> None:
        while True:
            if self._cancelled.is_set():
                raise ModelError(f"model {self._pin.name}: stopped because another model failed")
            try:
                chunk = body.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise TransientError(f"{self._shown_url}: {type(error).__name__}") from error
            if not chunk:
                return
            if self.total and self.done + len(chunk) > self.total:
                raise ModelError(f"model {self._pin.name}: {self._shown_url} sends more than {self.total} bytes")
            file.write(chunk)
            file.flush()
            self._received.update(chunk)
            self.done += len(chunk)
            self._hashed = self.done

    def _disk_fault(self, error: OSError) -> Exception:
        """Return the error for a failure of the volume: a full volume is final, everything else is transient."""
        if error.errno in FULL:
            return DiskFullError(
                f"model {self._pin.name}: the volume is full after {self.done} of {self.total or '?'} bytes; "
                "raise volume.sizeGb in the stack file and run the command again; the download continues from there"
            )
        # A chunk may have been written partly or not at all: continue after the volume's bytes, and hash them again.
        self._hashed, self._resumed = -1, True
        with contextlib.suppress(OSError):
            self.done = min(self.done, self._part.stat().st_size)
        return TransientError(f"the volume failed: {error.strerror or type(error).__name__}")

    def _hash_up_to(self, size: int) -> None:
        """Make the running hash cover exactly the first `size` bytes."""
        if self._hashed == size:
            return
        self._received, self._hashed = hashlib.sha256(), 0
        with self._part.open("rb") as file:
            while self._hashed < size and (chunk := file.read(min(CHUNK, size - self._hashed))):
                self._received.update(chunk)
                self._hashed += len(chunk)

    def _verified(self) -> DownloadedFile:
        found = self._read_back()
        if self._hashed == self.done and found != self._received.hexdigest():
            raise _CorruptedError("the volume returned other bytes than were written")
        if self._pin.sha256 and found != self._pin.sha256:
            if self._resumed:
                self._resumed = False
                raise _CorruptedError("the part from an earlier run does not match the manifest")
            self._forget()
            raise ModelError(
                f"model {self._pin.name}: {self._shown_url} has SHA-256 {found}, the manifest says "
                f"{self._pin.sha256}; the file was deleted. Correct the manifest if the new file is the right one"
            )
        return DownloadedFile(self._part, found, self.done)

    def _read_back(self) -> str:
        """Return the digest of the bytes that the volume returns, bypassing the page cache."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._digest_of_file()
            except OSError as error:
                if attempt == TRIES:
                    raise ModelError(
                        f"model {self._pin.name}: cannot be read back: {error.strerror}; run the command again"
                    ) from error
                self._waits.sleep(min(30.0, 2.0**attempt))
        raise AssertionError("the loop returns or raises")

    def _digest_of_file(self) -> str:
        digest, self.checked = hashlib.sha256(), 0
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                self.checked += len(chunk)
        return digest.hexdigest()

    def _tag(self) -> str:
        try:
            return str(json.loads(self._notes.read_text(encoding="utf-8"))["tag"])
        except (OSError, ValueError, KeyError):
            return ""

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
        self.done = self.checked = 0
        self._hashed = -1
