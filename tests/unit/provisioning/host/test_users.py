"""The service users of a pod."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioning.host import users
from provisioning.host.users import ServiceUser
from provisioning.layout import Layout


def test_two_processes_that_create_the_users_at_once_create_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[str] = []

    def create(user: ServiceUser, env: Mapping[str, str]) -> None:
        del env
        time.sleep(0.05)
        created.append(user.name)

    monkeypatch.setattr(users, "exists", lambda user: user.name in created)
    monkeypatch.setattr(users, "create", create)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: users.ensure(Layout(tmp_path), {}), range(2)))
    assert sorted(created) == ["comfyui", "gateway"]
