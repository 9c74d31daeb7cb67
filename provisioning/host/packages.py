"""System packages, which are installed if missing and cached so that a restart needs no network access."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.layout import Layout

APT_TIMEOUT = 600.0

NEEDED: Mapping[str, Callable[[], bool]] = {
    "git": lambda: shutil.which("git") is not None,
    "ca-certificates": lambda: Path("/etc/ssl/certs").is_dir(),
    # A separate package in Debian; the versioned package also works for images with another python3 than Debian's.
    f"python{sys.version_info[0]}.{sys.version_info[1]}-venv": lambda: find_spec("ensurepip") is not None,
}
"""Package names with the test whether each is installed."""


def missing() -> tuple[str, ...]:
    """Return the names of the missing packages."""
    return tuple(name for name, there in NEEDED.items() if not there())


def cache(layout: Layout) -> Path:
    """Return the directory of .deb files for this release; boot.sh computes the same name."""
    release = _os_release(Path("/etc/os-release"))
    return layout.packages / f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'rolling')}-{platform.machine()}"


def _os_release(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name: value.strip('"') for name, value in pairs}


def archive(layout: Layout) -> str:
    """Return the name of the archive with the .deb files of this release; boot.sh computes the same name."""
    return f"packages-{cache(layout).name}"


def files(layout: Layout) -> list[str]:
    """Return the names of the .deb files on the container disk."""
    return sorted(path.name for path in cache(layout).glob("*.deb"))


def install(names: tuple[str, ...], layout: Layout, env: Mapping[str, str]) -> None:
    """Install packages with apt, leaving their files in the cache; raises InstallError."""
    if shutil.which("apt-get") is None:
        raise InstallError(f"this image lacks {', '.join(names)} and has no apt-get; choose an image that has them")
    archives = cache(layout)
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    quiet = dict(env) | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=quiet, timeout=APT_TIMEOUT)
    options = [f"Dir::Cache::archives={archives}", "APT::Keep-Downloaded-Packages=true", "APT::Sandbox::User=root"]
    flags = [flag for option in options for flag in ("-o", option)]
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *flags, *names], env=quiet, timeout=APT_TIMEOUT)


def install_cached(layout: Layout, env: Mapping[str, str]) -> None:
    """Install the .deb files of the cache with dpkg, without network access; raises InstallError."""
    debs = [str(cache(layout) / name) for name in files(layout)]
    run(["dpkg", "-i", *debs], env=dict(env) | {"DEBIAN_FRONTEND": "noninteractive"}, timeout=APT_TIMEOUT)
