"""Waits until the services answer, and says why when they do not."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import tail

PROBE_SECONDS = 5.0
PAUSE_SECONDS = 0.5
LOG_LINES = 25
LOG_BYTES = 16384


def answers(url: str, headers: Mapping[str, str]) -> bool:
    """Say whether a URL answers 200."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  (always http://127.0.0.1)
    try:
        # Without the machine's proxy settings: this is the pod's own loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PROBE_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait_for(
    name: str,
    probe: Callable[[], bool],
    log: Path,
    *,
    limit: float,
    report: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the probe says yes; raises InstallError with the log's end after `limit` seconds."""
    began = clock()
    said = 0.0
    while not probe():
        waited = clock() - began
        if waited > limit:
            raise InstallError(f"{name} did not answer within {limit:.0f} s; its log ends with:\n{log_tail(log)}")
        if waited - said >= 5:
            said = waited
            report(f"{name} is starting ({waited:.0f} s)")
        sleep(PAUSE_SECONDS)


def log_tail(log: Path) -> str:
    """Return a log's last lines; a sentence where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES))
            return tail(file.read().decode("utf-8", "replace"), LOG_LINES)
    except FileNotFoundError:
        return "(no log yet)"
