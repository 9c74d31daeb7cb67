"""The `pulumi` on PATH as engine."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.engine.sources import InstalledEngine, UnavailableError
from tools.engine.versions import refusal

_ANSWER_SECONDS = 20
# Language hosts are searched in the folder of `pulumi` first and on PATH second, as the engine does.
_COMPANIONS = ("pulumi-language-python", "pulumi-language-python-exec", "pulumi-analyzer-policy-python")


def on_path(environ: Mapping[str, str], ignore: Path) -> InstalledEngine:
    """Return the `pulumi` on PATH, if it has a supported version and is complete; `ignore` contains our launcher.

    Raises:
        UnavailableError: there is none, or it cannot be used; the message gives the reason.
    """
    path = _without(environ.get("PATH", ""), ignore)
    found = locate(environ, ignore)
    if not found:
        raise UnavailableError("there is none")
    folder = Path(found).resolve().parent
    version = ask_version(Path(found), environ)
    reason = refusal(version)
    lacking = [name for name in _COMPANIONS if not (folder / name).exists() and not shutil.which(name, path=path)]
    if reason is None and lacking:
        reason = f"it comes without {', '.join(lacking)}"
    if reason is not None:
        raise UnavailableError(f"{found} is not used: {reason}")
    return InstalledEngine(str(Path(found).parent), version.removeprefix("v"), "on PATH")


def locate(environ: Mapping[str, str], ignore: Path) -> str | None:
    """Return the `pulumi` that a shell would find without the folder `ignore` on PATH."""
    return shutil.which("pulumi", path=_without(environ.get("PATH", ""), ignore))


def _without(path: str, ignore: Path) -> str:
    return ":".join(part for part in path.split(":") if part and Path(part) != ignore)


def ask_version(program: Path, environ: Mapping[str, str]) -> str:
    """Return the output of `pulumi version`.

    Raises:
        UnavailableError: it does not run.
    """
    try:
        answer = subprocess.run(
            [str(program), "version"],
            env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{program} does not run ({type(error).__name__})") from error
    return answer.stdout.strip()
