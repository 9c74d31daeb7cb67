"""A file lock, so that two commands that start together do not build the same thing twice."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.progress import BEAT_SECONDS, say

_POLL_SECONDS = 0.2


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Lock the file `path`; while another process holds it, print a line every ten seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        next_word = time.monotonic()
        while not _try(handle.fileno()):
            if time.monotonic() >= next_word:
                say(f"  another run is installing {what}; waiting for it ...")
                next_word += BEAT_SECONDS
            time.sleep(_POLL_SECONDS)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
