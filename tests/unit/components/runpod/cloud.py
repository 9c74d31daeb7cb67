"""Fixtures: the emulator as a cloud, and operations of one provider process after another on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from components.runpod.intents import Intents
from components.runpod.plugin.base.account_check import AccountCheck
from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from tests.unit.components.runpod.clock import FakeClock
from tests.unit.components.runpod.conftest import Lines
from tests.unit.components.runpod.emulated import RunPod, emulated
from tests.unit.components.runpod.every_kind import GUARD, Case

OTHER = "9876543210"
"""Instance id of another stack of the account."""

Begin = Callable[..., ProviderOperation]
"""Begins an operation on a case, in a new process that is killed before its n-th call (0: never)."""


class KilledError(BaseException):
    """The process is gone: nothing of it catches this."""


@pytest.fixture
def cloud(tmp_path: Path, clock: FakeClock) -> Iterator[RunPod]:
    with emulated(tmp_path / "runpod", clock) as running:
        yield running


@pytest.fixture
def begin(cloud: RunPod, clock: FakeClock, intents: Intents, lines: Lines) -> Iterator[Begin]:
    """What begins operations; each has a client of its own, as another process would."""
    clients: list[Client] = []

    def start(case: Case, killed_before: int = 0) -> ProviderOperation:
        sent = iter(range(1, 10_000))

        def before_send() -> None:
            if next(sent) == killed_before:
                raise KilledError

        client = Client(
            "rpa_canary", cloud.url, ClientHooks(sleep=clock.sleep, clock=clock.time, before_send=before_send)
        )
        clients.append(client)
        return ProviderOperation(
            urn=f"urn:pulumi:dev::project::runpod:index:{case.token}::{case.name}",
            settings=ProviderSettings(api_key="rpa_canary", api_url=cloud.url, late_effect_seconds=6),
            client=lambda: client,
            reporter=lines,
            intents=intents,
            sleep=clock.sleep,
            clock=clock.time,
            wall=clock.time,
            account=AccountCheck(seen={GUARD, OTHER}, checked={GUARD, OTHER}),
        )

    yield start
    for client in clients:
        client.close()


def checked(case: Case, operation: ProviderOperation, **changes: object) -> dict[str, Any]:
    """Return the inputs of a case as the provider's check leaves them."""
    inputs, failures = case.kind.check(operation, {}, {**case.declared, **changes})
    assert failures == []
    return inputs
