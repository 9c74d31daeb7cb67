"""Install pulumi-command's plugin: the official one, or else the stand-in."""

import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tools.engine.sources import InstalledEngine
from tools.errors import SetupError
from tools.paths import SetupPaths
from tools.progress import run, say

NAME = "command"
VERSION = "1.2.1"
OFFICIAL = "official"
STANDIN = "stand-in"
# Checked first, because the engine retries an unreachable site for minutes.
SITE = "https://get.pulumi.com/releases/plugins"
_CONNECT_SECONDS = 10
_INSTALL_SECONDS = 180
_LAUNCHER = """#!/bin/sh
# Stand-in for pulumi-command {version}.
exec "{python}" -m tools.plugins.command "$@"
"""


def install(paths: SetupPaths, engine: InstalledEngine, environ: Mapping[str, str], site: str = SITE) -> str:
    """Install the plugin into the checkout's PULUMI_HOME and return which one it is.

    Raises:
        SetupError: the folder cannot be written.
    """
    folder = paths.pulumi_home / "plugins" / f"resource-{NAME}-v{VERSION}"
    if _reachable(site) and _official(paths, engine, environ, folder):
        return OFFICIAL
    say("pulumi-command's official plugin is not reachable: using the stand-in in tools/plugins/command")
    write_standin(paths, folder)
    return STANDIN


def write_standin(paths: SetupPaths, folder: Path) -> None:
    """Create the plugin folder of the stand-in with its launcher, atomically."""
    partial = folder.parent / f"{folder.name}.new"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    launcher = partial / f"pulumi-resource-{NAME}"
    python = paths.venv / "bin" / "python"
    launcher.write_text(_LAUNCHER.format(version=VERSION, python=python))
    launcher.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _reachable(site: str) -> bool:
    request = urllib.request.Request(f"{site}/", method="HEAD", headers={"User-Agent": "comfyui-runpod-setup/1"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS):  # noqa: S310  (https, fixed host)
            return True
    except urllib.error.HTTPError:
        return True  # the engine checks whether the site has the plugin
    except OSError:
        return False


def _official(paths: SetupPaths, engine: InstalledEngine, environ: Mapping[str, str], folder: Path) -> bool:
    """Install it with the engine, within three minutes; remove a partly unpacked folder."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    try:
        run(
            f"installing pulumi-command {VERSION}",
            [f"{engine.folder}/pulumi", "plugin", "install", "resource", NAME, f"v{VERSION}"],
            env={**environ, "PULUMI_HOME": str(paths.pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"},
            log=paths.cache / "plugin.log",
            limit_seconds=_INSTALL_SECONDS,
        )
    except SetupError as error:
        say(f"  pulumi-command: {str(error).splitlines()[0]} after {time.monotonic() - started:.0f} s")
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return (folder / f"pulumi-resource-{NAME}").exists()
