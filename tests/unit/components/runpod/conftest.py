from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from components.runpod.intents import Intents
from components.runpod.plugin.base.account_check import AccountCheck
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.fake_api import FakeApi, fake_api

KEY = "rpa_canary_4711"
GUARD = "0123456789"
URN = "urn:pulumi:dev::project::comfyui:index:GpuPod$runpod:index:Pod::gpu"


class Lines:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def info(self, text: str) -> None:
        self.shown.append(text)

    def status(self, text: str) -> None:
        self.shown.append(text)

    def warning(self, text: str) -> None:
        self.shown.append(f"warning: {text}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as server:
        yield server
        assert not server.replies, "answers nobody asked for"


@pytest.fixture
def client(api: FakeApi, clock: FakeClock) -> Iterator[Client]:
    client = Client(KEY, api.url, ClientHooks(sleep=clock.sleep, clock=clock.time))
    yield client
    client.close()


@pytest.fixture
def intents(tmp_path: Path, clock: FakeClock) -> Intents:
    return Intents(tmp_path / "intents", clock.time)


@pytest.fixture
def operation(client: Client, clock: FakeClock, intents: Intents, lines: Lines, api: FakeApi) -> ProviderOperation:
    return ProviderOperation(
        urn=URN,
        settings=ProviderSettings(api_key=KEY, api_url=api.url),
        client=lambda: client,
        reporter=lines,
        intents=intents,
        sleep=clock.sleep,
        clock=clock.time,
        wall=clock.time,
        account=AccountCheck(seen={GUARD}, checked={GUARD}),
    )
