"""Orphans, colleagues and lost passphrases: what sweep, break-glass and doctor do with a real state and real pods."""

from __future__ import annotations

import json
import shutil

import pytest

from components.runpod.marker import Marker
from components.runpod.plugin.lifecycle.deletion import DeletionTiming
from stacks.cli.account.ownership import ResourceSelection
from stacks.cli.commands import break_glass, doctor, sweep
from stacks.cli.consent import Consent
from stacks.cli.errors import CliError
from stacks.cli.pulumi import state_locks
from stacks.cli.pulumi.stack import POD, VOLUME
from tests.integration.operations.site import Site
from tests.integration.provider import bench

OURS = Marker("0123456789", "aaaaaaaa", "11111111")
ORPHAN = Marker("0123456789", "aaaaaaaa", "22222222")
COLLEAGUES = Marker("9876543210", "aaaaaaaa", "33333333")
YES, NO = Consent("local", given=True), Consent("local")


def test_an_orphan_is_swept_and_nothing_else_is(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    held, volume, orphan = site.pod(OURS), site.volume(OURS), site.pod(ORPHAN)
    colleagues, hand, lost = site.pod(COLLEAGUES), site.pod(None, "by-hand"), site.volume(ORPHAN)
    site.record(OURS.instance, {held: POD, volume: VOLUME})
    everything = {held, volume, orphan, colleagues, hand, lost}

    assert sweep.run(site.checkout, ResourceSelection(), NO) == 0
    said = capsys.readouterr().out
    assert f"would delete pod {orphan}" in said
    assert f"keeps pod {colleagues}" in said
    assert "/day" in said
    assert site.holds() == everything

    assert sweep.run(site.checkout, ResourceSelection(), YES) == 0
    assert site.holds() == everything - {orphan}
    assert sweep.run(site.checkout, ResourceSelection(), NO) == 0
    assert "no orphans found" in capsys.readouterr().out

    with pytest.raises(CliError, match="make destroy ENV=local"):
        sweep.run(site.checkout, ResourceSelection(frozenset({held})), YES)
    assert sweep.run(site.checkout, ResourceSelection(frozenset({hand}), frozenset({lost})), YES) == 0
    assert site.holds() == {held, volume, colleagues}


@pytest.mark.slow
def test_an_endpoint_nobody_remembers_is_told_of_and_swept(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.record(OURS.instance, {})
    orphan, colleagues, hand = site.endpoint(ORPHAN), site.endpoint(COLLEAGUES), site.endpoint(None)
    assert doctor.run(site.checkout, as_json=True) == 1
    report = json.loads(capsys.readouterr().out)
    costs = [finding for finding in report["findings"] if finding["kind"] == "orphan"]
    assert [(orphan in finding["what"], finding["usdPerDay"] > 0) for finding in costs] == [(True, True)]
    assert sweep.run(site.checkout, ResourceSelection(), YES) == 0
    assert site.holds() == {colleagues, hand}


@pytest.mark.slow
def test_what_an_update_is_making_is_no_orphan(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.record(OURS.instance, {})
    making = site.pod(OURS)
    monkeypatch.setattr(state_locks, "active", lambda _folder: ["lock.json"])
    assert sweep.run(site.checkout, ResourceSelection(), YES) == 0
    assert site.holds() == {making}


@pytest.mark.slow
def test_a_stack_that_was_destroyed_still_owns_what_it_left(site: Site) -> None:
    site.record(OURS.instance, {})
    site.destroy()
    late = site.pod(ORPHAN)
    assert sweep.run(site.checkout, ResourceSelection(), NO) == 0
    assert sweep.run(site.checkout, ResourceSelection(), YES) == 0
    assert late not in site.holds()


@pytest.mark.slow
def test_a_deletion_that_lies_fails_the_sweep(
    site: Site, runpod: bench.Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    site.record(OURS.instance, {})
    orphan = site.pod(ORPHAN)
    runpod.control("faults", [{"method": "DELETE", "path": "^/v2/pods/", "do": {"status": 204}}])
    try:
        assert sweep.run(site.checkout, ResourceSelection(), YES, DeletionTiming(seconds=2.0)) == 1
    finally:
        runpod.control("faults", [])
    assert "still exists and is billed" in capsys.readouterr().out
    assert site.holds() == {orphan}


def test_break_glass_needs_no_passphrase_and_spares_colleagues(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {site.pod(OURS), site.volume(OURS), site.pod(ORPHAN)}
    theirs = site.pod(COLLEAGUES)
    site.record(OURS.instance, {})
    shutil.rmtree(site.checkout.state)
    shutil.rmtree(site.checkout.root / ".cache")
    with pytest.raises(CliError, match="RUNPOD_API_KEY"):
        break_glass.run(site.checkout, YES, instance="", keep_volumes=False)
    monkeypatch.setenv("RUNPOD_API_KEY", site.key)
    with pytest.raises(CliError, match=f"several instances.*{OURS.instance}, {COLLEAGUES.instance}"):
        break_glass.run(site.checkout, YES, instance="", keep_volumes=False)
    assert break_glass.run(site.checkout, NO, instance=OURS.instance, keep_volumes=False) == 1
    assert site.holds() == own | {theirs}
    assert break_glass.run(site.checkout, YES, instance=OURS.instance, keep_volumes=True) == 0
    assert [volume.id for volume in site.client.list_network_volumes()] == sorted(own & site.holds())
    assert break_glass.run(site.checkout, YES, instance=OURS.instance, keep_volumes=False) == 0
    assert site.holds() == {theirs}
    assert site.key not in "".join(capsys.readouterr())


def test_the_doctor_compares_state_and_account(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    held, orphan = site.pod(OURS), site.pod(ORPHAN)
    site.record(OURS.instance, {held: POD, "vanished": VOLUME})
    assert doctor.run(site.checkout, as_json=True) == 1
    report = json.loads(capsys.readouterr().out)
    found = {(finding["kind"], finding["severity"]): finding for finding in report["findings"]}
    assert orphan in found["orphan", "costs"]["what"]
    assert found["orphan", "costs"]["usdPerDay"] > 1
    assert "volume vanished" in found["lost", "breaks"]["what"]
    assert report["healthy"] is False
    sweep.run(site.checkout, ResourceSelection(), YES)
    site.record(OURS.instance, {held: POD})
    assert doctor.run(site.checkout, as_json=False) == 0
