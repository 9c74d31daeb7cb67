from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from stacks.cli.commands import database, pod
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine

ENGINE = cast(Engine, type("E", (), {"checkout": type("P", (), {"env": "prod"})})())


class Pod:
    """Stands for ssh to a pod."""

    def __init__(self) -> None:
        self.status, self.content, self.got = 0, b"the database", b""
        self.commands: list[list[str]] = []

    def shell(
        self, _engine: Engine, command: list[str], *, given: BinaryIO | None = None, output: BinaryIO | None = None
    ) -> int:
        self.commands.append(command)
        if output is not None:
            output.write(self.content)
        self.got = given.read() if given is not None else b""
        return self.status


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Pod:
    stand_in = Pod()
    monkeypatch.setattr(pod, "shell", stand_in.shell)
    return stand_in


def test_a_backup_is_a_new_private_file(there: Pod, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    assert database.backup(ENGINE, str(path)) == 0
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"the database", 0o600)
    assert there.commands == [['"${POD_ROOT:-}/srv/comfyui-runpod/boot/start" database backup']]
    with pytest.raises(CliError, match="exists already"):
        database.backup(ENGINE, str(path))
    assert path.read_bytes() == b"the database"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("status", "content"), [(255, b"half"), (0, b"")])
def test_what_is_no_backup_is_not_kept(there: Pod, tmp_path: Path, status: int, content: bytes) -> None:
    there.status, there.content = status, content
    with pytest.raises(CliError, match="no backup was made"):
        database.backup(ENGINE, str(tmp_path / "copy"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", [CliError("prod has no pod"), KeyboardInterrupt()])
def test_a_backup_that_fails_leaves_nothing_so_the_next_one_can_be_made(
    there: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise fault

    monkeypatch.setattr(pod, "shell", fail)
    with pytest.raises(type(fault)):
        database.backup(ENGINE, str(tmp_path / "copy"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_said(there: Pod, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="cannot write"):
        database.backup(ENGINE, str(tmp_path / "absent" / "copy"))


def test_a_restore_is_not_done_by_accident(there: Pod, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    path.write_bytes(b"the database")
    with pytest.raises(CliError, match="YES=1"):
        database.restore(ENGINE, str(path), Consent("prod", confirms=False))
    assert there.commands == []
    assert database.restore(ENGINE, str(path), Consent("prod", given=True)) == 0
    assert there.got == b"the database"


@pytest.mark.parametrize(("file", "words"), [("", "FILE="), ("/absent/copy", "does not exist")])
def test_a_file_is_named(there: Pod, file: str, words: str) -> None:
    with pytest.raises(CliError, match=words):
        database.restore(ENGINE, file, Consent("prod", given=True))
