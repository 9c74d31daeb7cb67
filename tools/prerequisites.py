"""Required programs, checked before anything is written."""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.errors import SetupError

PROGRAMS: Mapping[str, str] = {
    "git": "the installer pins ComfyUI and its nodes by git commit",
    "ssh": "`make ssh` opens a shell on the pod",
}


def check(
    venv: Path,
    which: Callable[[str], str | None] = shutil.which,
    has_module: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None,
) -> None:
    """Raise a SetupError that names all missing programs."""
    missing = [f"{name} ({why})" for name, why in PROGRAMS.items() if which(name) is None]
    if not venv.exists() and not has_module("ensurepip"):
        missing.append("Python's venv and ensurepip (Debian and Ubuntu: apt-get install python3-venv)")
    if missing:
        raise SetupError(f"Missing on this machine: {'; '.join(missing)}. Install it and run the same command again.")
