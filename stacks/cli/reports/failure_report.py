"""The last lines of a failed `up`: the failure, what exists now, what it costs, and how to continue."""

from __future__ import annotations

from collections.abc import Iterable

from stacks.cli.account import environment_resources
from stacks.cli.account.account_items import AccountItem
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.event_log import Failure

_SHOWN = 3
"""Number of failures to print; later ones usually follow from the first."""


def format_report(engine: Engine, failures: Iterable[Failure], *, interrupted: bool, act: str = "up") -> str:
    """Return the last lines of a failed `up` or `pause`; resources come from RunPod, since the state may lack some."""
    env = engine.checkout.env
    began = f"{act} was interrupted" if interrupted else f"{act} failed"
    lines = [f"{began}{_at(list(failures))}"]
    try:
        matcher = environment_resources.matcher_of(engine, stack.deployment(engine))
        # A resource that only has a similar name may be another person's, and `make destroy` would not delete it.
        found = [item for item in environment_resources.list_resources(engine, matcher) if not matcher.resembles(item)]
    except CliError as error:
        return "\n".join([*lines, f"what exists now is not known: {error}", *next_commands(env)])
    return "\n".join([*lines, *format_costs(env, found)])


def format_costs(env: str, found: Iterable[AccountItem]) -> list[str]:
    """Return the existing resources with their cost, the sum, and how to continue."""
    listed = [item for item in found if item.usdPerHour or item.type in {"pod", "volume"}]
    if not listed:
        return [f"nothing of {env} exists, and nothing is billed; `make up ENV={env}` tries again"]
    messages = [f"  {item.label}, ${item.usdPerHour:.4f}/h" for item in listed]
    total = environment_resources.usd_per_hour(listed)
    return [
        f"these resources of {env} exist now:",
        *messages,
        f"they cost ${total:.4f}/h (${total * 24:.2f} a day) until you run one of:",
        *next_commands(env),
    ]


def next_commands(env: str) -> list[str]:
    """Return the commands that continue from here."""
    back = f"  `make pause ENV={env}` deletes the pod and keeps the volume"
    return [f"  `make up ENV={env}` continues from here", back, f"  `make destroy ENV={env}` deletes everything"]


def _at(failures: list[Failure]) -> str:
    messages = [
        f"{failure.name}: {failure.reason}" if failure.name else failure.reason for failure in failures[:_SHOWN]
    ]
    return f" at {'; '.join(messages)}" if messages else ""
