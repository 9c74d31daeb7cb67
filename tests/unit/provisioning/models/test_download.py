"""A model file reaches the store whole, checked and once, or not at all; tokens stay where they belong."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

import pytest

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError, InstallError, ModelError
from provisioning.layout import Layout
from provisioning.models import manifest, store
from provisioning.models.download import Download, DownloadedFile, DownloadHooks
from provisioning.models.http import AccessTokens
from provisioning.progress import ProgressLog
from tests.unit.provisioning.conftest import Script, Serve, safetensors, sha256

BIG = safetensors(bytes(range(256)) * 16384)  # 4 MiB: several chunks


def pin(url: str, content: bytes = BIG, **changes: object) -> ModelPin:
    values = {"name": "m.safetensors", "folder": "loras", "url": url, "sha256": sha256(content)} | changes
    return ModelPin(**values)  # type: ignore[arg-type]


def fetch(
    model: ModelPin, staging: Path, tokens: AccessTokens | None = None, sleep: Callable[[float], None] = lambda _: None
) -> DownloadedFile:
    staging.mkdir(exist_ok=True)
    download = Download(
        model, staging, tokens or AccessTokens(), cancelled=threading.Event(), waits=DownloadHooks(sleep)
    )
    return download.run()


def ensure(layout: Layout, pins: list[ModelPin], progress: ProgressLog, **around: Any) -> None:  # noqa: ANN401 - fields of Surroundings
    manifest.ensure(
        layout, pins, manifest.FetchContext(AccessTokens(), progress, **{"sleep": lambda _: None, **around})
    )


def test_a_cut_connection_is_resumed_where_it_was_cut(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG, cut_after=[3_000_000, 500_000])
    fetched = fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert fetched.path.read_bytes() == BIG
    assert [headers.get("Range") for _, headers in script.requests] == [None, "bytes=3000000-", "bytes=3500000-"]


def test_a_link_among_the_downloads_is_not_written_through(serve: Serve, tmp_path: Path) -> None:
    model, staging, other = pin(serve(Script(BIG)) + "/f"), tmp_path / "s", tmp_path / "other"
    staging.mkdir()
    other.write_text("of the pod")
    for ending in ("part", "json"):
        (staging / f"{model.sha256}.{ending}").symlink_to(other)
    assert fetch(model, staging).path.read_bytes() == BIG
    assert other.read_text() == "of the pod"


def test_a_server_without_ranges_sends_the_whole_file_again(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG, cut_after=[1_500_000], ranges=False)
    fetched = fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert (fetched.sha256, fetched.size) == (sha256(BIG), len(BIG))


def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old_one(serve: Serve, tmp_path: Path) -> None:
    script = Script(b"x" * len(BIG), cut_after=[2_000_000])
    url = serve(script) + "/f"

    def swap(_: float) -> None:
        script.content, script.etag = BIG, '"two"'

    assert fetch(pin(url), tmp_path / "s", sleep=swap).sha256 == sha256(BIG)


def test_a_download_killed_earlier_goes_on_with_its_bytes(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/f")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / f"{model.sha256}.part").write_bytes(BIG[:4_000_000])
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
    assert script.requests[0][1]["Range"] == "bytes=4000000-"


@pytest.mark.parametrize(("have", "requests"), [(BIG, 1), (BIG + b"x", 2)])
def test_a_complete_file_of_unknown_hash_is_not_fetched_again(
    serve: Serve, tmp_path: Path, have: bytes, requests: int
) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/f", sha256="")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / f"{sha256(model.url.encode())}.part").write_bytes(have)
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
    assert len(script.requests) == requests


@pytest.mark.parametrize("flip", [0, len(BIG) // 2, len(BIG) - 1])
def test_one_wrong_bit_is_refused_and_thrown_away(serve: Serve, tmp_path: Path, flip: int) -> None:
    wrong = bytearray(BIG)
    wrong[flip] ^= 1
    with pytest.raises(ModelError, match="the manifest says"):
        fetch(pin(serve(Script(bytes(wrong))) + "/f"), tmp_path / "s")
    assert list((tmp_path / "s").glob("*.part")) == []


@pytest.mark.parametrize("size", [len(BIG) - 1, len(BIG) + 1])
def test_a_size_other_than_the_manifests_is_refused_before_it_is_fetched(
    serve: Serve, tmp_path: Path, size: int
) -> None:
    with pytest.raises(ModelError, match="the manifest says"):
        fetch(pin(serve(Script(BIG)) + "/f", size_bytes=size), tmp_path / "s")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_tried_again(serve: Serve, tmp_path: Path, status: int) -> None:
    assert fetch(pin(serve(Script(BIG, statuses=[status, status])) + "/f"), tmp_path / "s").size == len(BIG)


def test_it_gives_up_when_nothing_arrives(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG, statuses=[503] * 99)
    with pytest.raises(ModelError, match="failed after 6 attempts"):
        fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert len(script.requests) == 6


@pytest.mark.parametrize(("status", "text"), [(401, "an access token is required"), (404, "check the model's URL")])
def test_a_refusal_says_what_to_do_and_is_not_repeated(serve: Serve, tmp_path: Path, status: int, text: str) -> None:
    script = Script(BIG, statuses=[status])
    with pytest.raises(ModelError, match=text):
        fetch(pin(serve(script) + "/f?token=canary"), tmp_path / "s")
    assert len(script.requests) == 1


def test_no_error_quotes_the_query_of_a_url(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        fetch(pin(serve(Script(BIG, statuses=[404])) + "/f?token=canary"), tmp_path / "s")
    assert "canary" not in str(caught.value)


def test_a_token_goes_to_its_host_and_not_across_a_redirect(serve: Serve, tmp_path: Path) -> None:
    elsewhere = Script(BIG)
    here = Script(b"", redirect=serve(elsewhere).replace("127.0.0.1", "localhost") + "/f")
    fetched = fetch(pin(serve(here) + "/moved"), tmp_path / "s", AccessTokens({"127.0.0.1": "canary"}))
    assert fetched.size == len(BIG)
    assert here.requests[0][1]["Authorization"] == "Bearer canary"
    assert "canary" not in str(elsewhere.requests)


def test_a_redirect_within_the_host_keeps_the_token(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG)
    base = serve(script)
    script.redirect = base + "/f"
    fetch(pin(base + "/moved"), tmp_path / "s", AccessTokens({"127.0.0.1": "canary"}))
    assert [headers.get("Authorization") for _, headers in script.requests] == ["Bearer canary"] * 2


def test_another_port_of_the_same_host_is_another_party(serve: Serve, tmp_path: Path) -> None:
    elsewhere = Script(BIG)
    here = Script(b"", redirect=serve(elsewhere) + "/f")
    fetch(pin(serve(here) + "/moved"), tmp_path / "s", AccessTokens({"127.0.0.1": "canary"}))
    assert "Authorization" not in elsewhere.requests[0][1]


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


def test_a_limit_of_the_server_is_waited_for_as_it_asks(serve: Serve, tmp_path: Path) -> None:
    waited: list[float] = []
    script = Script(BIG, statuses=[429, 429], headers={"Retry-After": "120"})
    assert fetch(pin(serve(script) + "/f"), tmp_path / "s", sleep=waited.append).size == len(BIG)
    assert waited == [120.0, 120.0]


def test_a_limit_that_does_not_end_is_given_up_with_advice(serve: Serve, tmp_path: Path) -> None:
    waited: list[float] = []
    script = Script(BIG, statuses=[429] * 99, headers={"Retry-After": "300"})
    with pytest.raises(ModelError, match=r"for more than 30 minutes; set tokens\.huggingFace"):
        fetch(pin(serve(script) + "/f"), tmp_path / "s", sleep=waited.append)
    assert sum(waited) <= 1800


def test_a_signed_address_that_expired_is_asked_for_again(serve: Serve, tmp_path: Path) -> None:
    storage = Script(BIG, statuses=[403])
    here = Script(b"", redirect=serve(storage) + "/signed")
    assert fetch(pin(serve(here) + "/moved"), tmp_path / "s").size == len(BIG)
    assert len(here.requests) == 2


def test_a_web_page_is_named_as_one(serve: Serve, tmp_path: Path) -> None:
    script = Script(b"<!doctype html>please log in", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(ModelError, match=r"a web page, not a model; write /resolve/ in place of /blob/"):
        fetch(pin(serve(script) + "/org/repo/blob/main/f.safetensors"), tmp_path / "s")


def test_a_licence_that_is_not_accepted_is_named(serve: Serve, tmp_path: Path) -> None:
    script = Script(b"", statuses=[403], headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(ModelError, match=r"licence is not accepted yet; accept it at http://127\.0\.0\.1/org/repo "):
        fetch(
            pin(serve(script) + "/org/repo/resolve/main/f.safetensors"),
            tmp_path / "s",
            AccessTokens({"127.0.0.1": "t"}),
        )


Lines = Callable[[], list[dict[str, object]]]


def test_a_manifest_is_put_in_place_once_per_content(
    serve: Serve, layout: Layout, progress: ProgressLog, lines: Lines
) -> None:
    script = Script(BIG)
    url = serve(script)
    pins = [pin(f"{url}/a", name="a.safetensors"), pin(f"{url}/b", name="b.safetensors", folder="vae")]
    missing = ModelPin("later.safetensors", "loras", "", optional=True)
    ensure(layout, [*pins, missing], progress)
    assert len(script.requests) == 1
    assert (layout.model_folders / "loras/a.safetensors").read_bytes() == BIG
    assert (layout.model_folders / "vae/b.safetensors").read_bytes() == BIG
    assert [path.name for path in layout.model_store.iterdir()] == [sha256(BIG)]
    assert any(line["state"] == "skipped" and "later" in str(line["detail"]) for line in lines())


def test_an_unknown_hash_is_learnt_and_then_kept(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/a", sha256="")
    ensure(layout, [model], progress)
    ensure(layout, [model], progress)
    assert store.stored(layout, model) == store.StoredModel(sha256(BIG), len(BIG))
    assert len(script.requests) == 1


def test_a_model_that_left_the_manifest_loses_its_name(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    url = serve(Script(BIG))
    ensure(layout, [pin(f"{url}/a", name="old.safetensors")], progress)
    ensure(layout, [pin(f"{url}/a", name="new.safetensors")], progress)
    assert [path.name for path in (layout.model_folders / "loras").iterdir()] == ["new.safetensors"]


def test_what_is_no_model_is_never_in_place(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    html = b"<!doctype html>please log in"
    with pytest.raises(ModelError, match="not a valid file"):
        ensure(layout, [pin(serve(Script(html)) + "/a", html)], progress)
    assert not list(layout.home.rglob("m.safetensors"))
    assert not list(layout.model_staging.glob("*.part"))


def test_too_little_room_is_said_before_anything_is_fetched(
    serve: Serve, layout: Layout, progress: ProgressLog
) -> None:
    script = Script(BIG)
    with pytest.raises(DiskFullError, match="the models need"):
        ensure(layout, [pin(serve(script) + "/a", size_bytes=1 << 60)], progress)
    assert script.requests == []


def test_room_is_counted_and_not_asked_of_the_file_system(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    """A network volume shows the room of its cluster: hundreds of terabytes, whatever was bought."""
    script = Script(BIG)
    layout.model_store.mkdir(parents=True)
    (layout.model_store / ("0" * 64)).write_bytes(b"")
    (layout.home / "others").write_bytes(b"x" * 3_000_000)
    capacity = store.RESERVE_BYTES + len(BIG) + 2_000_000
    model = pin(serve(script) + "/a", size_bytes=len(BIG))
    with pytest.raises(DiskFullError, match="the models need"):
        ensure(layout, [model], progress, capacity_bytes=capacity)
    assert script.requests == []
    ensure(layout, [model], progress, capacity_bytes=capacity + 1_100_000)


def test_a_model_of_unknown_size_counts_with_its_rough_one(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/a", sha256="", approx_bytes=24_000_000_000)
    with pytest.raises(DiskFullError, match=r"the models need 24\.0 GB"):
        ensure(layout, [model], progress, capacity_bytes=20_000_000_000)
    assert script.requests == []


def test_the_models_of_an_earlier_manifest_go_by_the_volumes_size(
    serve: Serve, layout: Layout, progress: ProgressLog
) -> None:
    layout.model_store.mkdir(parents=True)
    (layout.model_store / ("0" * 64)).write_bytes(BIG)
    model = pin(serve(Script(BIG)) + "/a", size_bytes=len(BIG))
    ensure(layout, [model], progress, capacity_bytes=store.RESERVE_BYTES + len(BIG) + 1000)
    assert [path.name for path in layout.model_store.iterdir()] == [sha256(BIG)]


def test_downloads_stop_when_another_pod_has_the_volume(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    def fence() -> None:
        raise InstallError("another pod is installing on this volume")

    with pytest.raises(InstallError, match="another pod"):
        ensure(layout, [pin(serve(Script(BIG)) + "/a")], progress, fence=fence)


def test_models_of_earlier_manifests_go_when_their_room_is_needed(
    serve: Serve, layout: Layout, progress: ProgressLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.model_store.mkdir(parents=True)
    for name in ("0" * 64, sha256(BIG)):
        (layout.model_store / name).write_bytes(BIG)

    def free(layout: Layout, _capacity: int) -> int:
        return store.RESERVE_BYTES + (len(BIG) * 2 - sum(path.stat().st_size for path in layout.model_store.iterdir()))

    monkeypatch.setattr(store, "_free", free)
    other = safetensors(b"other")
    pins = [
        pin("http://127.0.0.1:1/kept"),
        pin(serve(Script(other)) + "/b", other, name="b.safetensors", size_bytes=len(other)),
    ]
    ensure(layout, pins, progress)
    assert {path.name for path in layout.model_store.iterdir()} == {sha256(BIG), sha256(other)}


def test_one_bad_model_ends_the_others(serve: Serve, layout: Layout, progress: ProgressLog) -> None:
    pins = [
        pin(serve(Script(BIG)) + "/a", name="a.safetensors"),
        pin(serve(Script(b"", statuses=[404])) + "/b", b"b", name="b.safetensors"),
    ]
    with pytest.raises(ModelError, match="HTTP 404"):
        ensure(layout, pins, progress)
