"""`python -m stacks.cli <command> --env ENV`: what the Makefile runs."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable

from stacks.cli import consent
from stacks.cli import options as options_of
from stacks.cli.checkout import Checkout, find_checkout
from stacks.cli.commands import destroy, emulator, init, preview, up
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, passthrough, state_locks
from stacks.cli.pulumi.engine import Engine

DEFAULT_ENV = "local"


def main(arguments: list[str]) -> int:
    """Run one command. 0: done; 1: an error was printed; 130: interrupted; otherwise the engine's exit code."""
    if arguments[:1] == ["pulumi"]:
        return exec_pulumi(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        options = options_of.checked(options)
        return COMMANDS[options.command](find_checkout(options.env), options) or 0
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    return options_of.parser(COMMANDS, DEFAULT_ENV)


def show_output(checkout: Checkout, _options: argparse.Namespace) -> None:
    """Print all outputs as one JSON object, secrets masked."""
    print(json.dumps(environment.prepared(checkout, os.environ).query_json("stack", "output", "--json"), indent=2))


def show_key(checkout: Checkout, options: argparse.Namespace) -> None:
    """Print the client key, or manage the gateway's keys."""
    from stacks.cli.commands import key  # noqa: PLC0415  (other commands need not wait for the HTTP client)

    key.run(environment.prepared(checkout, os.environ), options)


def show_pods(checkout: Checkout, _options: argparse.Namespace) -> None:
    """Print the account's resources as a JSON array."""
    from stacks.cli.account import account_items  # noqa: PLC0415  (other commands need not wait for the API client)

    print(
        json.dumps(
            [item.public() for item in account_items.list_all(environment.prepared(checkout, os.environ))], indent=2
        )
    )


def show_settings(checkout: Checkout, _options: argparse.Namespace) -> None:
    """Print shell commands after which plain `pulumi` works: `eval "$(make -s env ENV=dev)"`."""
    for name, value in environment.settings(checkout, os.environ).items():
        print(f'export PATH={shlex.quote(value)}:"$PATH"' if name == "PATH" else f"export {name}={shlex.quote(value)}")


def show_log(checkout: Checkout, options: argparse.Namespace) -> None:
    """Print the pod's log."""
    from stacks.cli.commands import pod  # noqa: PLC0415  (likewise)

    pod.show_log(environment.prepared(checkout, os.environ), follow=options.follow)


def open_shell(checkout: Checkout, options: argparse.Namespace) -> int:
    """Log in to the pod."""
    from stacks.cli.commands import pod  # noqa: PLC0415  (likewise)

    return pod.shell(environment.prepared(checkout, os.environ), [options.cmd] if options.cmd else [])


def save_database(checkout: Checkout, options: argparse.Namespace) -> int:
    """Copy the gateway's database to a local file."""
    from stacks.cli.commands import database  # noqa: PLC0415  (likewise)

    return database.backup(environment.prepared(checkout, os.environ), options.file or "")


def restore_database(checkout: Checkout, options: argparse.Namespace) -> int:
    """Replace the gateway's database with a backup."""
    from stacks.cli.commands import database  # noqa: PLC0415  (likewise)

    engine = environment.prepared(checkout, os.environ)
    return database.restore(engine, options.file or "", consent.from_option(checkout, options.yes))


def write_lock(checkout: Checkout, _options: argparse.Namespace) -> None:
    """Write resolved hashes and commits to the lock file."""
    from stacks.cli.commands import lock  # noqa: PLC0415  (likewise)

    lock.run(environment.prepared(checkout, os.environ))


def show_placement(checkout: Checkout, options: argparse.Namespace) -> None:
    """Print the placement plan."""
    from stacks.cli.commands import placement  # noqa: PLC0415  (likewise)

    placement.run(checkout, options.file or "")


def run_doctor(checkout: Checkout, options: argparse.Namespace) -> int:
    """Print an environment's problems and the commands that help."""
    from stacks.cli.commands import doctor  # noqa: PLC0415  (likewise)

    return doctor.run(checkout, as_json=options.json)


def run_sweep(checkout: Checkout, options: argparse.Namespace) -> int:
    """Delete orphans."""
    from stacks.cli.account import ownership  # noqa: PLC0415  (likewise)
    from stacks.cli.commands import sweep  # noqa: PLC0415  (likewise)

    ids, volumes = (frozenset((text or "").split()) for text in (options.ids, options.volumes))
    return sweep.run(checkout, ownership.ResourceSelection(ids, volumes), consent.from_option(checkout, options.yes))


def run_break_glass(checkout: Checkout, options: argparse.Namespace) -> int:
    """Delete an environment with the API key alone."""
    from stacks.cli.commands import break_glass  # noqa: PLC0415  (likewise)

    agreed = consent.from_option(checkout, options.yes)
    return break_glass.run(checkout, agreed, instance=options.instance or "", keep_volumes=options.keep_volumes)


def pause_pod(checkout: Checkout, options: argparse.Namespace) -> int:
    """Delete the pod and keep the volume."""
    from stacks.cli.commands import pause  # noqa: PLC0415  (likewise)

    return pause.run(checkout, consent.from_option(checkout, options.yes))


def stop_emulator(checkout: Checkout, _options: argparse.Namespace) -> None:
    """Stop the RunPod stand-in of this environment."""
    print(emulator.stop(checkout))


def exec_pulumi(arguments: list[str]) -> int:
    """Plain `pulumi` with the same settings: replace this process with the engine; return only on an error."""
    root = find_checkout(DEFAULT_ENV).root
    checkout = find_checkout(passthrough.stack_name(arguments, root, os.environ) or DEFAULT_ENV)
    from stacks.cli.account import preview_context  # noqa: PLC0415  (it needs what only a set-up checkout has)

    try:
        settings = environment.for_engine(checkout, os.environ)
        program = checkout.setup()["engine"]["folder"] + "/pulumi"
        state_locks.break_stale_of(checkout, settings)
        engine = Engine(checkout, settings, passthrough.selected_stack(arguments, root, os.environ))
        own = passthrough.command_variables(arguments)
        if own:
            engine = preview_context.with_preview_context(engine)
        elif passthrough.may_change(arguments):
            engine = preview_context.with_unfinished_creations(engine)
        environ = own | dict(engine.environ)
        os.execve(program, ["pulumi", *arguments], environ)  # noqa: S606  (no shell: the very arguments)
    except (CliError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


COMMANDS: dict[str, Callable[[Checkout, argparse.Namespace], int | None]] = {
    "up": lambda checkout, options: up.run(
        checkout, DEFAULT_ENV, consent.from_option(checkout, options.yes), options.placement or ""
    ),
    "pause": pause_pod,
    "resume": lambda checkout, options: up.run(checkout, DEFAULT_ENV, consent.from_option(checkout, options.yes)),
    "preview": lambda checkout, _options: preview.run(checkout),
    "destroy": lambda checkout, options: destroy.run(checkout, consent.from_option(checkout, options.yes)),
    "init": lambda checkout, options: init.run(checkout, options.secrets or ""),
    "output": show_output,
    "key": show_key,
    "pods": show_pods,
    "env": show_settings,
    "logs": show_log,
    "ssh": open_shell,
    "backup": save_database,
    "restore": restore_database,
    "lock": write_lock,
    "placement": show_placement,
    "doctor": run_doctor,
    "sweep": run_sweep,
    "break-glass": run_break_glass,
    "stop-emulator": stop_emulator,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
