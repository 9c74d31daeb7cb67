"""`python -m stacks.cli <command> --env ENV`: what the Makefile runs."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable

from stacks.cli import consent, destroy, emulator, environment, init, locks, plain, preview, up
from stacks.cli import options as options_of
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.place import Place, here

DEFAULT_ENV = "local"


def main(arguments: list[str]) -> int:
    """Run one command. 0: done; 1: an error that was said; 130: interrupted; otherwise the engine's own code."""
    if arguments[:1] == ["pulumi"]:
        return become_engine(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        options = options_of.checked(options)
        return COMMANDS[options.command](here(options.env), options) or 0
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    return options_of.parser(COMMANDS, DEFAULT_ENV)


def show_output(place: Place, _options: argparse.Namespace) -> None:
    """Print all outputs as one JSON object, secrets masked."""
    print(json.dumps(environment.prepared(place, os.environ).ask_json("stack", "output", "--json"), indent=2))


def show_key(place: Place, options: argparse.Namespace) -> None:
    """Print the client key, or manage the gateway's keys."""
    from stacks.cli import key  # noqa: PLC0415  (other commands need not wait for the HTTP client)

    key.run(environment.prepared(place, os.environ), options)


def show_pods(place: Place, _options: argparse.Namespace) -> None:
    """Print what the account holds as a JSON array."""
    from stacks.cli import account  # noqa: PLC0415  (other commands need not wait for the API client)

    print(json.dumps([item.public() for item in account.items(environment.prepared(place, os.environ))], indent=2))


def show_settings(place: Place, _options: argparse.Namespace) -> None:
    """Print shell commands after which plain `pulumi` works: `eval "$(make -s env ENV=dev)"`."""
    for name, value in environment.settings(place, os.environ).items():
        print(f'export PATH={shlex.quote(value)}:"$PATH"' if name == "PATH" else f"export {name}={shlex.quote(value)}")


def show_log(place: Place, options: argparse.Namespace) -> None:
    """Print the pod's log."""
    from stacks.cli import pod  # noqa: PLC0415  (likewise)

    pod.show_log(environment.prepared(place, os.environ), follow=options.follow)


def open_shell(place: Place, options: argparse.Namespace) -> int:
    """Log in to the pod."""
    from stacks.cli import pod  # noqa: PLC0415  (likewise)

    return pod.shell(environment.prepared(place, os.environ), [options.cmd] if options.cmd else [])


def save_database(place: Place, options: argparse.Namespace) -> int:
    """Copy the gateway's database to a file here."""
    from stacks.cli import database  # noqa: PLC0415  (likewise)

    return database.backup(environment.prepared(place, os.environ), options.file or "")


def put_database_back(place: Place, options: argparse.Namespace) -> int:
    """Put such a file in the database's place."""
    from stacks.cli import database  # noqa: PLC0415  (likewise)

    engine = environment.prepared(place, os.environ)
    return database.restore(engine, options.file or "", consent.of(place, options.yes))


def write_lock(place: Place, _options: argparse.Namespace) -> None:
    """Record hashes and commits."""
    from stacks.cli import lock  # noqa: PLC0415  (likewise)

    lock.run(environment.prepared(place, os.environ))


def show_placement(place: Place, options: argparse.Namespace) -> None:
    """Say where a pod would go."""
    from stacks.cli import placement  # noqa: PLC0415  (likewise)

    placement.run(place, options.file or "")


def look_over(place: Place, options: argparse.Namespace) -> int:
    """Say what is wrong with an environment and which command helps."""
    from stacks.cli import doctor  # noqa: PLC0415  (likewise)

    return doctor.run(place, as_json=options.json)


def end_orphans(place: Place, options: argparse.Namespace) -> int:
    """End what belongs to nobody any more."""
    from stacks.cli import standing, sweep  # noqa: PLC0415  (likewise)

    ids, volumes = (frozenset((text or "").split()) for text in (options.ids, options.volumes))
    return sweep.run(place, standing.Named(ids, volumes), consent.of(place, options.yes))


def end_without_state(place: Place, options: argparse.Namespace) -> int:
    """End an environment with nothing but the API key."""
    from stacks.cli import break_glass  # noqa: PLC0415  (likewise)

    agreed = consent.of(place, options.yes)
    return break_glass.run(place, agreed, instance=options.instance or "", keep_volumes=options.keep_volumes)


def pause_pod(place: Place, options: argparse.Namespace) -> int:
    """End the pod and keep the volume."""
    from stacks.cli import pause  # noqa: PLC0415  (likewise)

    return pause.run(place, consent.of(place, options.yes))


def stop_emulator(place: Place, _options: argparse.Namespace) -> None:
    """Stop the stand-in of this environment."""
    print(emulator.stop(place))


def become_engine(arguments: list[str]) -> int:
    """Plain `pulumi` with the same settings: replace this process by the engine; a return is an error."""
    root = here(DEFAULT_ENV).root
    place = here(plain.stack_name(arguments, root, os.environ) or DEFAULT_ENV)
    from stacks.cli import told  # noqa: PLC0415  (it needs what only a set-up checkout has)

    try:
        settings = environment.for_engine(place, os.environ)
        program = place.setup()["engine"]["folder"] + "/pulumi"
        locks.break_stale_of(place, settings)
        engine = Engine(place, settings, plain.named(arguments, root, os.environ))
        own = plain.own_settings(arguments)
        if own:
            engine = told.what_runs(engine)
        elif plain.changes(arguments):
            engine = told.interrupted(engine)
        environ = own | dict(engine.environ)
        os.execve(program, ["pulumi", *arguments], environ)  # noqa: S606  (no shell: the very arguments)
    except (CliError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


COMMANDS: dict[str, Callable[[Place, argparse.Namespace], int | None]] = {
    "up": lambda place, options: up.run(place, DEFAULT_ENV, consent.of(place, options.yes), options.placement or ""),
    "pause": pause_pod,
    "resume": lambda place, options: up.run(place, DEFAULT_ENV, consent.of(place, options.yes)),
    "preview": lambda place, _options: preview.run(place),
    "destroy": lambda place, options: destroy.run(place, consent.of(place, options.yes)),
    "init": lambda place, options: init.run(place, options.secrets or ""),
    "output": show_output,
    "key": show_key,
    "pods": show_pods,
    "env": show_settings,
    "logs": show_log,
    "ssh": open_shell,
    "backup": save_database,
    "restore": put_database_back,
    "lock": write_lock,
    "placement": show_placement,
    "doctor": look_over,
    "sweep": end_orphans,
    "break-glass": end_without_state,
    "stop-emulator": stop_emulator,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
