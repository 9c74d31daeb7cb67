"""uv, installed from a hash lock: it installs packages in seconds instead of pip's minute."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.host.files import settle, staging
from provisioning.layout import Layout

LOCK = Path(__file__).with_name("uv.lock")
BOOTSTRAP_SECONDS = 600.0
INSTALL_SECONDS = 2400.0

# A mirror that is configured for pip applies to uv as well, under other names.
FROM_PIP = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_FIND_LINKS": "UV_FIND_LINKS"}
OWN_SETTINGS = {
    "UV_NO_CONFIG": "1",
    "UV_NO_CACHE": "1",
    "UV_LINK_MODE": "copy",
    "UV_SYSTEM_CERTS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_HTTP_TIMEOUT": "60",
}


def directory(layout: Layout) -> Path:
    """Return the path of this release of uv."""
    seed = f"{LOCK.read_text(encoding='utf-8')}\0{platform.machine()}\0{platform.system()}"
    return layout.venvs / f"uv-{hashlib.sha256(seed.encode()).hexdigest()[:16]}"


def ensure(layout: Layout, env: Mapping[str, str]) -> Path:
    """Return the uv program, after installing it with pip if it is missing; raises InstallError."""
    target = directory(layout)
    if not target.is_dir():
        staged = staging(target)
        python = _python_with_pip(staged, env)
        rules = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-cache-dir", "--no-input", "--quiet"]
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", *rules, "--target", str(staged / "uv")]
        run([*pip, "-r", str(LOCK)], env=env, timeout=BOOTSTRAP_SECONDS)
        settle(staged, target)
    return target / "uv" / "bin" / "uv"


def _python_with_pip(staged: Path, env: Mapping[str, str]) -> str:
    """Return the machine's Python if it has pip, otherwise that of a new environment with pip."""
    if find_spec("pip"):
        return sys.executable
    run([sys.executable, "-m", "venv", str(staged / "pip")], env=env, timeout=BOOTSTRAP_SECONDS)
    return str(staged / "pip" / "bin" / "python")


def settings(env: Mapping[str, str]) -> dict[str, str]:
    """Return uv's environment: pip's mirrors and certificates, and no user configuration."""
    mirrors = {theirs: env[ours] for ours, theirs in FROM_PIP.items() if ours in env and theirs not in env}
    certificates = {"SSL_CERT_FILE": env["PIP_CERT"]} if "PIP_CERT" in env and "SSL_CERT_FILE" not in env else {}
    return dict(env) | mirrors | certificates | OWN_SETTINGS


def install(uv: Path, python: Path, files: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install hash-locked requirements; the locks are complete, so other packages are not downloaded."""
    sources = [flag for file in files for flag in ("-r", str(file))]
    rules = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--compile-bytecode", "--quiet"]
    command = [str(uv), "pip", "install", "--python", str(python), *rules, *sources]
    try:
        run(command, env=settings(env), timeout=INSTALL_SECONDS)
    except InstallError as error:
        raise InstallError(
            f"Python packages could not be installed; check that the package index is reachable: {error}"
        ) from error
