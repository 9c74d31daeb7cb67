"""An engine that somebody else installed: the `pulumi` on PATH."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.engine.sources import Engine, UnavailableError
from tools.engine.versions import refusal

_ANSWER_SECONDS = 20
# Language hosts are looked for beside `pulumi` first and on PATH second, as the engine itself does.
_COMPANIONS = ("pulumi-language-python", "pulumi-language-python-exec", "pulumi-analyzer-policy-python")


def on_path(environ: Mapping[str, str], ignore: Path) -> Engine:
    """The `pulumi` on PATH, when it is of the right line and complete; our own launcher lies in `ignore`.

    Raises:
        UnavailableError: there is none, or it cannot be used; the message says why.
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
        raise UnavailableError(f"{found} is passed over: {reason}")
    return Engine(str(Path(found).parent), version.removeprefix("v"), "on PATH")


def locate(environ: Mapping[str, str], ignore: Path) -> str | None:
    """The `pulumi` that a shell would find, were the folder `ignore` not on PATH."""
    return shutil.which("pulumi", path=_without(environ.get("PATH", ""), ignore))


def _without(path: str, ignore: Path) -> str:
    return ":".join(part for part in path.split(":") if part and Path(part) != ignore)


def ask_version(program: Path, environ: Mapping[str, str]) -> str:
    """What `pulumi version` prints.

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
