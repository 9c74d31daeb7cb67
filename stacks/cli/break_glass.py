"""The way out when all else is lost: with nothing but the API key, end everything that carries a stack's mark.

No state, no passphrase, no engine: the name of a pod or volume says which environment it belongs to, and which
instance of it. Two people may each have an environment of that name in one account, so an instance is chosen.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable, Mapping

from components.runpod.api.client import DEFAULT_URL
from stacks.cli import account, holdings
from stacks.cli.account import Item
from stacks.cli.consent import Consent
from stacks.cli.ending import end_all
from stacks.cli.errors import CliError
from stacks.cli.place import Place

_LOOKS = 3


def run(place: Place, consent: Consent, *, instance: str, keep_volumes: bool) -> int:
    """List what carries the environment's name, and end one instance of it when somebody agrees.

    Returns:
        0 when nothing of the chosen instance is left that should end; 1 otherwise, also when it only looked.

    Raises:
        CliError: there is no key, the API cannot be asked, or nobody chose between several instances.
    """
    with account.opened(_key(), (place.setting("runpod:apiUrl") or DEFAULT_URL).rstrip("/")) as client:
        found = instances(place.env, account.look(client, {}))
        if not found:
            print(f"nothing in this account carries the name of {place.env}; is it the right account's key?")
            return 0
        print("\n".join(lines(found)), flush=True)
        chosen = choose(found, instance or _asked(found))
        if not consent.offer(
            f"end instance {chosen}{' but for its volumes' if keep_volumes else ' with its volumes'}?"
        ):
            print(f"nothing was ended; YES=1 ends instance {chosen}")
            return 1
        for _ in range(_LOOKS):
            left = doomed(account.look(client, {}), chosen, keep_volumes=keep_volumes)
            if not left:
                break
            end_all(client, left)
        items = account.look(client, {})
    return _report(doomed(items, chosen, keep_volumes=keep_volumes), doomed(items, chosen, keep_volumes=False))


def instances(env: str, items: Iterable[Item]) -> dict[str, list[Item]]:
    """What carries the environment's name, by instance; with an instance comes all that carries its mark."""
    everything = [item for item in items if item.instance and item.status != "TERMINATED"]
    of_env = {item.instance for item in everything if holdings.carries(env, item.name)}
    return {str(one): [item for item in everything if item.instance == one] for one in sorted(map(str, of_env))}


def doomed(items: Iterable[Item], instance: str, *, keep_volumes: bool) -> list[Item]:
    """What has to end: all of one instance, but for its volumes if they are to be kept."""
    own = (item for item in items if item.instance == instance and item.status != "TERMINATED")
    return [item for item in own if not (keep_volumes and item.type == "volume")]


def choose(found: Mapping[str, list[Item]], named: str) -> str:
    """The instance that was named, or the only one.

    Raises:
        CliError: there are several and none was named, or there is none of that name.
    """
    if not named and len(found) == 1:
        return next(iter(found))
    if named in found:
        return named
    known = ", ".join(found)
    reason = (
        f"there is no instance {named!r}" if named else "several instances carry this name, and others may need one"
    )
    raise CliError(f"{reason}; choose with INSTANCE=id: {known}")


def lines(found: Mapping[str, list[Item]]) -> list[str]:
    """Every instance with what it holds and what that costs."""
    told = []
    for instance, items in found.items():
        told.append(f"instance {instance}, ${sum(item.usd_per_day for item in items):.2f}/day")
        told += [f"  {item.label}, ${item.usd_per_day:.2f}/day" for item in items]
    return told


def _key() -> str:
    """The key from RUNPOD_API_KEY, or typed unseen; never from a state or a settings file."""
    key = os.environ.get("RUNPOD_API_KEY", "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass("RunPod API key (hidden): ").strip()
    if not key:
        raise CliError("break-glass takes the RunPod API key from RUNPOD_API_KEY or from the terminal; give it one")
    return key


def _asked(found: Mapping[str, list[Item]]) -> str:
    """Ask which instance is meant, where there is a choice and someone to ask."""
    return input("which instance? ").strip() if len(found) > 1 and sys.stdin.isatty() else ""


def _report(left: list[Item], everything: list[Item]) -> int:
    for item in everything:
        print(f"{'still there' if item in left else 'kept'}: {item.label}, ${item.usd_per_day:.2f}/day")
    if left:
        print("not everything ended; run the same command again, or end it at https://console.runpod.io")
    elif not everything:
        print("nothing of it is left")
    return int(bool(left))
