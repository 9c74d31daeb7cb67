"""A lock is broken only when its owner is dead and ours."""

import getpass
import json
import os
import socket
from pathlib import Path

import pytest

from stacks.cli.checkout import Checkout
from stacks.cli.pulumi import state_locks


def lock(folder: Path, changes: dict[str, object] | None = None) -> Path:
    owner = {"pid": 4242, "username": getpass.getuser(), "hostname": socket.gethostname(), "timestamp": "x"}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "a.json"
    file.write_text(json.dumps({**owner, **(changes or {})}))
    return file


def test_a_dead_owner_of_ours_loses_its_lock(tmp_path: Path) -> None:
    file = lock(tmp_path)
    assert state_locks.break_stale(tmp_path, is_engine=lambda _: False) == [file]
    assert not file.exists()


@pytest.mark.parametrize("changes", [{"hostname": "elsewhere"}, {"username": "somebody"}, {"pid": "x"}])
def test_what_is_not_provably_ours_stays(tmp_path: Path, changes: dict[str, object]) -> None:
    file = lock(tmp_path, changes)
    assert state_locks.break_stale(tmp_path, is_engine=lambda _: False) == []
    assert file.exists()


def test_a_damaged_lock_stays(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{")
    assert state_locks.break_stale(tmp_path, is_engine=lambda _: False) == []


def test_a_living_owner_keeps_its_lock(tmp_path: Path) -> None:
    lock(tmp_path)
    assert state_locks.break_stale(tmp_path, is_engine=lambda pid: pid == 4242) == []


def test_a_number_that_went_to_another_program_is_no_engine() -> None:
    assert not state_locks.engine_lives(os.getpid())
    assert not state_locks.engine_lives(2**22 - 3)


def test_the_folder_is_that_of_the_stack_in_a_file_backend() -> None:
    checkout = Checkout(Path("/checkout"), "dev")
    environ = {"PULUMI_BACKEND_URL": "file:///state/of%20mine"}
    expected = Path("/state/of mine/.pulumi/locks/organization/comfyui-runpod/dev")
    assert state_locks.folder(checkout, environ) == expected
    assert state_locks.folder(checkout, {"PULUMI_BACKEND_URL": "s3://bucket"}) is None
