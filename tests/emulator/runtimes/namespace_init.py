"""The two processes of a pod's container: its keeper outside, and what becomes its first process inside.

Run as a program by the runtime. The keeper reads one line of JSON, answers `ready <pid>` when the namespaces are there,
and waits for one more byte while the runtime connects the network. After that it only keeps the log and the exit code,
and needs the runtime no longer.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import NoReturn

from tests.emulator.runtimes import namespace_disk as disk
from tests.emulator.runtimes import namespace_kernel as kernel
from tests.emulator.runtimes import namespace_mounts as mounts

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWNET | kernel.CLONE_NEWCGROUP
)
_NOT_FOUND = 127
_CHUNK = 65536


@dataclass(frozen=True)
class Order:
    """What the keeper is told; it travels through a pipe, for the environment holds secrets."""

    home: str
    """Directory of the pod on the machine."""
    argv: list[str]
    env: dict[str, str]
    hostname: str
    address: str
    resolver: str
    private: list[str]
    """Paths hidden in the pod beside those that always are, relative to the root."""
    volume: str | None
    mount_path: str
    disk_gb: int
    volume_mb: int = 0
    volume_server: int = 0
    """The process that serves the volume; `volume` is then the mount in its mount namespace. 0: a plain directory."""

    def to_json(self) -> str:
        """Return the order as one line."""
        return json.dumps(asdict(self))


def main() -> int:
    """Keep one pod; the exit code is of no interest, the start command's is in exit.json."""
    order = Order(**json.loads(_read_line()))
    log_end, pod_end = os.pipe()
    ready_end, made_end = os.pipe()
    kernel.unshare(kernel.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        os.close(log_end)
        os.close(ready_end)
        become_pod(order, made=made_end, output=pod_end)
    os.close(pod_end)
    os.close(made_end)
    if os.read(ready_end, 1):
        print(f"ready {child}", flush=True)  # noqa: T201  the answer the runtime waits for
    keep(Path(order.home), child, log_end)
    return 0


def keep(home: Path, child: int, log_end: int) -> None:
    """Append what the pod says to its log until all its processes ended, then write down how the first one ended."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    with (home / "log").open("ab", buffering=0) as log:
        while chunk := os.read(log_end, _CHUNK):
            with suppress(OSError):  # a full disk costs the pod its log, not its life
                log.write(chunk)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    draft = home / "exit.draft"
    # A shell's convention, as container engines report it: 128 and the signal's number.
    draft.write_text(json.dumps({"exit_code": code if code >= 0 else 128 - code}), encoding="utf-8")
    draft.replace(home / "exit.json")


def become_pod(order: Order, *, made: int, output: int) -> NoReturn:
    """Turn this process into the pod's first one; on failure say why to the runtime and end."""
    # The copy is closed by exec: the runtime reads on until then, and what it reads is what went wrong.
    complaints = os.dup(1)
    try:
        kernel.die_with_parent(signal.SIGKILL)
        kernel.unshare(_NAMESPACES)
        os.write(made, b"!")
        os.close(made)
        if not os.read(0, 1):
            os._exit(1)  # the runtime was killed meanwhile
        _build(order)
        _redirect(output)
        _execute(order, complaints)
    except CalledProcessError as error:
        os.write(complaints, f"{error}: {error.stderr.decode(errors='replace').strip()}".encode())
    except OSError as error:
        os.write(complaints, str(error).encode())
    finally:
        os._exit(1)


def _build(order: Order) -> None:
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    os.umask(0o022)
    places = mounts.Places(Path(order.home))
    mounts.mount_disk(places, order.disk_gb)
    what = disk.upper(Path("/"), order.private, order.hostname, order.address, order.resolver)
    mounts.mount_root(places, what)
    mounts.mount_system(places.root)
    if order.volume is not None and order.volume_server:
        mounts.mount_served_volume(places.root, order.volume_server, order.volume, order.mount_path)
    elif order.volume is not None:
        mounts.mount_volume(places.root, Path(order.volume), order.mount_path, order.volume_mb)
    kernel.change_root(str(places.root))
    kernel.set_hostname(order.hostname)


def _redirect(output: int) -> None:
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    # What Python, or a shell that started the emulator in the background, ignores would be ignored in the pod too.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(order: Order, complaints: int) -> NoReturn:
    os.setgroups([0])
    kernel.keep_capabilities(kernel.POD_CAPABILITIES)
    env = {"PATH": PATH, "HOME": "/root", "HOSTNAME": order.hostname, **order.env}
    try:
        os.execvpe(order.argv[0], order.argv, env)  # noqa: S606  a pod runs what it is told, as it is told
    except (FileNotFoundError, PermissionError) as error:
        # The container was made; it is its command that cannot run. That belongs into its log, as on RunPod.
        os.write(2, f"exec {order.argv[0]}: {error.strerror}\n".encode())
        os.close(complaints)
        os._exit(_NOT_FOUND)


def _read_line() -> str:
    """Read up to the first line feed and no byte further: the next one is for the pod's first process."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


if __name__ == "__main__":
    sys.exit(main())
