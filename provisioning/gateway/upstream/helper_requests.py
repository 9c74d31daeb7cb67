"""Requests to the pod's helper: a restart of ComfyUI, and the deletion of expired files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from pathlib import Path

import orjson

from provisioning.helper_requests import DELETION_SUFFIX, RESTART

"""Most paths in one request; see provisioning.helper_requests.MAX_BYTES."""

_log = logging.getLogger(__name__)


class HelperRequests:
    """Writes request files; without a directory it only logs that an operator has to act."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def restart(self, reason: str) -> None:
        """Request a restart of ComfyUI; idempotent."""
        if self._directory is None:
            _log.error("restart ComfyUI by hand: this gateway has no helper for it", extra={"code": reason})
            return
        try:
            (self._directory / RESTART).touch(mode=0o600)
        except OSError as error:
            _log.error("a restart of ComfyUI could not be requested: %s", error.strerror, extra={"code": reason})

    def delete(self, paths: Collection[tuple[str, str]]) -> bool:
        """Request the deletion of files, each given as ComfyUI's folder and the path below it.

        The same paths make the same request, which can be repeated after a crash. Returns False when the request could
        not be written and has to be repeated later; without a directory it returns True.
        """
        if self._directory is None:
            return True
        body = orjson.dumps(sorted(paths))
        name = hashlib.sha256(body).hexdigest()[:32] + DELETION_SUFFIX
        draft = self._directory / f".{name}"
        try:
            draft.write_bytes(body)
            draft.rename(self._directory / name)
        except OSError as error:
            _log.error("the deletion of files could not be requested: %s", error.strerror)
            return False
        return True
