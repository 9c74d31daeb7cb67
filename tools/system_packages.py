"""System packages that tests need: installed as root on Debian, otherwise listed with their use."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import SetupError
from tools.paths import find
from tools.progress import run, say


@dataclass(frozen=True)
class Need:
    """A program that tests start, its Debian package, and the tests that need it."""

    program: str
    package: str
    used_for: str


NEEDS = (
    Need("sshd", "openssh-server", "the SSH server of pods in the namespace runtime"),
    Need("iptables", "iptables", "the network of pods in the namespace runtime"),
    Need("ip", "iproute2", "the network of pods in the namespace runtime"),
    Need("nft", "nftables", "the network of pods in the namespace runtime"),
    Need("mkfs.ext4", "e2fsprogs", "the disks of pods in the namespace runtime"),
    Need("mount", "mount", "the disks of pods in the namespace runtime"),
    Need("unshare", "util-linux", "pods in the namespace runtime"),
    Need("nsenter", "util-linux", "pods in the namespace runtime"),
    Need("fusermount3", "fuse3", "network volumes with RunPod's properties, in the namespace runtime"),
    Need("chromium", "chromium", "ComfyUI's web editor in a browser"),
    Need("npm", "npm", "Comfy-Org's TypeScript client"),
    Need("postgres", "postgresql", "the gateway's database on PostgreSQL"),
    Need("nginx", "nginx-light", "the comparison in `make bench`"),
)
# Most of these are in sbin, which is not on an ordinary user's PATH.
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# Debian has a folder for each version of PostgreSQL.
_POSTGRESQL = Path("/usr/lib/postgresql")


def missing(which: Callable[[str], str | None] | None = None) -> list[Need]:
    """Return the missing programs."""
    return [need for need in NEEDS if (which or where)(need.program) is None]


def main(programs: Sequence[str] = ()) -> int:
    """Install missing packages as root on Debian, or else list the tests that are skipped.

    `programs` limits this to the packages of these programs.
    """
    needs = _wanted(programs)
    if needs and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(sorted({need.package for need in needs}))
        needs = _wanted(programs)
    for need in needs:
        say(f"not tested without {need.package}: {need.used_for}")
    return 0


def _wanted(programs: Sequence[str]) -> list[Need]:
    return [need for need in missing() if not programs or need.program in programs]


def where(program: str) -> str | None:
    """Return a program's path, including folders that are not on an ordinary user's PATH."""
    folders = (os.environ.get("PATH", ""), *_FOLDERS, *map(str, sorted(_POSTGRESQL.glob("*/bin"))))
    return shutil.which(program, path=os.pathsep.join(folders))


def _install(packages: list[str]) -> None:
    """Install packages without starting their services."""
    log = find(dict(os.environ)).cache / "apt.log"
    policy = Path("/usr/sbin/policy-rc.d")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run("apt-get update", ["apt-get", "-q", "update"], log=log, env=environ, limit_seconds=300)
        command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages]
        run(f"installing {', '.join(packages)}", command, log=log, env=environ, limit_seconds=600)
    except SetupError as error:
        say(f"  {error}")
    finally:
        if ours:
            policy.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
