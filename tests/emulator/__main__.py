"""Command line of the emulator."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TextIO

from tests.emulator import daemon, runtime_selection
from tests.emulator.runtimes.process import ProcessRuntime
from tests.emulator.server import UnavailableError, serve

DEFAULT_PORT = 8642
DEFAULT_STATE = Path(".state/emulator")

DESCRIPTION = """\
A stand-in of RunPod on this machine: it answers the REST API v2 (pods, actions, logs, network volumes, catalogue,
SSH keys, billing) on loopback and holds every call and answer against RunPod's published OpenAPI document. It is not
RunPod: no GPU, no image is pulled, stock is invented, prices are those of catalogue.json. Nothing of it costs money.

Its pods are real all the same: the start command runs, SSH and the published ports answer. They outlive the emulator,
which takes them up again; only `stop --pods` or the API ends them."""

RUNTIMES = """\
runtimes:
  namespace  Linux as root: each pod has its own root, users, processes and network. No GPU, no other image.
  process    everywhere: plain processes and directories. What it cannot show:
{limits}
  auto       namespace where this machine can, else process; the runtime_selection is printed at start.

API key: any text; what precedes a + in it is the account. Keys that begin with rpa_invalid are refused.
Network volumes in the namespace runtime are as public logs show RunPod's, by FUSE, where /dev/fuse, libfuse3 and
mfusepy are there: everything is root's, chown is refused, chmod ignored or obeyed, df shows a cluster, EDQUOT at the
volume's size, a millisecond per open, EIO and stalls as told. The conditions volume_* say how; the line at the start
says what they are. A write straight into <state>/volumes is not counted until no pod has the volume.

Control plane, JSON below /_emulator/: health, faults, conditions, clock, stock, prices, market, accounts, clones,
requests, violations, pods, volumes; control*.py and faults.py say what each takes. Examples, each a POST:
  conditions    {{"volume_modes": "obeyed", "volume_megabytes": 60, "volume_eio_rate": 0.001}}
  volumes/<id>  {{"do": "stall", "seconds": 60}} or {{"do": "fail-writes", "count": 3, "error": "EDQUOT"}}
  market        {{"move": 7}}
  accounts      {{"key": "new", "sameAs": "old"}}
  clones        {{"pod": "<id>"}}
  pods/<id>     {{"do": "gap", "seconds": 60}}
  faults        [{{"method": "POST", "path": "/v2/pods$", "nth": 1, "do": {{"status": 524, "effect": true}}}}]
Files: GET /files/... serves <state>/files: stand-in repositories and small models."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    limits = "\n".join(f"             - {limit}" for limit in ProcessRuntime.limits)
    main = argparse.ArgumentParser(
        prog="python -m tests.emulator",
        description=DESCRIPTION,
        epilog=RUNTIMES.format(limits=limits),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", required=True)
    helps = {
        "serve": "run in the foreground until SIGTERM or Ctrl-C",
        "start": "have one running in the background; an older one is replaced, the same one reused",
        "stop": "end the one in the background; its pods go on and are listed",
        "status": "say whether it runs; exit code 3 when it does not",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1 (default %(default)s)")
        command.add_argument("--state", type=Path, default=DEFAULT_STATE, help="state directory (default %(default)s)")
        command.add_argument(
            "--runtime", choices=runtime_selection.RUNTIMES, default="auto", help="how pods run (default auto)"
        )
    commands.choices["stop"].add_argument("--pods", action="store_true", help="end its pods too; volumes stay")
    return main


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when done, 1 when it could not be, 3 when `status` finds none."""
    options = parser().parse_args(arguments)
    place = daemon.Place(options.state.resolve(), options.port)
    try:
        return run(options.command, place, options)
    except (UnavailableError, ValueError) as error:
        say(f"emulator: {error}", sys.stderr)
        return 1


def run(command: str, place: daemon.Place, options: argparse.Namespace) -> int:
    """Run one of the four commands."""
    match command:
        case "serve":
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
            logging.getLogger("asyncssh").setLevel(logging.WARNING)
            serve(place.directory, place.port, options.runtime)
        case "start":
            say(f"emulator {daemon.start(place, options.runtime)}")
        case "stop":
            stop(place, options)
        case "status":
            facts = daemon.health(place)
            say(f"emulator running: {daemon.describe(place, facts)}" if facts else "emulator not running")
            return 0 if facts else 3
    return 0


def stop(place: daemon.Place, options: argparse.Namespace) -> None:
    """End the emulator and say what remains."""
    say(f"emulator {daemon.stop(place)}")
    if options.pods:
        daemon.end_pods(place, options.runtime)
    for line in daemon.remaining_pods(place):
        say(f"  remains: {line}")


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line for a person."""
    print(text, file=stream or sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
