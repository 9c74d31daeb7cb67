from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path, empty_file: Path) -> Path:
    """Return a folder with a container disk, which has an empty database, and a volume."""
    (tmp_path / "disk").mkdir()
    shutil.copy(empty_file, tmp_path / "disk" / "gateway.db")
    return tmp_path
