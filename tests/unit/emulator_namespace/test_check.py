"""A machine that cannot run namespaces says why."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.emulator.runtimes import namespace_check


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert namespace_check.why_not() == "namespaces need Linux"


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert namespace_check.why_not() == "namespaces need root: run it with sudo"


def test_missing_tools_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in {"nft", "ip"} else f"/usr/sbin/{tool}")
    assert namespace_check.why_not() == "tools are missing: install iproute2, nftables"


def test_a_trial_that_fails_gives_the_kernels_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    trial = ["sh", "-c", "echo mount: permission denied >&2; exit 1"]
    failed = "a trial of namespaces, overlay and packet filter failed"
    assert namespace_check.why_not(trial) == f"{failed}: mount: permission denied"
