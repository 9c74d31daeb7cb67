"""Where the set-up puts things. Everything is inside the checkout but the engine, which all checkouts share."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SetupPaths:
    """Folders of one checkout, and the cache that several checkouts of one user share."""

    checkout: Path
    shared: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.checkout / ".venv"

    @property
    def cache(self) -> Path:
        """What can be made again at any time; ignored by git."""
        return self.checkout / ".cache"

    @property
    def record(self) -> Path:
        """What the set-up chose, as JSON; the commands read the engine's folder from it."""
        return self.cache / "setup.json"

    @property
    def pulumi_home(self) -> Path:
        """The engine's plugins. Not ~/.pulumi: a stand-in there would serve the user's other projects too."""
        return self.cache / "pulumi-home"


def find(environ: "os._Environ[str] | dict[str, str]") -> SetupPaths:
    """The paths of the checkout this file is in; the shared cache follows XDG_CACHE_HOME, then HOME."""
    checkout = Path(__file__).resolve().parent.parent
    return SetupPaths(checkout, _shared_cache(environ) or checkout / ".cache" / "shared")


def _shared_cache(environ: "os._Environ[str] | dict[str, str]") -> Path | None:
    """The user's cache folder, or None where there is no home that can be written."""
    base = environ.get("XDG_CACHE_HOME") or (environ["HOME"] + "/.cache" if environ.get("HOME") else "")
    if not base:
        return None
    folder = Path(base) / "comfyui-runpod"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
