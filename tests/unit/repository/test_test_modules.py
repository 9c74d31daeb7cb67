"""Rules for the test modules themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_imports_a_test_module() -> None:
    """Helpers that tests share stand in modules named by what they provide, or in a conftest."""
    found = {
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        for name in imported(tree)
        if name.startswith("tests.") and ".test_" in name
    }
    assert found == set()
