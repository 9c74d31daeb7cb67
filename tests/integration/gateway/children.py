"""What the bench's processes run; imported once, in the process that they are all forked from."""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path

import aiohttp.web
import PIL.Image

from provisioning.gateway.__main__ import main
from provisioning.gateway.core.database.log.volume_files import VolumeFiles

STAND_IN = Path(__file__).parents[2] / "comfyui" / "source"
PRELOADED = (aiohttp.web, PIL.Image)
"""What the stand-in spends its start on."""


def gateway(config: str) -> None:
    """Be a gateway until killed."""
    _be_quiet()
    sys.exit(main(["serve", "--config", config]))


def stalling_gateway(config: str, stall: str) -> None:
    """Be a gateway whose volume stalls while there is a file of that name."""
    flag = Path(stall)

    def stalling(name: str) -> None:
        plain = getattr(VolumeFiles, name)

        def slow(*arguments: object) -> object:
            while flag.exists():
                time.sleep(0.02)
            return plain(*arguments)

        setattr(VolumeFiles, name, slow)

    for name in ("open", "write", "sync", "exists", "put"):
        stalling(name)
    gateway(config)


def comfyui(port: str, base: str) -> None:
    """Be ComfyUI's stand-in until killed."""
    _be_quiet()
    os.environ["STAND_IN_STEP_SECONDS"] = "0.02"
    os.chdir(STAND_IN)
    sys.path.insert(0, str(STAND_IN))
    sys.argv = ["main.py", "--port", port, "--base-directory", base]
    runpy.run_path("main.py", run_name="__main__")


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
