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


def patched(tree: ast.Module) -> Iterator[str]:
    """Yield the name of every attribute that a module replaces in something else: by assignment, setattr or patch."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"setattr", "object", "patch"}:
            names = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
            yield from (str(name).rpartition(".")[2] for name in names)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.attr


def test_no_test_patches_a_constant() -> None:
    """A bound that a test changes is a setting or a parameter, with the constant as its default."""
    found = {f"{module} patches {name}" for module, tree in MODULES.items() for name in patched(tree) if name.isupper()}
    assert found == set()
