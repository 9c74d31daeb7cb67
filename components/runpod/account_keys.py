"""The account's SSH keys: one shared list, which a write replaces as a whole.

The list has no version, so a write can undo a concurrent one. So every change reads the list right before it writes,
changes only one line, reads the list again afterwards, and is repeated when it was lost. The marker in its comment
identifies an own entry, not its key: another person's entry may have the same key.
"""

from __future__ import annotations

from collections.abc import Callable

from components.runpod.api.client import Client
from components.runpod.api.errors import LostAnswerError, NotFoundError, RunPodError
from components.runpod.marker import Marker, split_name

SETTLE_SECONDS = 1.5
"""Seconds until the last check; longer than another program usually takes from reading to writing the list."""
_ATTEMPTS = 8
_PATH = "GET /v2/account/ssh-keys"

Sleep = Callable[[float], None]
Edit = Callable[[list[str]], list[str]]


class ContestedError(RunPodError):
    """Another program keeps overwriting the account's list of SSH keys."""


def comment(line: str) -> str:
    """Return the comment of an authorized_keys line; key type and key precede it."""
    parts = line.strip().split(None, 2)
    return parts[2] if len(parts) == 3 else ""


def marker_of(line: str) -> Marker | None:
    """Return the marker in a line's comment."""
    return split_name(comment(line))[1]


def find(client: Client, key_id: str) -> str:
    """Return the line whose comment is `key_id`; raises NotFoundError when the account has none."""
    for line in client.list_ssh_keys():
        if comment(line) == key_id:
            return line
    raise NotFoundError(_PATH, f"the account has no SSH key with the comment {key_id}")


def own_entries(client: Client) -> set[str]:
    """Return the comments of all entries with a marker of this project."""
    return {comment(line) for line in client.list_ssh_keys() if marker_of(line)}


def upsert(client: Client, line: str, sleep: Sleep) -> None:
    """Put this line into the list, instead of others of the same declared resource; keep all other entries."""
    _change(client, lambda lines: _with(lines, line), sleep)


def remove(client: Client, key_id: str, sleep: Sleep | None = None) -> None:
    """Remove the line with this comment from the list; keep all other entries."""
    _change(client, lambda lines: [line for line in lines if comment(line) != key_id], sleep)


def _with(lines: list[str], line: str) -> list[str]:
    marker = marker_of(line)
    kept = [other for other in lines if other == line or not (marker and marker.same_resource(marker_of(other)))]
    return kept if line in kept else [*kept, line]


def _change(client: Client, edit: Edit, sleep: Sleep | None) -> None:
    """Write until the edit persists; without `sleep` the caller checks that."""
    for _ in range(_ATTEMPTS):
        _write(client, edit)
        if sleep is None:
            return
        if _is_done(client, edit):
            sleep(SETTLE_SECONDS)
            if _is_done(client, edit):
                return
    raise ContestedError(
        f"the account's list of SSH keys was overwritten {_ATTEMPTS} times: another program writes it too. "
        "Stop that program, or give the pod its own key, and run the same command again."
    )


def _write(client: Client, edit: Edit) -> None:
    with client.ssh_keys_lock:
        lines = client.list_ssh_keys()
        wanted = edit(lines)
        if wanted == lines:
            return
        try:
            client.replace_ssh_keys(wanted)
        except LostAnswerError:
            return  # The next read shows whether it took effect.


def _is_done(client: Client, edit: Edit) -> bool:
    lines = client.list_ssh_keys()
    return edit(lines) == lines
