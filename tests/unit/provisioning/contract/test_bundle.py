"""The bundle: the same bytes everywhere, only what a pod needs, and nothing that needs a package to be imported."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from provisioning.contract import bundle
from tests.unit.provisioning.conftest import TRUSTED


def test_packing_twice_gives_the_same_bytes() -> None:
    assert bundle.pack() == bundle.pack()


def test_it_leaves_our_side_at_home() -> None:
    names = [name for name, _ in bundle.files()]
    assert "provisioning/contract/__init__.py" in names
    assert "provisioning/gateway/requirements.lock" in names
    assert not [name for name in names if "/ssh/" in name or name.endswith(("push.py", "boot.sh", ".pyc"))]


def test_the_digest_follows_every_content_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for files in ([("a", b"1")], [("a", b"2")], [("b", b"1")], [("a", b"1"), ("b", b"1")]):
        monkeypatch.setattr(bundle, "files", lambda files=files: iter(files))
        seen.add(bundle.digest())
    assert len(seen) == 4


def test_on_the_pod_it_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle.pack())) as tar:
        tar.extractall(tmp_path, **TRUSTED)  # noqa: S202 - our own
    modules = [
        path.relative_to(tmp_path).with_suffix("").as_posix().replace("/", ".")
        for path in tmp_path.rglob("*.py")
        if "gateway" not in path.relative_to(tmp_path).parts[:2]
        and path.name not in {"__init__.py", "__main__.py", "gateway_options.py"}
    ]
    assert len(modules) > 20
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport {', '.join(modules)}, provisioning.install.__main__"
    )
    # -I -S: neither this checkout nor any installed package can be seen.
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=60)
