"""Updates that end a pod: those that ask first, and those that a person asked for by `make pause`."""

from __future__ import annotations

from contextlib import closing

import pytest
import yaml

from components.naming import PAUSED
from components.runpod.api import Client
from components.runpod.plugin.volumes import unused_tag
from stacks.cli.account import preview_context
from stacks.cli.commands import emulator, pause, up
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack
from stacks.cli.pulumi.engine import Engine
from stacks.cli.reports import failure_report
from tests.integration.proof.runpod import RunPod
from tests.integration.proof.site import KEY, Site
from tests.integration.provider.bench import kill_tree, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_what_ends_a_pod_or_a_volume_needs_a_word_and_nothing_else_does(
    site: Site, runpod: RunPod, capfd: pytest.CaptureFixture[str]
) -> None:
    engine, nobody = Engine(site.checkout, site.environ), Consent("local")
    site.settings(proof__volume="true", proof__replace="before")
    assert up.update(engine, nobody) == (0, [])
    first = runpod.holds()
    assert len(first) == 2
    site.settings(proof__x="2")
    assert up.update(engine, nobody) == (0, [])
    assert runpod.holds() == first

    with closing(Client(KEY, runpod.url)) as client:
        assert unused_tag.mark_used(client, site.ids(stack.VOLUME)[0]), (
            "as if a pod had had it: nobody is asked for an empty one"
        )
    (pod,) = [one.id for one in runpod.pods()]
    site.settings(proof__gpus="NVIDIA GeForce RTX 4090", proof__volume="false")
    with pytest.raises(CliError) as refused:
        up.update(engine, nobody)
    said = str(refused.value)
    assert f"pod {pod} (NVIDIA RTX A5000) is replaced because of gpuTypeIdList" in said
    assert "(20 GB in EU-RO-1) is deleted: models" in said
    assert "nothing was done; run it again with YES=1 or YES=local" in said
    assert runpod.holds() == first

    asked: list[str] = []

    def choices(prompt: str) -> str:
        asked.append(prompt)
        return "local"

    assert up.update(engine, Consent("local", answer=choices)) == (0, [])
    assert asked == ["type local to continue: "]
    assert len(runpod.holds() - first) == len(runpod.holds()) == 1

    site.settings(proof__gpus="NVIDIA RTX A5000")
    runpod.faults({"method": "POST", "path": "^/v2/pods$", "do": {"status": 402}})
    code, failures = up.update(engine, Consent("local", given=True))
    runpod.faults()
    assert code == 1
    assert any(failure.name == "pod" and failure.reason for failure in failures), failures
    messages = failure_report.format_report(engine, failures, interrupted=False)
    assert messages.startswith("up failed at pod: ")
    assert "nothing of local exists, and nothing is billed" in messages
    capfd.readouterr()


def commands(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of `make` work on this checkout; the stand-in for RunPod runs already."""
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(emulator, "start", lambda _place: None)


def kill_a_pause(site: Site, runpod: RunPod) -> None:
    """Kill the engine while RunPod ends the pod: the request went out, and nobody heard the answer."""
    runpod.forget_requests()
    runpod.faults({"method": "DELETE", "path": "^/v2/pods/", "do": {"stall_seconds": 5.0}})
    process = Site(site.checkout, {**site.environ, PAUSED: "1"}).start("up", "--yes", "--skip-preview")
    until(lambda: [call for call in runpod.requests() if call["method"] == "DELETE"], "the deletion")
    kill_tree(process)
    runpod.faults()
    site.break_lock()


def test_pause_ends_the_pod_alone_and_is_finished_when_it_was_killed(
    site: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commands(site, monkeypatch)
    nobody = Consent("local")
    with pytest.raises(CliError, match="not up"):
        pause.run(site.checkout, nobody)
    site.settings(proof__volume="true")
    assert up.update(preview_context.with_preview_context(Engine(site.checkout, site.environ)), nobody) == (0, [])
    (volume,) = site.ids(stack.VOLUME)

    kill_a_pause(site, runpod)
    assert pause.run(site.checkout, nobody) == 0
    assert runpod.holds() == {volume}
    assert pause.run(site.checkout, nobody) == 0
    said = capfd.readouterr().out
    assert "local is paused: its pod is deleted" in said
    assert "local was paused already" in said

    # Whoever updates without saying otherwise leaves it paused, as the state says; `make up` and `make resume` do not.
    plain = preview_context.with_preview_context(Engine(site.checkout, site.environ))
    assert up.update(plain, nobody) == (0, [])
    assert runpod.holds() == {volume}
    assert up.update(
        preview_context.with_preview_context(Engine(site.checkout, site.environ), paused=False), nobody
    ) == (0, [])
    assert runpod.holds() == {volume, *site.ids()}
    assert len(site.ids()) == 1

    assert pause.run(site.checkout, nobody) == 0
    assert site.make_destroy(monkeypatch) == 0
    assert runpod.holds() == set()


def test_a_volume_that_is_to_be_kept_as_the_file_says_now_outlives_make_destroy(
    site: Site, runpod: RunPod, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The state is of an update that knew nothing of it."""
    site.settings(proof__volume="true")
    site.up()
    (volume,) = site.ids(stack.VOLUME)
    # The provider looks where the engine starts it, which is the folder of the stack files in the real project.
    (site.checkout.root / "program" / site.checkout.stack_file.name).symlink_to(site.checkout.stack_file)
    document = site.checkout.stack_yaml()
    document["config"]["comfyui-runpod:volume"] = {"keep": True}
    site.checkout.stack_file.write_text(yaml.safe_dump(document))
    assert site.make_destroy(monkeypatch) == 0
    assert runpod.holds() == {volume}
    said = capfd.readouterr().out
    assert "local is deleted; these resources are billed until you delete them:" in said
    assert f"volume {volume}" in said
    assert "kept because of volume.keep" in said
