from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"files": tmp_path / "volume" / "files"}
