"""Checkouts of repositories at one commit: fetched, verified, and renamed into place atomically."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from provisioning.contract import SourcePin
from provisioning.errors import InstallError
from provisioning.host.commands import run
from provisioning.host.files import settle, staging

GIT_TIMEOUT = 900.0
COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ADDRESS = re.compile(r"https?://[\x21-\x7e]+")

# Git must not run code of a repository or the machine: no hooks, no user configuration, no prompts, and no transport
# that starts a program.
GIT_ENV = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "https:http",
    "GIT_LFS_SKIP_SMUDGE": "1",
}


def validate(pin: SourcePin) -> None:
    """Refuse an invalid pin; raises InstallError naming it."""
    if not COMMIT.fullmatch(pin.commit):
        raise InstallError(f"{pin.name}: commit must be 40 hexadecimal digits; pin it with `make lock`")
    if not NAME.fullmatch(pin.name):
        raise InstallError(f"{pin.name!r} is not a valid directory name; rename it in the stack file")
    if not ADDRESS.fullmatch(pin.repository):
        raise InstallError(f"{pin.name}: the repository's address must begin with https:// and contain no spaces")


def archive(pin: SourcePin) -> str:
    """Return the name of the archive of a checkout on the volume."""
    return f"source-{pin.name}-{pin.commit}"


def fetch(pin: SourcePin, target: Path, env: Mapping[str, str]) -> None:
    """Check out `pin` at `target`, which must not exist yet, atomically."""
    validate(pin)
    staged = staging(target)
    staged.mkdir(parents=True)
    _check_out(pin, staged, dict(env) | GIT_ENV)
    shutil.rmtree(staged / ".git")
    refuse_links_out(staged, pin.name)
    _lay_out_defaults(staged)
    settle(staged, target)


def _check_out(pin: SourcePin, directory: Path, env: Mapping[str, str]) -> None:
    def git(*args: str) -> str:
        return run(["git", *args], env=env, cwd=directory, timeout=GIT_TIMEOUT)

    git("init", "--quiet")
    git("remote", "add", "origin", pin.repository)
    try:
        git("fetch", "--quiet", "--depth", "1", "origin", pin.commit)
    except InstallError:
        # Plain file servers support neither shallow fetches nor single commits.
        git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    try:
        git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", pin.commit)
    except InstallError as error:
        raise InstallError(
            f"{pin.name}: {pin.repository} has no commit {pin.commit} (pinned for {pin.ref}); pin an existing commit"
        ) from error
    head = git("rev-parse", "HEAD").strip()
    if head != pin.commit:
        raise InstallError(
            f"{pin.name}: {pin.repository} returned {head} instead of the pinned {pin.commit}; nothing was installed"
        )


def refuse_links_out(directory: Path, name: str) -> None:
    """Raise InstallError for a link that points outside of a checkout: root would read and write through it."""
    top = Path(os.path.realpath(directory))
    for path in directory.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(top):
            where = path.relative_to(directory)
            raise InstallError(f"{name}: the link {where} points outside of the repository; nothing was installed")


def _lay_out_defaults(directory: Path) -> None:
    """Copy default settings, as some nodes do at their first import, when they are no longer writable."""
    for default in directory.glob("*.default.json"):
        own = default.with_name(default.name.replace(".default.json", ".json"))
        if not own.exists():
            shutil.copy(default, own)


def version(directory: Path) -> tuple[int, ...] | None:
    """Return ComfyUI's version from its checkout; None when unknown."""
    file = directory / "comfyui_version.py"
    found = re.search(r"__version__\s*=\s*[\"'](\d+(?:\.\d+)*)", file.read_text("utf-8")) if file.exists() else None
    return tuple(int(part) for part in found.group(1).split(".")) if found else None
