"""The models of a manifest in the store and under their names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioning.contract import ModelPin
from provisioning.errors import DiskFullError, InstallError, ModelError
from provisioning.layout import Layout
from provisioning.models import store
from provisioning.progress import ProgressLog
from tests.unit.provisioning.conftest import Script, Serve, safetensors, sha256
from tests.unit.provisioning.models.downloads import BIG, ensure, pin

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
