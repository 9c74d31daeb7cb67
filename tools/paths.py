"""Paths of the set-up. Everything is inside the checkout except the engine, which all checkouts share."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SetupPaths:
    """Folders of one checkout, and the cache that a user's checkouts share."""

    checkout: Path
    shared: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.checkout / ".venv"

    @property
    def cache(self) -> Path:
        """Files that can be created again; ignored by git."""
        return self.checkout / ".cache"

    @property
    def record(self) -> Path:
        """The result of the set-up as JSON, from which the commands read the engine's folder."""
        return self.cache / "setup.json"

    @property
    def pulumi_home(self) -> Path:
        """The engine's plugins; not in ~/.pulumi, where the stand-in would affect the user's other projects."""
        return self.cache / "pulumi-home"


def find(environ: "os._Environ[str] | dict[str, str]") -> SetupPaths:
    """Return the paths of the checkout with this file; the shared cache is in XDG_CACHE_HOME or else HOME."""
    checkout = Path(__file__).resolve().parent.parent
    return SetupPaths(checkout, _shared_cache(environ) or checkout / ".cache" / "shared")


def _shared_cache(environ: "os._Environ[str] | dict[str, str]") -> Path | None:
    """Return the user's cache folder, or None without a writable home."""
    base = environ.get("XDG_CACHE_HOME") or (environ["HOME"] + "/.cache" if environ.get("HOME") else "")
    if not base:
        return None
    folder = Path(base) / "comfyui-runpod"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
