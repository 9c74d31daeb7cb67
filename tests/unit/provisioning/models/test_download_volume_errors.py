"""Downloads on a volume whose writes and reads fail or go wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, Any, Self

import pytest

from provisioning.errors import DiskFullError, ModelError
from tests.unit.provisioning.conftest import Script, Serve, sha256
from tests.unit.provisioning.models.downloads import BIG, fetch, pin


class Volume:
    """Files of a volume whose writes and reads fail, or go wrong, as a script says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write_faults: list[tuple[int, int]] = []
        """Offset from which on the next write fails, and with which error."""
        self.read_faults: list[int] = []
        self.wrong_reads = 0
        """How many whole readings return another byte than was written."""
        whole = Path.open

        def opened(path: Path, mode: str = "r", **named: Any) -> object:  # noqa: ANN401 - whatever Path.open takes
            file = whole(path, mode, **named)
            return _Faulty(file, self, mode) if path.suffix == ".part" else file

        monkeypatch.setattr(Path, "open", opened)


class _Faulty:
    def __init__(self, file: IO[Any], volume: Volume, mode: str) -> None:
        self._file, self._volume, self._mode = file, volume, mode
        self._wrong = mode == "rb" and volume.wrong_reads > 0
        if self._wrong:
            volume.wrong_reads -= 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        if self._volume.write_faults and self._file.tell() + len(data) > self._volume.write_faults[0][0]:
            number = self._volume.write_faults.pop(0)[1]
            self._file.write(data[: len(data) // 2])
            raise OSError(number, os.strerror(number))
        return int(self._file.write(data))

    def read(self, size: int = -1) -> bytes:
        if self._mode == "rb" and self._volume.read_faults:
            number = self._volume.read_faults.pop(0)
            raise OSError(number, os.strerror(number))
        data = bytes(self._file.read(size))
        if self._wrong and data:
            self._wrong = False
            return bytes([data[0] ^ 1]) + data[1:]
        return data


@pytest.fixture
def volume(monkeypatch: pytest.MonkeyPatch) -> Volume:
    return Volume(monkeypatch)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_volume_is_said_and_the_download_goes_on_later(
    serve: Serve, tmp_path: Path, volume: Volume, number: int
) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/f")
    volume.write_faults = [(2 << 20, number)]
    with pytest.raises(DiskFullError, match=r"raise volume\.sizeGb"):
        fetch(model, tmp_path / "s")
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
    assert int(script.requests[-1][1]["Range"].removeprefix("bytes=").rstrip("-")) >= 1 << 20


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("known", [True, False])
def test_a_write_that_the_volume_refuses_is_tried_again(
    serve: Serve, tmp_path: Path, volume: Volume, number: int, known: bool
) -> None:
    volume.write_faults = [(1 << 20, number), (3 << 20, number)]
    model = pin(serve(Script(BIG)) + "/f", sha256=sha256(BIG) if known else "")
    fetched = fetch(model, tmp_path / "s")
    assert (fetched.sha256, fetched.path.read_bytes() == BIG) == (sha256(BIG), True)


def test_a_volume_that_answers_nothing_but_errors_ends_the_download(
    serve: Serve, tmp_path: Path, volume: Volume
) -> None:
    volume.write_faults = [(0, errno.EIO)] * 99
    with pytest.raises(ModelError, match=r"failed after 6 attempts: the volume failed: Input/output error"):
        fetch(pin(serve(Script(BIG)) + "/f"), tmp_path / "s")


def test_a_read_that_fails_while_the_file_is_checked_is_tried_again(
    serve: Serve, tmp_path: Path, volume: Volume
) -> None:
    volume.read_faults = [errno.EIO, errno.EIO]
    assert fetch(pin(serve(Script(BIG)) + "/f"), tmp_path / "s").sha256 == sha256(BIG)


@pytest.mark.parametrize("known", [True, False])
def test_a_volume_that_returns_other_bytes_is_noticed(
    serve: Serve, tmp_path: Path, volume: Volume, known: bool
) -> None:
    volume.wrong_reads = 1
    script = Script(BIG)
    model = pin(serve(script) + "/f", sha256=sha256(BIG) if known else "")
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
    assert len(script.requests) == 2


def test_a_volume_that_goes_on_returning_other_bytes_is_given_up(serve: Serve, tmp_path: Path, volume: Volume) -> None:
    volume.wrong_reads = 99
    with pytest.raises(ModelError, match="other bytes than were written, in 3 attempts"):
        fetch(pin(serve(Script(BIG)) + "/f"), tmp_path / "s")


def test_a_wrong_part_of_an_earlier_run_costs_one_more_download(serve: Serve, tmp_path: Path) -> None:
    model = pin(serve(Script(BIG)) + "/f")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / f"{model.sha256}.part").write_bytes(b"\0" * 1_000_000)
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
