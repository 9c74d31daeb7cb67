"""Encrypted files of the store: a copy is unreadable, and modifications are detected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.gateway.assets.store.encryption import (
    CHUNK_BYTES,
    HEADER_BYTES,
    MAGIC,
    SEALED_CHUNK_BYTES,
    FileCipher,
)
from provisioning.gateway.assets.store.paths import StorePath
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.core.problems import Code, Problem
from tests.unit.gateway.conftest import Gate, finish, submit
from tests.unit.gateway.fake import PNG

ON, OFF = FileCipher(["a secret"], active=True), FileCipher(["a secret"], active=False)
CANARY = b"canary-of-a-red-fox"
PLACE, OTHER = StorePath("output", "u/a/x.png"), StorePath("output", "u/b/x.png")
LARGE = b"".join(number.to_bytes(4) for number in range(80_000))
"""Five different chunks."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    store = FileStore(tmp_path, ON)
    yield store
    store.close()


async def source(content: bytes, piece: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), piece):
        yield content[at : at + piece]


async def read(store: FileStore, place: StorePath = PLACE, start: int = 0, length: int | None = None) -> bytes | None:
    async with store.opened(place) as content:
        if content is None:
            return None
        return b"".join([piece async for piece in store.chunks(content, start, length)])


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES, 3_000_001])
async def test_files_of_any_length_round_trip(store: FileStore, tmp_path: Path, size: int) -> None:
    content = (CANARY * (size // len(CANARY) + 1))[:size]
    assert await store.put(PLACE, source(content)) == size
    assert await read(store) == content
    stored = (tmp_path / "output/u/a/x.png").read_bytes()
    assert stored.startswith(MAGIC)
    assert CANARY not in stored
    assert store.count == len(stored)


@settings(deadline=None, max_examples=40)
@given(start=st.integers(0, len(LARGE) - 1), length=st.integers(1, len(LARGE)))
async def test_any_range_is_readable(tmp_path_factory: pytest.TempPathFactory, start: int, length: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "ranges"
    store = FileStore(folder, ON)
    if not (folder / "output").exists():
        await store.put(PLACE, source(LARGE))
    assert await read(store, PLACE, start, length) == LARGE[start : start + length]
    store.close()


def flip(stored: bytearray) -> bytearray:
    stored[-1] ^= 1
    return stored


def in_the_middle(stored: bytearray) -> bytearray:
    stored[HEADER_BYTES + SEALED_CHUNK_BYTES + 7] ^= 1
    return stored


def swap(stored: bytearray) -> bytearray:
    first, second = (HEADER_BYTES + at * SEALED_CHUNK_BYTES for at in (0, 1))
    one, two = slice(first, second), slice(second, second + SEALED_CHUNK_BYTES)
    stored[one], stored[two] = stored[two], stored[one]
    return stored


def cut(stored: bytearray) -> bytearray:
    return stored[: HEADER_BYTES + 2 * SEALED_CHUNK_BYTES]


def cut_anywhere(stored: bytearray) -> bytearray:
    return stored[:-30_000]


def emptied(stored: bytearray) -> bytearray:
    return stored[:HEADER_BYTES]


def repeated(stored: bytearray) -> bytearray:
    return stored + stored[-SEALED_CHUNK_BYTES:]


def another_salt(stored: bytearray) -> bytearray:
    stored[HEADER_BYTES - 1] ^= 1
    return stored


CHANGES = (flip, in_the_middle, swap, cut, cut_anywhere, emptied, repeated, another_salt)


@pytest.mark.parametrize("change", CHANGES)
async def test_modified_bytes_are_detected(
    store: FileStore, tmp_path: Path, change: Callable[[bytearray], bytearray]
) -> None:
    await store.put(PLACE, source(LARGE))
    path = tmp_path / "output/u/a/x.png"
    path.write_bytes(change(bytearray(path.read_bytes())))
    with pytest.raises(Problem) as caught:
        await read(store)
    assert caught.value.code is Code.INTERNAL_ERROR


async def test_a_truncated_file_is_detected_before_its_first_byte(store: FileStore, tmp_path: Path) -> None:
    await store.put(PLACE, source(LARGE))
    path = tmp_path / "output/u/a/x.png"
    path.write_bytes(cut(bytearray(path.read_bytes())))
    with pytest.raises(Problem):
        await store.open(PLACE)


async def test_a_file_cannot_replace_another(store: FileStore, tmp_path: Path) -> None:
    for place, content in ((PLACE, b"hers"), (OTHER, b"his")):
        await store.put(place, source(content))
    (tmp_path / "output/u/a/x.png").rename(tmp_path / "output/u/b/x.png")
    with pytest.raises(Problem):
        await read(store, OTHER)


async def test_files_from_before_and_after_the_option_are_readable(tmp_path: Path) -> None:
    places = [StorePath("input", f"{number}.png") for number in range(3)]
    for place, cipher in zip(places, (OFF, ON, OFF), strict=True):
        store = FileStore(tmp_path, cipher)
        await store.put(place, source(CANARY))
        store.close()
    assert [CANARY in (tmp_path / "input" / f"{number}.png").read_bytes() for number in range(3)] == [True, False, True]
    for cipher in (ON, OFF):
        store = FileStore(tmp_path, cipher)
        assert [await read(store, place) for place in places] == [CANARY] * 3
        store.close()


async def test_content_with_the_magic_is_encrypted(tmp_path: Path) -> None:
    """Uploaded content must always be readable."""
    store = FileStore(tmp_path, OFF)
    await store.put(PLACE, source(MAGIC + b"forged"))
    assert await read(store) == MAGIC + b"forged"
    store.close()


async def test_decryption_with_another_secret_needs_the_former_one(store: FileStore, tmp_path: Path) -> None:
    await store.put(PLACE, source(CANARY))
    other = FileStore(tmp_path, FileCipher(["another"], active=True))
    with pytest.raises(Problem):
        await read(other)
    other.close()
    both = FileStore(tmp_path, FileCipher(["another", "a secret"], active=True))
    assert await read(both) == CANARY
    both.close()


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"files": tmp_path / "files", "encrypt_at_rest": True}


async def test_outputs_and_uploads_are_encrypted_in_the_store(gate: Gate) -> None:
    assert gate.settings.files is not None
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    await gate.admin.post("/userdata/a.json", content=CANARY)
    job = await submit(gate.alice)
    await finish(gate, job)
    found = [path.read_bytes() for path in gate.settings.files.rglob("*") if path.is_file()]
    assert len(found) == 3
    assert all(PNG[:16] not in content and CANARY not in content for content in found)
    url = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["outputs"][0]["url"]
    part = await gate.alice.get(url, headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, PNG[3:10])


async def test_a_modified_file_is_not_served(gate: Gate) -> None:
    assert gate.settings.files is not None
    await gate.alice.post("/upload/image", files={"image": ("a.png", PNG)})
    [path] = gate.settings.files.rglob("*.png")
    path.write_bytes(flip(bytearray(path.read_bytes())))
    answer = await gate.alice.get("/view", params={"filename": "a.png", "type": "input"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "damaged" in answer.json()["detail"]
