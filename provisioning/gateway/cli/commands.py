"""`python -m provisioning.gateway keys|users ...`: the API's operations on keys and users, for a shell on the pod."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from provisioning.contract.expiry import parse_expiry
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin.audit import AuditContext
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.passwords import Passwords
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import ROLES, Role, Scope
from provisioning.gateway.keys.schemas import KeyChange, NewKey, Rotation
from provisioning.gateway.keys.service import KeyService
from provisioning.gateway.users.schemas import NewUser, UserChange
from provisioning.gateway.users.service import UserService

POD = Actor("", "pod", "pod", ROLES[Role.ADMIN])
"""The actor of these commands, who can read the settings and therefore the pepper."""

Form = TypeVar("Form", bound=BaseModel)

Command = Callable[[KeyStore, argparse.Namespace], Coroutine[None, None, int]]


async def run(store: KeyStore, options: argparse.Namespace) -> int:
    """Run a command; returns 0, or 1 when the key or user does not exist or the command is refused."""
    try:
        return await COMMANDS[options.command, options.action](store, options)
    except Problem as problem:
        if problem.code in {Code.STORE_UNAVAILABLE, Code.INTERNAL_ERROR}:
            raise
        sys.stderr.write(f"{problem.detail if problem.code is not Code.NOT_FOUND else _absent(options)}\n")
        return 1
    except (ValidationError, ValueError) as error:
        sys.stderr.write(f"{_faults(error)}\n")
        return 1


def _absent(options: argparse.Namespace) -> str:
    return f"there is no {options.command.removesuffix('s')} {options.id}; see `{options.command} list`"


def _faults(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return str(error)


async def _list_keys(store: KeyStore, _options: argparse.Namespace) -> int:
    now = store.clock.now_ms()
    rows = [
        (record.id, record.name, record.owner, ",".join(sorted(record.scopes)), _date(record.created_at),
         _date(record.expires_at), _date(record.last_used_at), record.state(now).value)
        for record in await store.records()
    ]  # fmt: skip
    _table(("id", "name", "owner", "scopes", "created", "expires", "last used", "state"), rows)
    return 0


async def _create_key(store: KeyStore, options: argparse.Namespace) -> int:
    token, record = await KeyService(store).create(_by(), _order(NewKey, options))
    _show_secret(token, f"key {record.id}")
    return 0


async def _update_key(store: KeyStore, options: argparse.Namespace) -> int:
    await KeyService(store).update(_by(), options.id, _order(KeyChange, options))
    sys.stderr.write(f"{options.id} is changed.\n")
    return 0


async def _rotate_key(store: KeyStore, options: argparse.Namespace) -> int:
    order = Rotation() if options.overlap is None else Rotation(overlap_seconds=options.overlap)
    token, record = await KeyService(store).rotate(_by(), options.id, order.overlap_seconds)
    _show_secret(token, f"key {record.id}")
    sys.stderr.write(f"The old secret is accepted until {_date(record.previous_until)}.\n")
    return 0


async def _revoke_key(store: KeyStore, options: argparse.Namespace) -> int:
    record = await KeyService(store).show(POD, options.id)
    if record.revoked_at is not None:
        sys.stderr.write(f"{options.id} is already revoked.\n")
        return 1
    await KeyService(store).revoke(_by(), options.id)
    sys.stderr.write(f"{options.id} is revoked.\n")
    return 0


async def _list_users(store: KeyStore, _options: argparse.Namespace) -> int:
    rows = [
        (
            user.name,
            user.role.value,
            "yes" if user.password else "no",
            _date(user.created_at),
            _state(user.is_active),
        )
        for user in await UserService(store, Passwords()).list()
    ]
    _table(("name", "role", "password", "created", "state"), rows)
    return 0


async def _create_user(store: KeyStore, options: argparse.Namespace) -> int:
    user = await UserService(store, Passwords()).create(_by(), _order(NewUser, options))
    sys.stderr.write(f"user {user.name} is created with the role {user.role}.\n")
    return 0


async def _update_user(store: KeyStore, options: argparse.Namespace) -> int:
    await UserService(store, Passwords()).update(_by(), options.id, _order(UserChange, options))
    sys.stderr.write(f"{options.id} is changed.\n")
    return 0


async def _delete_user(store: KeyStore, options: argparse.Namespace) -> int:
    await UserService(store, Passwords()).delete(_by(), options.id)
    sys.stderr.write(f"{options.id} is deleted; its jobs and usage are kept.\n")
    return 0


COMMANDS: Mapping[tuple[str, str], Command] = {
    ("keys", "list"): _list_keys,
    ("keys", "create"): _create_key,
    ("keys", "update"): _update_key,
    ("keys", "rotate"): _rotate_key,
    ("keys", "revoke"): _revoke_key,
    ("users", "list"): _list_users,
    ("users", "create"): _create_user,
    ("users", "update"): _update_user,
    ("users", "delete"): _delete_user,
}


def add_parsers(commands: Any, config: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse's own is private
    """Add the subcommands to a parser; `config` has the options of all of them."""
    key = _options("--name", "--owner", "--expires", "--limits", "--label", "--scope")
    actions = commands.add_parser("keys", help="manage API keys").add_subparsers(dest="action", required=True)
    actions.add_parser("list", parents=[config], help="list all keys, revoked ones included")
    actions.add_parser("create", parents=[config, key], help="issue a key and print its secret, once")
    target = argparse.ArgumentParser(add_help=False)
    target.add_argument("id", help="the id or name in the list")
    actions.add_parser(
        "update", parents=[config, target, key], help="change a key; options that are left out do not change"
    )
    rotate = actions.add_parser("rotate", parents=[config, target], help="give a key a new secret and print it, once")
    rotate.add_argument("--overlap", type=int, help="seconds for which the old secret is accepted (default: a day)")
    actions.add_parser("revoke", parents=[config, target], help="revoke a key at once")
    user = _options("--role", "--limits", "--label", "--password")
    people = commands.add_parser("users", help="manage users").add_subparsers(dest="action", required=True)
    people.add_parser("list", parents=[config], help="list all users")
    people.add_parser("create", parents=[config, _options("--name"), user], help="create a user")
    change = people.add_parser(
        "update", parents=[config, target, user], help="change a user; options that are left out do not change"
    )
    change.add_argument(
        "--disabled", choices=["yes", "no"], help="yes ends the user's sessions and refuses its keys at once"
    )
    people.add_parser("delete", parents=[config, target], help="delete a user; its jobs are kept")


_HELP: Mapping[str, Mapping[str, Any]] = {
    "--name": {"help": "the purpose of a key, or the name of a user"},
    "--owner": {"help": "the user whose jobs and files the key sees (default: only its own)"},
    "--expires": {"help": "30d, 12h, a date, or never"},
    "--limits": {"help": 'a JSON object, such as {"requests_per_minute": 60}'},
    "--label": {"action": "append", "metavar": "NAME=VALUE", "help": "may be repeated"},
    "--scope": {
        "action": "append",
        "choices": list(Scope),
        "type": Scope,
        "help": "may be repeated (default: client)",
    },
    "--role": {"choices": list(Role), "type": Role, "help": "default: member"},
    "--password": {"action": "store_true", "help": "prompt for a password, or read it from standard input"},
}


def _options(*names: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    for name in names:
        parser.add_argument(name, **_HELP[name])
    return parser


def _order(form: type[Form], options: argparse.Namespace) -> Form:
    """Return the options as a request body of the API; raises ValueError."""
    given = {
        name: read(options) for name, read in _MEMBERS.items() if getattr(options, name, None) not in (None, False)
    }
    return form.model_validate({_NAMES.get(name, name): value for name, value in given.items()})


_NAMES = {"scope": "scopes", "expires": "expires_at", "label": "labels"}

_MEMBERS: Mapping[str, Callable[[argparse.Namespace], Any]] = {
    "name": lambda options: options.name,
    "owner": lambda options: options.owner,
    "scope": lambda options: frozenset(options.scope),
    "expires": lambda options: parse_expiry(options.expires, datetime.now(UTC)),
    "limits": lambda options: json.loads(options.limits),
    "label": lambda options: dict(_pair(text) for text in options.label),
    "role": lambda options: options.role,
    "password": lambda _options: _read_password(),
    "disabled": lambda options: options.disabled == "yes",
}


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--label {text}: write NAME=VALUE")
    return name, value


def _read_password() -> str:
    return getpass.getpass("Password (hidden): ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _by() -> AuditContext:
    return AuditContext(POD, "pod", f"cli_{uuid.uuid4().hex}")


def _show_secret(token: str, what: str) -> None:
    sys.stderr.write(f"The secret of {what}, which is shown only once:\n")
    sys.stdout.write(f"{token}\n")


def _state(is_active: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "active" if is_active else "disabled"


def _date(milliseconds: int | None) -> str:
    moment_ = datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds is not None else None
    return moment_.isoformat(timespec="seconds") if moment_ else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
