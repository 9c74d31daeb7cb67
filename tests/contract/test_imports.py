"""The import directions of the house; the contracts stand in pyproject.toml under tool.importlinter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_point_one_way() -> None:
    # A process of its own: in ours it would switch off the loggers that other tests listen to.
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_only_settings_reads_the_stack_configuration() -> None:
    readers = [
        _relative(path)
        for path in _modules("stacks", "components", "policies", "provisioning")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "Config" and getattr(node.value, "id", "") == "pulumi"
    ]
    # The binding of the provider reads the provider's own three keys, as every Pulumi package does.
    assert set(readers) <= {"stacks/settings.py", "components/runpod/provider.py"}


@pytest.mark.parametrize("path", _modules("stacks", "components", "policies", "provisioning", "tools"), ids=_relative)
def test_functions_stay_under_fifty_lines(path: Path) -> None:
    long = [
        f"{node.name} has {lines} lines"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > 50
    ]
    assert not long
