"""How an installation ends when the volume fails: with one clear result, which needs no byte on that volume."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioning import contract
from provisioning.contract import GatewayPlan, ProvisionPlan, Secrets, SourcePin
from provisioning.install import __main__ as installation
from provisioning.install import job, probe, steps
from provisioning.layout import Layout
from provisioning.progress import read_from
from provisioning.push import remedy

Installed = Callable[[Sequence[steps.Step]], list[dict[str, Any]]]


@pytest.fixture
def installed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Installed:
    plan = ProvisionPlan(SourcePin("c", "https://example.org", "v1", "c" * 40), (), (), GatewayPlan({}, 0.5))
    secrets = vars(Secrets("pepper", "client", "admin"))
    order = {"job": "j", "run": "r1", "plan": json.loads(plan.to_json()), "secrets": secrets}
    layout.local.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("POD_ROOT", str(layout.root))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order)))

    def run(table: Sequence[steps.Step]) -> list[dict[str, Any]]:
        before = os.umask(0o022)
        try:
            installation.main(table)
        finally:
            os.umask(before)
        return [json.loads(line) for line, _ in read_from(job.progress_path(layout, "r1"), 0)]

    return run


def full(*_: object, **__: object) -> None:
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/persistent/volume/x")


@pytest.mark.parametrize("where", ["_comfyui", "check_comfyui"])
def test_a_full_volume_is_told_once_with_its_remedy(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    table = tuple(
        steps.Step(step.name, step.title, step.is_done, full if step.name == "comfyui" else step.run)
        for step in steps.STEPS[:4]
    )
    monkeypatch.setattr(installation, "check_comfyui", full)
    lines = installed(table if where == "_comfyui" else ())
    assert [line["state"] for line in lines if line["step"] == "result"] == ["failed"]
    assert os.strerror(errno.EDQUOT) in lines[-1]["detail"]
    assert "Traceback" not in lines[-1]["detail"]
    assert "volume.sizeGb" in remedy(lines[-1]["detail"])


def test_what_tells_of_a_failure_lies_on_another_disk(layout: Layout) -> None:
    assert not job.progress_path(layout, "r1").is_relative_to(layout.volume_parent)
    assert not job.lock_path(layout).is_relative_to(layout.volume_parent)
    assert contract.LOCAL.split("/")[1] != contract.VOLUME_PARENT.split("/")[1]


def test_a_volume_that_cannot_be_written_now_does_not_stop_a_change_of_settings(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "line", full)
    monkeypatch.setattr(installation, "check_comfyui", full)
    (told,) = [line for line in installed(()) if line["step"] == "volume"]
    assert (told["state"], os.strerror(errno.EDQUOT) in told["detail"]) == ("warning", True)


def test_the_probe_says_what_the_volume_does(layout: Layout) -> None:
    line = probe.line(layout, owns_machine=os.geteuid() == 0)
    assert "chmod obeyed" in line
    assert ("chown obeyed" in line) is (os.geteuid() == 0)
    assert [word for word in ("MB/s", "fsync", "open", "df shows") if word not in line] == []
    assert list(layout.home.iterdir()) == []


@pytest.mark.parametrize(("total", "said"), [(probe.CLUSTER_BYTES + 1, "df shows the cluster"), (10**11, "100 GB")])
def test_the_probe_knows_a_cluster(layout: Layout, monkeypatch: pytest.MonkeyPatch, total: int, said: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"total": total}))
    assert said in probe.line(layout, owns_machine=False)


def test_the_probe_knows_a_volume_that_ignores_modes(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    monkeypatch.setattr(os, "chown", full)
    line = probe.line(layout, owns_machine=True)
    assert "chown refused" in line
    assert "chmod ignored" in line
