"""Run one command in a session of its own and end the whole of it when the pipe from the plugin closes.

The plugin may be killed without a word, so its commands cannot depend on it to be ended: the kernel closes the pipe.
Run by path, with the standard library alone: `python -I -S guard.py <descriptor> <program> <arguments>`.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Start the command, wait for it or for the end of the pipe, and return its exit code."""
    control, command = int(arguments[0]), arguments[1:]
    cut = threading.Event()
    # A handler, not SIG_IGN: the command would inherit that. The guard itself outlives the group's SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    threading.Thread(target=_await_plugin, args=(control, cut), daemon=True).start()
    code = child.wait()
    if cut.is_set():
        os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _await_plugin(control: int, cut: threading.Event) -> None:
    """Block until the plugin closes its end: ask the group to end, then make it."""
    os.read(control, 1)
    cut.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
