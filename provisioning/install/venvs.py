"""Python environments on the container disk, one per lock, created atomically."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.host.files import settle, staging, write
from provisioning.install import uv
from provisioning.layout import Layout

VENV_SECONDS = 120.0
MINIMUM_TORCH = (2, 6)
"""Older versions load pickled checkpoints by default (CVE-2026-68771)."""


@dataclass(frozen=True)
class Venv:
    """An environment with exactly the packages of some locks."""

    name: str
    requirements: tuple[str, ...]
    """Texts of hash-locked requirements files; empty ones are ignored."""
    system_site: bool
    """Whether the image's packages (torch) are visible."""

    def directory(self, layout: Layout) -> Path:
        """Return its path, which depends on the locks, Python and torch."""
        seed = [platform.python_version(), torch_version() if self.system_site else "", *self.requirements]
        return layout.venvs / f"{self.name}-{hashlib.sha256(chr(0).join(seed).encode()).hexdigest()[:16]}"

    def python(self, layout: Layout) -> Path:
        """Return its interpreter."""
        return self.directory(layout) / "bin" / "python"


def torch_version() -> str:
    """Return the version of the image's torch; empty without torch."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def check_torch(found: str, *, required: bool) -> None:
    """Refuse an outdated torch, or a missing one if it is required; raises InstallError."""
    if not found and required:
        raise InstallError("ComfyUI needs torch and this image has none; choose a PyTorch image (2.6 or later)")
    if found and tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < MINIMUM_TORCH:
        raise InstallError(f"this image has torch {found}, and 2.6 or later is required; choose a newer image")


def build(venv: Venv, layout: Layout, env: Mapping[str, str]) -> None:
    """Create the environment, atomically.

    Scripts in `bin` would have the temporary path in their first line, so services are started with `python -m`. The
    environment has no pip, because nothing is installed into it later.
    """
    program = uv.ensure(layout, env)
    target = venv.directory(layout)
    staged = staging(target)
    context = ["--system-site-packages"] if venv.system_site else []
    command = [str(program), "venv", "--quiet", "--python", sys.executable, *context, str(staged)]
    run(command, env=uv.settings(env), timeout=VENV_SECONDS)
    files = [staged / f"requirements-{number}.lock" for number in range(len(venv.requirements))]
    for file, text in zip(files, venv.requirements, strict=True):
        write(file, text)
    full = [file for file, text in zip(files, venv.requirements, strict=True) if text.strip()]
    if full:
        uv.install(program, staged / "bin" / "python", full, env)
    # uv leaves a world-writable lock file, which is no longer needed.
    (staged / ".lock").unlink(missing_ok=True)
    settle(staged, target)
