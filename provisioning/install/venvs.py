"""Python environments on the volume: one per lock, made beside and renamed when whole."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.host.files import write
from provisioning.layout import Layout

PIP_TIMEOUT = 2400.0
MINIMUM_TORCH = (2, 6)
"""Older ones load pickled checkpoints by default (CVE-2026-68771)."""


@dataclass(frozen=True)
class Venv:
    """An environment that is to hold exactly the packages of some locks."""

    name: str
    requirements: tuple[str, ...]
    """Texts of hash-locked requirements files; empty ones are left out."""
    system_site: bool
    """Whether the image's own packages (torch) are seen."""

    def directory(self, layout: Layout) -> Path:
        """Return where it lies: another lock, Python or torch makes another environment."""
        seed = [platform.python_version(), torch_version() if self.system_site else "", *self.requirements]
        return layout.venvs / f"{self.name}-{hashlib.sha256(chr(0).join(seed).encode()).hexdigest()[:16]}"

    def python(self, layout: Layout) -> Path:
        """Return its interpreter."""
        return self.directory(layout) / "bin" / "python"


def torch_version() -> str:
    """Return the version of the image's torch; empty when it has none."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def check_torch(found: str, *, required: bool) -> None:
    """Refuse a torch that is too old, or missing where it is required; raises InstallError."""
    if not found and required:
        raise InstallError("ComfyUI needs torch and this image has none; choose a PyTorch image (2.7 or later)")
    if found and tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < MINIMUM_TORCH:
        raise InstallError(f"this image has torch {found}; 2.6 or later is needed, choose a newer image")


def build(venv: Venv, layout: Layout, env: Mapping[str, str]) -> None:
    """Make the environment; killed anywhere, it is whole or absent under its name.

    Scripts in `bin` would carry the staged path in their first line, so services are started with `python -m`.
    """
    target = venv.directory(layout)
    staged = target.with_name(f".{target.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.parent.mkdir(parents=True, exist_ok=True)
    site = ["--system-site-packages"] if venv.system_site else []
    run([sys.executable, "-m", "venv", *site, str(staged)], env=env, timeout=PIP_TIMEOUT)
    _install([text for text in venv.requirements if text.strip()], staged, env)
    staged.rename(target)


def _install(texts: Sequence[str], directory: Path, env: Mapping[str, str]) -> None:
    if not texts:
        return
    files = [directory / f"requirements-{number}.lock" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        write(file, text)
    sources = [flag for file in files for flag in ("-r", str(file))]
    # The locks are complete, so nothing is resolved here: what they do not name is not fetched.
    rules = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-cache-dir", "--no-input"]
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, *rules, *sources], env=env, timeout=PIP_TIMEOUT)
