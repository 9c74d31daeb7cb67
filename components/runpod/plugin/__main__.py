"""Entry point of the plugin: `python -m components.runpod.plugin <engine address>`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from components.runpod.intents import Intents
from components.runpod.plugin.base.account_check import OVERRIDE
from components.runpod.plugin.base.stack_file import StackFiles
from components.runpod.plugin.process.dependencies import OperatorChoices
from components.runpod.plugin.process.engine_log import EngineLog
from components.runpod.plugin.process.parent_watch import ParentWatch
from components.runpod.plugin.process.provider import RunPodProvider
from components.runpod.plugin.process.server import serve
from components.runpod.state_file import ReportedState, SavedState, backend_folder

_CHECKOUT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Run the plugin for the engine whose address is the first argument that is not an option."""
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    if not addresses:
        sys.stderr.write("this program is started by the Pulumi engine, with the engine's address as argument\n")
        return 2
    parent_watch = ParentWatch(int(os.environ.get("RUNPOD_PLUGIN_PARENT", os.getppid())))
    parent_watch.watch()
    folder = Path(os.environ.get("COMFYUI_RUNPOD_STATE", _CHECKOUT / ".state")) / "intents"
    checkpoint = SavedState(backend_folder(os.environ), ReportedState.parse(os.environ))
    # The engine starts its plugins in the folder of the program, where the stack files lie.
    files = StackFiles(Path.cwd())
    provider = RunPodProvider(
        EngineLog(addresses[0]),
        Intents(folder),
        parent_watch.check,
        checkpoint,
        choices=OperatorChoices(files, os.environ.get(OVERRIDE) == "1"),
    )
    asyncio.run(serve(provider, addresses[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
