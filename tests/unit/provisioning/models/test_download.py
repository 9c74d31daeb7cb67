"""A model file reaches the store whole, checked and once, or not at all; tokens stay where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.errors import ModelError
from provisioning.models.http import DownloadTokens
from tests.unit.provisioning.conftest import Script, Serve, sha256
from tests.unit.provisioning.models.downloads import BIG, fetch, pin


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
    fetched = fetch(pin(serve(here) + "/moved"), tmp_path / "s", DownloadTokens({"127.0.0.1": "canary"}))
    assert fetched.size == len(BIG)
    assert here.requests[0][1]["Authorization"] == "Bearer canary"
    assert "canary" not in str(elsewhere.requests)


def test_a_redirect_within_the_host_keeps_the_token(serve: Serve, tmp_path: Path) -> None:
    script = Script(BIG)
    base = serve(script)
    script.redirect = base + "/f"
    fetch(pin(base + "/moved"), tmp_path / "s", DownloadTokens({"127.0.0.1": "canary"}))
    assert [headers.get("Authorization") for _, headers in script.requests] == ["Bearer canary"] * 2


def test_another_port_of_the_same_host_is_another_party(serve: Serve, tmp_path: Path) -> None:
    elsewhere = Script(BIG)
    here = Script(b"", redirect=serve(elsewhere) + "/f")
    fetch(pin(serve(here) + "/moved"), tmp_path / "s", DownloadTokens({"127.0.0.1": "canary"}))
    assert "Authorization" not in elsewhere.requests[0][1]


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
            DownloadTokens({"127.0.0.1": "t"}),
        )
