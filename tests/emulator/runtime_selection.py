"""The selection of the runtime: namespaces where this machine can have them, else plain processes."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from tests.emulator.runtimes import Runtime
from tests.emulator.runtimes.process import ProcessRuntime

RUNTIMES = ("auto", "namespace", "process")


def select(wanted: str, directory: Path) -> tuple[Runtime, str]:
    """Return the runtime and the reason for it; ValueError when this machine cannot run the wanted one."""
    if wanted == "process":
        return ProcessRuntime(directory), "asked for"
    reason = why_no_namespaces()
    if reason is None:
        # Imported only here: it holds calls of Linux that other systems do not have.
        module = importlib.import_module("tests.emulator.runtimes.namespace")
        return module.NamespaceRuntime(directory), "root on Linux, and namespaces work here"
    if wanted == "namespace":
        raise ValueError(f"the namespace runtime is not available: {reason}; use --runtime process")
    return ProcessRuntime(directory), f"no namespace runtime: {reason}"


def why_no_namespaces() -> str | None:
    """Return why the namespace runtime is not available here, None when it can."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    answer: str | None = importlib.import_module("tests.emulator.runtimes.namespace_check").why_not()
    return answer
