"""What the engine's state holds: read from the files of its backend, or told by the commands.

The engine does not tell a provider which ids are in its state: with `--target-replace` it asks nothing before a create,
and what waits for its deletion is never mentioned. Nor does it tell which creations a killed run has begun. Where the
state lies in files beside the checkout they say it; with another backend the commands say it in the environment.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PENDING = "COMFYUI_RUNPOD_PENDING"
"""Variable with the creations that the state calls unfinished: a JSON list of `{"urn", "instance", "since"}`."""

STATE_IDS = "COMFYUI_RUNPOD_STATE_IDS"
"""Variable with every id that the state of the stack holds before the engine starts: a JSON list of texts."""

_CREATING = "creating"


@dataclass(frozen=True)
class ReportedState:
    """What the commands have read in the state before they started the engine; None: nobody has read it."""

    ids: frozenset[str] | None = None
    pending: Mapping[str, float] | None = None
    """By URN: since when a creation may have been asked for, seconds since 1970; 0 when nobody knows."""

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> ReportedState:
        """Read the environment; what is missing or damaged counts as not told."""
        ids, pending = _json_list(environ.get(STATE_IDS)), _json_list(environ.get(PENDING))
        found = None if ids is None else frozenset(map(str, ids))
        return cls(found, None if pending is None else _since(pending))


NOTHING_REPORTED = ReportedState()


def backend_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of a `file://` backend, or None."""
    url = urlsplit(environ.get("PULUMI_BACKEND_URL", ""))
    if url.scheme != "file":
        return None
    path = unquote(url.netloc + url.path)
    return Path(path.replace("~", str(Path.home()), 1) if path.startswith("~") else path)


@dataclass
class SavedState:
    """The saved state of any stack in one backend; the engine replaces the file after every step."""

    backend: Path | None
    told: ReportedState = NOTHING_REPORTED
    _pending: dict[str, Mapping[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self, urn: str) -> frozenset[str] | None:
        """Return the ids that the state holds under a URN, those waiting for their deletion too.

        None where nobody can say: another kind of backend of which nothing was told, or a file that cannot be read.
        """
        latest = self._latest(urn)
        if latest is None:
            return self.told.ids  # Of all URNs: more than was asked for, and none of it is free to be taken up.
        return frozenset(str(one["id"]) for one in _resources(latest) if one.get("urn") == urn and one.get("id"))

    def every_id(self, urn: str) -> frozenset[str] | None:
        """Return every id that the state of a URN's stack holds now; None where no file says it."""
        latest = self._latest(urn)
        return None if latest is None else frozenset(str(one["id"]) for one in _resources(latest) if one.get("id"))

    def pending(self, urn: str) -> Mapping[str, float]:
        """Return the creations that a killed run of the URN's stack has begun, as they were when this was first asked.

        Later the engine notes its own creations there, too.
        """
        if self.told.pending is not None:
            return self.told.pending
        stack = urn.split("::", maxsplit=1)[0] + "::" + urn.split("::")[1] if "::" in urn else ""
        with self._lock:
            if stack not in self._pending:
                latest = self._latest(urn) or {}
                noted = [one.get("resource") or {} for one in latest.get("pending_operations") or [] if _begun(one)]
                self._pending[stack] = {str(one["urn"]): 0.0 for one in noted if one.get("urn")}
            return self._pending[stack]

    def _latest(self, urn: str) -> dict[str, Any] | None:
        if self.backend is None or urn.count("::") < 3:
            return None
        stack, project = urn.split(":", 3)[2], urn.split("::")[1]
        file = self.backend / ".pulumi" / "stacks" / project / f"{stack}.json"
        try:
            latest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return latest


def _resources(latest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(latest.get("resources") or [])


def _begun(operation: Mapping[str, Any]) -> bool:
    return operation.get("type") == _CREATING


def _json_list(text: str | None) -> list[Any] | None:
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _since(entries: list[Any]) -> dict[str, float]:
    known = [entry for entry in entries if isinstance(entry, dict) and entry.get("urn")]
    return {str(entry["urn"]): float(entry.get("since") or 0) for entry in known}
