"""What the gateway asks of the pod's helper: a restart of ComfyUI, and the end of files whose time is over."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from pathlib import Path

import orjson

from provisioning.helper_requests import DELETION_SUFFIX, RESTART

"""In one request; see provisioning.helper_requests.MAX_BYTES."""

_log = logging.getLogger(__name__)


class HelperRequests:
    """Writes requests; without a directory it only says in the log that an operator has to act."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def restart(self, reason: str) -> None:
        """Ask for a restart of ComfyUI; asking twice is asking once."""
        if self._directory is None:
            _log.error("restart ComfyUI by hand: nobody here does", extra={"code": reason})
            return
        try:
            (self._directory / RESTART).touch(mode=0o600)
        except OSError as error:
            _log.error("a restart of ComfyUI cannot be asked for: %s", error.strerror, extra={"code": reason})

    def delete(self, paths: Collection[tuple[str, str]]) -> bool:
        """Ask for the end of files, given as ComfyUI's folder and the path below it.

        The same paths are the same request: after a crash it is simply made again. False when it could not be made
        and is to be tried later; without a directory there is nothing to try.
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
            _log.error("the end of files cannot be asked for: %s", error.strerror)
            return False
        return True
