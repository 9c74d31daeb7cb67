"""The account's list of SSH keys: one list for everybody, replaced as a whole by whoever writes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from components.runpod import account_keys
from components.runpod.account_keys import ContestedError
from components.runpod.api.client import Client
from components.runpod.api.errors import LostAnswerError, NotFoundError
from components.runpod.marker import Marker

THEIRS = ["ssh-ed25519 AAAATHEIRS somebody@else", "ssh-rsa AAAANOCOMMENT", "ecdsa-sha2-nistp256 AAAAX two words"]
OURS = f"ssh-ed25519 AAAAOURS {Marker('0123456789', '01234567', '89abcdef').name('ci')}"
OTHER_STACKS = f"ssh-ed25519 AAAAOTHER {Marker('9876543210', '01234567', '89abcdef').name('ci')}"


class Account(Client):
    """A list that others write too: `meanwhile` happens after a write, `stale` writers had read before it."""

    def __init__(self) -> None:
        super().__init__("key", "http://127.0.0.1:1")
        self.lines = [*THEIRS, OTHER_STACKS]
        self.meanwhile: list[Callable[[], None]] = []
        self.writes = 0

    def list_ssh_keys(self) -> list[str]:
        return list(self.lines)

    def replace_ssh_keys(self, keys: list[str]) -> None:
        self.writes += 1
        self.lines = list(keys)
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture
def account() -> Account:
    return Account()


def nothing(_seconds: float) -> None:
    return


def test_an_entry_is_added_and_removed_without_changing_others(account: Account) -> None:
    account_keys.upsert(account, OURS, nothing)
    assert account.lines == [*THEIRS, OTHER_STACKS, OURS]
    account_keys.upsert(account, OURS, nothing)
    assert account.writes == 1, "what is there already is not written again"
    account_keys.remove(account, account_keys.comment(OURS), nothing)
    assert account.lines == [*THEIRS, OTHER_STACKS]


def test_an_entry_of_another_person_with_the_same_key_is_kept(account: Account) -> None:
    account.lines = ["ssh-ed25519 AAAAOURS colleague@home"]
    account_keys.upsert(account, OURS, nothing)
    account_keys.remove(account, account_keys.comment(OURS), nothing)
    assert account.lines == ["ssh-ed25519 AAAAOURS colleague@home"]


@pytest.mark.parametrize("gone", [False, True], ids=["add", "remove"])
def test_a_lost_race_is_repeated_and_keeps_the_other_write(account: Account, gone: bool) -> None:
    if gone:
        account.lines.append(OURS)
    stale, new = list(account.lines), "ssh-ed25519 AAAANEW just@added"
    account.meanwhile = [lambda: setattr(account, "lines", [*stale, new])]
    if gone:
        account_keys.remove(account, account_keys.comment(OURS), nothing)
    else:
        account_keys.upsert(account, OURS, nothing)
    assert (OURS in account.lines) is not gone
    assert [line for line in account.lines if line != OURS] == [*THEIRS, OTHER_STACKS, new]
    assert account.writes == 2


def test_a_late_concurrent_write_is_detected(account: Account) -> None:
    stale = list(account.lines)
    waits: list[float] = []

    def late(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            account.lines = [*stale, "ssh-ed25519 AAAALATE late@writer"]

    account_keys.upsert(account, OURS, late)
    assert OURS in account.lines
    assert "ssh-ed25519 AAAALATE late@writer" in account.lines
    assert waits == [account_keys.SETTLE_SECONDS] * 2


def test_two_stacks_that_write_at_once_both_have_their_entry(account: Account) -> None:
    """The other reads before our write and writes after it; then it looks again, as we do, and so do we."""
    stale = list(account.lines)
    rival = f"ssh-ed25519 AAAARIVAL {Marker('aaaaaaaaaa', '01234567', '89abcdef').name('ci')}"
    account.meanwhile = [lambda: setattr(account, "lines", [*stale, rival])]
    account_keys.upsert(account, OURS, nothing)
    account_keys.upsert(account, rival, nothing)
    assert {OURS, rival, *THEIRS, OTHER_STACKS} == set(account.lines)
    assert len(account.lines) == 6


def test_continuous_concurrent_writes_are_an_error(account: Account) -> None:
    account.meanwhile = [lambda: setattr(account, "lines", [])] * 50
    with pytest.raises(ContestedError, match="overwritten 8 times"):
        account_keys.upsert(account, OURS, nothing)


def test_a_write_with_a_lost_answer_is_verified(account: Account) -> None:
    def lose() -> None:
        raise LostAnswerError("PUT", "reset")

    account.meanwhile = [lose]
    account_keys.upsert(account, OURS, nothing)
    assert OURS in account.lines
    assert account.writes == 1


def test_a_missing_entry_is_not_found(account: Account) -> None:
    with pytest.raises(NotFoundError, match="no SSH key with the comment nobody"):
        account_keys.find(account, "nobody")
    assert account_keys.own_entries(account) == {account_keys.comment(OTHER_STACKS)}
