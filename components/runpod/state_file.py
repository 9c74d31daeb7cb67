"""The resource ids in the engine's state: read from a file backend, or reported by the commands.

The engine does not pass a provider the ids in its state: with `--target-replace` it reads nothing before a create, and
it never mentions resources that are pending deletion, nor the creations that a killed run has started. A file backend
is read directly; with another backend the commands pass the ids in environment variables.
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
"""Variable with the unfinished creations in the state: a JSON list of `{"urn", "instance", "since"}`."""

STATE_IDS = "COMFYUI_RUNPOD_STATE_IDS"
"""Variable with every id in the stack's state before the engine starts: a JSON list of strings."""

_CREATING = "creating"


@dataclass(frozen=True)
class ReportedState:
    """The state that the commands read before they started the engine; None when it was not read."""

    ids: frozenset[str] | None = None
    pending: Mapping[str, float] | None = None
    """Earliest start of unfinished creations by URN, in seconds since 1970; 0 when unknown."""

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> ReportedState:
        """Parse the environment; missing or damaged variables count as not reported."""
        ids, pending = _json_list(environ.get(STATE_IDS)), _json_list(environ.get(PENDING))
        found = None if ids is None else frozenset(map(str, ids))
        return cls(found, None if pending is None else _since(pending))


NOTHING_REPORTED = ReportedState()


def backend_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder of a `file://` backend, or None."""
    url = urlsplit(environ.get("PULUMI_BACKEND_URL", ""))
    if url.scheme != "file":
        return None
    path = unquote(url.netloc + url.path)
    return Path(path.replace("~", str(Path.home()), 1) if path.startswith("~") else path)


@dataclass
class SavedState:
    """The saved states of one backend; the engine replaces a stack's file after every step."""

    backend: Path | None
    reported: ReportedState = NOTHING_REPORTED
    _pending: dict[str, Mapping[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self, urn: str) -> frozenset[str] | None:
        """Return the ids of a URN in the state, including those pending deletion.

        None when they are unknown: nothing was reported for another backend, or the file cannot be read.
        """
        latest = self._latest(urn)
        if latest is None:
            return self.reported.ids  # The ids of all URNs; none of them may be adopted.
        return frozenset(str(one["id"]) for one in _resources(latest) if one.get("urn") == urn and one.get("id"))

    def every_id(self, urn: str) -> frozenset[str] | None:
        """Return every id in the current state of a URN's stack; None without a readable file."""
        latest = self._latest(urn)
        return None if latest is None else frozenset(str(one["id"]) for one in _resources(latest) if one.get("id"))

    def pending(self, urn: str) -> Mapping[str, float]:
        """Return the unfinished creations of the URN's stack, as they were at the first call.

        Later the engine also records its own creations there.
        """
        if self.reported.pending is not None:
            return self.reported.pending
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
