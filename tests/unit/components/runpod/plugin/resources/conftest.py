from __future__ import annotations

from dataclasses import replace

import pytest

from components.runpod.plugin.base.resource import Operation
from components.runpod.plugin.base.settings import ProviderSettings


@pytest.fixture
def offline(operation: Operation) -> Operation:
    return replace(operation, settings=ProviderSettings())
