"""What the engine's state holds, read from the files of its backend.

The engine does not tell a provider which ids are in its state: with `--target-replace` it asks nothing before a create,
and what waits for its deletion is never mentioned. Where the state lies in files beside the checkout they say it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def backend_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of a `file://` backend, or None."""
    url = urlsplit(environ.get("PULUMI_BACKEND_URL", ""))
    if url.scheme != "file":
        return None
    path = unquote(url.netloc + url.path)
    return Path(path.replace("~", str(Path.home()), 1) if path.startswith("~") else path)


class Checkpoint:
    """The saved state of any stack in one backend; the engine replaces the file after every step."""

    def __init__(self, backend: Path | None) -> None:
        self._backend = backend

    def ids(self, urn: str) -> frozenset[str] | None:
        """Return the ids that the state holds under a URN, those waiting for their deletion too.

        None where nobody can say: another kind of backend, or a file that cannot be read.
        """
        entries = self._resources(urn)
        if entries is None:
            return None
        return frozenset(str(entry["id"]) for entry in entries if entry.get("urn") == urn and entry.get("id"))

    def every_id(self, urn: str) -> frozenset[str] | None:
        """Return every id that the state of a URN's stack holds; None where nobody can say."""
        entries = self._resources(urn)
        return None if entries is None else frozenset(str(entry["id"]) for entry in entries if entry.get("id"))

    def _resources(self, urn: str) -> list[dict[str, Any]] | None:
        if self._backend is None or urn.count("::") < 3:
            return None
        stack, project = urn.split(":", 3)[2], urn.split("::")[1]
        file = self._backend / ".pulumi" / "stacks" / project / f"{stack}.json"
        try:
            latest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return list(latest.get("resources") or [])
