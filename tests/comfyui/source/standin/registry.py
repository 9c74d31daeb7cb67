"""The node classes of a server: built-in ones and those of custom nodes."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from .machine import Machine
from .nodes import BUILT_IN

_LOG = logging.getLogger(__name__)

NodeClass = type[Any]
"""A class with INPUT_TYPES, RETURN_TYPES, FUNCTION and perhaps more, as ComfyUI's custom nodes have it."""


class Registry:
    """Node classes by name."""

    def __init__(self, machine: Machine) -> None:
        self.classes: dict[str, NodeClass] = {
            name: type(name, (node,), {"machine": machine, "__doc__": node.__doc__}) for name, node in BUILT_IN.items()
        }
        self.display_names: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self.web_folders: dict[str, Path] = {}
        self._load_custom_nodes(machine)

    def info(self, name: str) -> dict[str, Any]:
        """Return what /object_info says of a node."""
        node = self.classes[name]
        inputs = node.INPUT_TYPES()
        outputs = list(node.RETURN_TYPES)
        return {
            "input": inputs,
            "input_order": {section: list(names) for section, names in inputs.items()},
            "is_input_list": getattr(node, "INPUT_IS_LIST", False),
            "output": outputs,
            "output_is_list": list(getattr(node, "OUTPUT_IS_LIST", [False] * len(outputs))),
            "output_name": list(getattr(node, "RETURN_NAMES", ())) or outputs,
            "name": name,
            "display_name": self.display_names.get(name, name),
            "description": getattr(node, "DESCRIPTION", ""),
            "python_module": self.modules.get(name, "nodes"),
            "category": getattr(node, "CATEGORY", "sd"),
            "output_node": is_output(node),
            "has_intermediate_output": False,
            "search_aliases": [],
        }

    def _load_custom_nodes(self, machine: Machine) -> None:
        options = machine.options
        if not machine.folders.custom_nodes.is_dir():
            return
        _LOG.info("\nImport times for custom nodes:")
        for path in sorted(machine.folders.custom_nodes.iterdir()):
            if _is_node_module(path) and (options.custom_nodes or path.name in options.allowed_custom_nodes):
                self._load(path)

    def _load(self, path: Path) -> None:
        began = time.perf_counter()
        try:
            module = _import(path)
            self._register(path, module)
            failed = ""
        except Exception:  # noqa: BLE001 - one broken custom node must not keep the server from starting
            _LOG.exception("Cannot import %s module for custom nodes:", path)
            failed = " (IMPORT FAILED)"
        _LOG.info("%6.1f seconds%s: %s", time.perf_counter() - began, failed, path)

    def _register(self, path: Path, module: ModuleType) -> None:
        found: dict[str, NodeClass] = module.NODE_CLASS_MAPPINGS
        self.classes |= {name: node for name, node in found.items() if name not in BUILT_IN}
        self.display_names |= getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", {})
        self.modules |= dict.fromkeys(found, f"custom_nodes.{path.stem}")
        if web := getattr(module, "WEB_DIRECTORY", None):
            self.web_folders[path.stem] = (path / web).resolve()


def is_output(node: NodeClass) -> bool:
    """Return whether a node's result is what a job is run for."""
    return getattr(node, "OUTPUT_NODE", False) is True


def _is_node_module(path: Path) -> bool:
    if path.name.startswith(("_", ".")) or path.name.endswith(".disabled"):
        return False
    return path.is_dir() or path.suffix == ".py"


def _import(path: Path) -> ModuleType:
    file = path / "__init__.py" if path.is_dir() else path
    # Folder names need not be Python names, so the module is registered under one that no import can collide with.
    name = f"custom_nodes.{path.stem}"
    folders = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
