"""Entry point of the plugin: `python -m components.runpod.plugin <engine address>`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from components.runpod.checkpoint import Checkpoint, Told, backend_folder
from components.runpod.intents import Intents
from components.runpod.plugin.account_check import OVERRIDE
from components.runpod.plugin.engine import EngineLog
from components.runpod.plugin.life import Lifeline
from components.runpod.plugin.provider import RunPodProvider
from components.runpod.plugin.server import serve
from components.runpod.plugin.stack_file import StackFiles
from components.runpod.plugin.surroundings import Person

_CHECKOUT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Run the plugin for the engine whose address is the first argument that is not an option."""
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    if not addresses:
        sys.stderr.write("this program is started by the Pulumi engine, with the engine's address as argument\n")
        return 2
    lifeline = Lifeline(int(os.environ.get("RUNPOD_PLUGIN_PARENT", os.getppid())))
    lifeline.watch()
    folder = Path(os.environ.get("COMFYUI_RUNPOD_STATE", _CHECKOUT / ".state")) / "intents"
    checkpoint = Checkpoint(backend_folder(os.environ), Told.parse(os.environ))
    # The engine starts its plugins in the folder of the program, where the stack files lie.
    files = StackFiles(Path.cwd())
    provider = RunPodProvider(
        EngineLog(addresses[0]),
        Intents(folder),
        lifeline.check,
        checkpoint,
        person=Person(files, os.environ.get(OVERRIDE) == "1"),
    )
    asyncio.run(serve(provider, addresses[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
