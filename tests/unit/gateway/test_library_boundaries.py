"""The gateway uses what its libraries publish: none of their private modules, no override of a private method."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from provisioning import gateway

ROOT = Path(gateway.__file__).parent
OURS = ("provisioning", "tests")
PUBLIC = frozenset({"__future__", "__main__"})


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the absolute names of modules, and of what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private(name: str) -> bool:
    """Return whether a module, or a name taken from it, is not a library's public one."""
    return not name.startswith(OURS) and any(part.startswith("_") for part in name.split(".") if part not in PUBLIC)


def test_no_private_module_of_a_library_is_imported() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in ROOT.rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if private(name)
    }
    assert not found


@pytest.mark.parametrize("line", ["from uvicorn._types import X", "import aiohttp._http", "from a.b import _c"])
def test_such_an_import_would_be_found(line: str) -> None:
    assert any(map(private, imported(ast.parse(line))))


@pytest.mark.parametrize("line", ["from __future__ import annotations", "from provisioning.x import _y", "import a.b"])
def test_others_would_not(line: str) -> None:
    assert not any(map(private, imported(ast.parse(line))))


def overridden(cls: type) -> Iterator[str]:
    """Yield the private methods of a class that a base of a library has as well."""
    bases = [base for base in cls.__mro__[1:] if not base.__module__.startswith(OURS)]
    for name, value in vars(cls).items():
        is_private = name.startswith("_") and not name.endswith("__")
        if is_private and isinstance(value, FunctionType) and value.__module__ == cls.__module__:
            yield from (f"{cls.__qualname__}.{name} of {base.__qualname__}" for base in bases if name in vars(base))


def test_no_private_method_of_a_library_is_overridden() -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(gateway.__path__, f"{gateway.__name__}.")
        if not module.name.endswith("__main__") and ".migrations." not in module.name
    ]
    classes = {
        cls
        for name in names
        for _, cls in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if cls.__module__ == name
    }
    assert len(classes) > 100
    assert not {f"{cls.__module__}: {found}" for cls in classes for found in overridden(cls)}


class Library:
    """A library's class."""

    def _hook(self) -> None:
        """A private method of it."""


Library.__module__ = "library"


class Ours(Library):
    """A class of ours."""

    def _hook(self) -> None:
        """A method that the library has as well."""

    def _own(self) -> None:
        """A method that it does not have."""


def test_such_an_override_would_be_found() -> None:
    assert list(overridden(Ours)) == ["Ours._hook of Library"]
