"""Wait until the services answer, or raise an error with the end of their log."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import tail

PROBE_SECONDS = 5.0
PAUSE_SECONDS = 0.5
LOG_LINES = 25
MAX_FAILING = 5
REPORT_SECONDS = 5.0
LOG_BYTES = 16384


def answers(url: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request to a URL is answered with 200."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  (always http://127.0.0.1)
    try:
        # The machine's proxy settings do not apply to the loopback address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PROBE_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@dataclass(frozen=True)
class AwaitedService:
    """A service that has to answer."""

    name: str
    answers: Callable[[], bool]
    failing: Callable[[], bool]
    """Returns whether it keeps ending after its start; called every five seconds."""
    log: Path
    limit: float
    """Time limit in seconds, counted from the last growth of its log."""
    doing: str = "is starting"
    """Its activity, for the progress messages."""


def wait_for(
    service: AwaitedService,
    report: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the service answers.

    Raises:
        InstallError: It did not answer in time, or was failing MAX_FAILING times in a row; with the end of its log.
    """
    began = moved = clock()
    said = in_a_row = 0.0
    written = log_size(service.log)
    while not service.answers():
        waited = clock() - began
        if (now := log_size(service.log)) != written:
            written, moved = now, clock()
        if clock() - moved > service.limit:
            raise _gave_up(service, f"did not answer within {service.limit:.0f} s")
        if waited - said >= REPORT_SECONDS:
            said = waited
            in_a_row = in_a_row + 1 if service.failing() else 0
            if in_a_row == MAX_FAILING:
                raise _gave_up(service, "keeps ending right after its start")
            report(f"{service.name} {service.doing} ({waited:.0f} s)")
        sleep(PAUSE_SECONDS)


def _gave_up(service: AwaitedService, how: str) -> InstallError:
    return InstallError(f"{service.name} {how}; its log ends with:\n{log_tail(service.log)}")


def log_size(log: Path) -> int:
    """Return a log's length in bytes; 0 without a log."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def log_tail(log: Path) -> str:
    """Return a log's last lines, or a note that there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES))
            return tail(file.read().decode("utf-8", "replace"), LOG_LINES)
    except FileNotFoundError:
        return "(no log yet)"
