"""Emergency deletion: with the API key alone, delete everything that has a stack's marker.

It needs no state, passphrase or engine: the name of a pod or volume contains its environment and instance. Two people
may each have an environment of that name in one account, so the caller chooses an instance.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable, Mapping

from components.runpod.api.client import DEFAULT_URL
from stacks.cli.account import account_items, environment_resources
from stacks.cli.account.account_items import AccountItem
from stacks.cli.account.deletion import delete_all
from stacks.cli.checkout import Checkout
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError

_LOOKS = 3


def run(checkout: Checkout, consent: Consent, *, instance: str, keep_volumes: bool) -> int:
    """List the resources with the environment's name, and delete one instance of it after confirmation.

    Returns:
        0 when the chosen instance is deleted; 1 otherwise, also when it was only listed.

    Raises:
        CliError: there is no key, the API does not answer, or no instance was chosen among several.
    """
    with account_items.open_client(_key(), (checkout.setting("runpod:apiUrl") or DEFAULT_URL).rstrip("/")) as client:
        found = instances(checkout.env, account_items.list_items(client, {}))
        if not found:
            print(
                f"no resource in this account has the name of {checkout.env}; check that the key is the right account's"
            )
            return 0
        print("\n".join(lines(found)), flush=True)
        chosen = choose(found, instance or _asked(found))
        if not consent.offer(
            f"delete instance {chosen}{' except its volumes' if keep_volumes else ' with its volumes'}?"
        ):
            print(f"nothing was deleted; YES=1 deletes instance {chosen}")
            return 1
        for _ in range(_LOOKS):
            left = to_delete(account_items.list_items(client, {}), chosen, keep_volumes=keep_volumes)
            if not left:
                break
            delete_all(client, left)
        items = account_items.list_items(client, {})
    return _report(to_delete(items, chosen, keep_volumes=keep_volumes), to_delete(items, chosen, keep_volumes=False))


def instances(env: str, items: Iterable[AccountItem]) -> dict[str, list[AccountItem]]:
    """Group by instance the resources with the environment's name; an instance includes all with its marker."""
    everything = [item for item in items if item.instance and item.status != "TERMINATED"]
    of_env = {item.instance for item in everything if environment_resources.is_named_for(env, item.name)}
    return {str(one): [item for item in everything if item.instance == one] for one in sorted(map(str, of_env))}


def to_delete(items: Iterable[AccountItem], instance: str, *, keep_volumes: bool) -> list[AccountItem]:
    """The resources of one instance to delete, without its volumes if they are kept."""
    own = (item for item in items if item.instance == instance and item.status != "TERMINATED")
    return [item for item in own if not (keep_volumes and item.type == "volume")]


def choose(found: Mapping[str, list[AccountItem]], named: str) -> str:
    """Return the named instance, or the only one.

    Raises:
        CliError: there are several and none was named, or the named one does not exist.
    """
    if not named and len(found) == 1:
        return next(iter(found))
    if named in found:
        return named
    known = ", ".join(found)
    reason = (
        f"there is no instance {named!r}"
        if named
        else "several instances have this name, and another person may still use one"
    )
    raise CliError(f"{reason}; choose with INSTANCE=id: {known}")


def lines(found: Mapping[str, list[AccountItem]]) -> list[str]:
    """Return lines with every instance, its resources and their cost."""
    messages = []
    for instance, items in found.items():
        messages.append(f"instance {instance}, ${sum(item.usd_per_day for item in items):.2f}/day")
        messages += [f"  {item.label}, ${item.usd_per_day:.2f}/day" for item in items]
    return messages


def _key() -> str:
    """Return the key from RUNPOD_API_KEY or a hidden prompt, not from a state or a settings file."""
    key = os.environ.get("RUNPOD_API_KEY", "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass("RunPod API key (hidden): ").strip()
    if not key:
        raise CliError("no RunPod API key: set RUNPOD_API_KEY, or run break-glass in a terminal and type it")
    return key


def _asked(found: Mapping[str, list[AccountItem]]) -> str:
    """Ask for the instance when there are several and a terminal is available."""
    return input("which instance? ").strip() if len(found) > 1 and sys.stdin.isatty() else ""


def _report(left: list[AccountItem], everything: list[AccountItem]) -> int:
    for item in everything:
        print(f"{'still there' if item in left else 'kept'}: {item.label}, ${item.usd_per_day:.2f}/day")
    if left:
        print("not everything was deleted; run the same command again, or delete it at https://console.runpod.io")
    elif not everything:
        print("everything was deleted")
    return int(bool(left))
