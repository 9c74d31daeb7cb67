"""Which runtime this machine can have."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from tests.emulator.runtimes import Runtime
from tests.emulator.runtimes.process import ProcessRuntime

CHOICES = ("auto", "namespace", "process")


def choose(wanted: str, directory: Path) -> tuple[Runtime, str]:
    """Return the runtime and the reason for it; ValueError when the wanted one cannot be had."""
    if wanted == "process":
        return ProcessRuntime(directory), "asked for"
    hindrance = namespace_hindrance()
    if hindrance is None:
        # Imported only here: it holds calls of Linux that other systems do not have.
        module = importlib.import_module("tests.emulator.runtimes.namespace")
        return module.NamespaceRuntime(directory), "root on Linux, and namespaces work here"
    if wanted == "namespace":
        raise ValueError(f"the namespace runtime cannot be had: {hindrance}; use --runtime process")
    return ProcessRuntime(directory), f"no namespace runtime: {hindrance}"


def namespace_hindrance() -> str | None:
    """Return why the namespace runtime cannot be had here, None when it can."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    answer: str | None = importlib.import_module("tests.emulator.runtimes.namespace_check").why_not()
    return answer
