from __future__ import annotations

from dataclasses import replace

import pytest

from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings


@pytest.fixture
def offline(operation: ProviderOperation) -> ProviderOperation:
    return replace(operation, settings=ProviderSettings())
