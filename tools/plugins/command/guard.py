"""Run one command in a new session, and end the whole session when the pipe from the plugin closes.

The plugin may be killed and then cannot end its commands, but the kernel closes the pipe.
Run by path, with the standard library only: `python -I -S guard.py <descriptor> <program> <arguments>`.
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
    # A handler, because the command would inherit SIG_IGN. The guard itself survives the group's SIGTERM.
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
    """Wait until the plugin closes its end; then terminate the group, and kill it after a while."""
    os.read(control, 1)
    cut.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
