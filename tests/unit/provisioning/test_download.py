"""A model file reaches the store whole, checked and once, or not at all; tokens stay where they belong."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError, ModelError
from provisioning.install.progress import Progress
from provisioning.layout import Layout
from provisioning.models import manifest, store
from provisioning.models.download import Download, Fetched
from provisioning.models.http import Tokens
from tests.unit.provisioning.conftest import Script, Serve, safetensors, sha256

BIG = safetensors(bytes(range(256)) * 16384)  # 4 MiB: several chunks


def pin(url: str, content: bytes = BIG, **changes: object) -> ModelPin:
    values = {"name": "m.safetensors", "folder": "loras", "url": url, "sha256": sha256(content)} | changes
    return ModelPin(**values)  # type: ignore[arg-type]


def fetch(model: ModelPin, staging: Path, tokens: Tokens | None = None) -> Fetched:
    staging.mkdir(exist_ok=True)
    download = Download(model, staging, tokens or Tokens(), cancelled=threading.Event(), sleep=lambda _: None)
    return download.run()


def test_a_cut_connection_is_resumed_where_it_was_cut(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG, cut_after=[3_000_000, 500_000])
    fetched = fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert fetched.path.read_bytes() == BIG
    assert [headers.get("Range") for _, headers in script.requests] == [None, "bytes=3000000-", "bytes=3500000-"]


def test_a_server_without_ranges_sends_the_whole_file_again(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG, cut_after=[1_500_000], ranges=False)
    fetched = fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert (fetched.sha256, fetched.size) == (sha256(BIG), len(BIG))


def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old_one(serve: Serve, tmp_path: Path) -> None:
    script = Script(b"x" * len(BIG), cut_after=[2_000_000])
    url = serve(script) + "/f"

    def swap(_: float) -> None:
        script.content, script.etag = BIG, '"two"'

    (tmp_path / "s").mkdir()
    download = Download(pin(url), tmp_path / "s", Tokens(), cancelled=threading.Event(), sleep=swap)
    assert download.run().sha256 == sha256(BIG)


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
    with pytest.raises(ModelError, match="given up after 6 tries"):
        fetch(pin(serve(script) + "/f"), tmp_path / "s")
    assert len(script.requests) == 6


@pytest.mark.parametrize(("status", "text"), [(401, "wants an access token"), (404, "check the model's URL")])
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
    fetched = fetch(pin(serve(here) + "/moved"), tmp_path / "s", Tokens({"127.0.0.1": "canary"}))
    assert fetched.size == len(BIG)
    assert here.requests[0][1]["Authorization"] == "Bearer canary"
    assert "canary" not in str(elsewhere.requests)


def test_a_redirect_within_the_host_keeps_the_token(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG)
    base = serve(script)
    script.redirect = base + "/f"
    fetch(pin(base + "/moved"), tmp_path / "s", Tokens({"127.0.0.1": "canary"}))
    assert [headers.get("Authorization") for _, headers in script.requests] == ["Bearer canary"] * 2


def test_another_port_of_the_same_host_is_another_party(serve: Serve, tmp_path: Path) -> None:
    elsewhere = Script(BIG)
    here = Script(b"", redirect=serve(elsewhere) + "/f")
    fetch(pin(serve(here) + "/moved"), tmp_path / "s", Tokens({"127.0.0.1": "canary"}))
    assert "Authorization" not in elsewhere.requests[0][1]


def test_a_full_disk_is_said_and_the_download_goes_on_later(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/f")
    whole = Download._write

    def full(self: Download, file: IO[bytes], chunk: bytes) -> None:
        if self.done >= 2 << 20:
            file = _Full()  # type: ignore[assignment]
        whole(self, file, chunk)

    monkeypatch.setattr(Download, "_write", full)
    with pytest.raises(DiskFullError, match="raise volume"):
        fetch(model, tmp_path / "s")
    monkeypatch.undo()
    assert fetch(model, tmp_path / "s").sha256 == sha256(BIG)
    assert script.requests[-1][1]["Range"] == f"bytes={2 << 20}-"


class _Full:
    def write(self, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


Lines = Callable[[], list[dict[str, object]]]


def test_a_manifest_is_put_in_place_once_per_content(
    serve: Serve, layout: Layout, progress: Progress, lines: Lines
) -> None:
    script = Script(BIG)
    url = serve(script)
    pins = [pin(f"{url}/a", name="a.safetensors"), pin(f"{url}/b", name="b.safetensors", folder="vae")]
    missing = ModelPin("later.safetensors", "loras", "", optional=True)
    manifest.ensure(layout, [*pins, missing], Tokens(), progress)
    assert len(script.requests) == 1
    assert (layout.model_folders / "loras/a.safetensors").read_bytes() == BIG
    assert (layout.model_folders / "vae/b.safetensors").read_bytes() == BIG
    assert [path.name for path in layout.model_store.iterdir()] == [sha256(BIG)]
    assert any(line["state"] == "skipped" and "later" in str(line["detail"]) for line in lines())


def test_an_unknown_hash_is_learnt_and_then_kept(serve: Serve, layout: Layout, progress: Progress) -> None:
    script = Script(BIG)
    model = pin(serve(script) + "/a", sha256="")
    manifest.ensure(layout, [model], Tokens(), progress)
    manifest.ensure(layout, [model], Tokens(), progress)
    assert store.stored(layout, model) == store.Stored(sha256(BIG), len(BIG))
    assert len(script.requests) == 1


def test_a_model_that_left_the_manifest_loses_its_name(serve: Serve, layout: Layout, progress: Progress) -> None:
    url = serve(Script(BIG))
    manifest.ensure(layout, [pin(f"{url}/a", name="old.safetensors")], Tokens(), progress)
    manifest.ensure(layout, [pin(f"{url}/a", name="new.safetensors")], Tokens(), progress)
    assert [path.name for path in (layout.model_folders / "loras").iterdir()] == ["new.safetensors"]


def test_what_is_no_model_is_never_in_place(serve: Serve, layout: Layout, progress: Progress) -> None:
    html = b"<!doctype html>please log in"
    with pytest.raises(ModelError, match="not a valid file"):
        manifest.ensure(layout, [pin(serve(Script(html)) + "/a", html)], Tokens(), progress)
    assert not list(layout.home.rglob("m.safetensors"))
    assert not list(layout.model_staging.glob("*.part"))


def test_too_little_room_is_said_before_anything_is_fetched(serve: Serve, layout: Layout, progress: Progress) -> None:
    script = Script(BIG)
    with pytest.raises(DiskFullError, match="the models need"):
        manifest.ensure(layout, [pin(serve(script) + "/a", size_bytes=1 << 60)], Tokens(), progress)
    assert script.requests == []


def test_models_of_earlier_manifests_go_when_their_room_is_needed(
    serve: Serve, layout: Layout, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.model_store.mkdir(parents=True)
    for name in ("0" * 64, sha256(BIG)):
        (layout.model_store / name).write_bytes(BIG)

    def free(layout: Layout) -> int:
        return store.RESERVE_BYTES + (len(BIG) * 2 - sum(path.stat().st_size for path in layout.model_store.iterdir()))

    monkeypatch.setattr(store, "_free", free)
    other = safetensors(b"other")
    pins = [
        pin("http://127.0.0.1:1/kept"),
        pin(serve(Script(other)) + "/b", other, name="b.safetensors", size_bytes=len(other)),
    ]
    manifest.ensure(layout, pins, Tokens(), progress)
    assert {path.name for path in layout.model_store.iterdir()} == {sha256(BIG), sha256(other)}


def test_one_bad_model_ends_the_others(serve: Serve, layout: Layout, progress: Progress) -> None:
    pins = [
        pin(serve(Script(BIG)) + "/a", name="a.safetensors"),
        pin(serve(Script(b"", statuses=[404])) + "/b", b"b", name="b.safetensors"),
    ]
    with pytest.raises(ModelError, match="HTTP 404"):
        manifest.ensure(layout, pins, Tokens(), progress)
