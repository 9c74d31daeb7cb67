"""What is set for pip holds for uv too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.packages import _only_uv, _uv
from tools.paths import SetupPaths
from tools.pip_settings import translated


def test_mirrors_and_certificates_are_taken_over() -> None:
    listing = "global.index-url='https://mirror.example/simple'\n:env:.cert='/etc/ca.pem'\nglobal.timeout='60'\n"
    assert translated(listing) == {"UV_DEFAULT_INDEX": "https://mirror.example/simple", "SSL_CERT_FILE": "/etc/ca.pem"}


def test_a_variable_wins_over_a_file_and_several_indexes_stay_several() -> None:
    listing = "global.index-url='https://a.example'\n:env:.index-url='https://b.example'\n"
    listing += "global.extra-index-url='\\nhttps://c.example\\nhttps://d.example'\n"
    expected = {"UV_DEFAULT_INDEX": "https://b.example", "UV_INDEX": "https://c.example https://d.example"}
    assert translated(listing) == expected


def test_a_folder_of_wheels_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert translated(f"global.find-links='{tmp_path}'\n") == {"UV_FIND_LINKS": str(tmp_path)}
    assert translated(f"global.find-links='{tmp_path}/absent'\n") == {}


def test_uv_is_taken_from_the_lock_with_its_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "uvicorn==1 \\\n    --hash=sha256:aa\nuv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n    # via x\n"
    )
    paths = SetupPaths(tmp_path, tmp_path)
    assert _only_uv(paths, lock).read_text() == "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"


@pytest.mark.parametrize("environ", [{}, {"PYTHONDONTWRITEBYTECODE": "1"}])
def test_uv_accepts_the_converted_settings(tmp_path: Path, environ: dict[str, str]) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("")
    command = _uv(Path(sys.executable).parent, lock, environ)
    subprocess.run([*command, "--offline", "--dry-run"], env=environ, check=True, timeout=60)
