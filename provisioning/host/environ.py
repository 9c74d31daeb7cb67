"""The environment of the pod's start, which boot.sh stores because SSH sessions do not inherit it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from provisioning.layout import Layout

TOOL_PREFIXES = ("PIP_", "UV_", "GIT_SSL_")
TOOL_VARIABLES = frozenset(
    {
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    }
)  # fmt: skip
"""Certificates, mirrors and proxies: required by git, pip and downloads for network access."""

DEVICE_PREFIXES = ("NVIDIA_", "CUDA_", "NV_")
DEVICE_VARIABLES = frozenset({"LD_LIBRARY_PATH", "LIBRARY_PATH", "CUDA_HOME"})
"""Variables that ComfyUI needs to find the GPU; no secret has such a name."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def parse(data: bytes) -> dict[str, str]:
    """Parse NUL-separated `NAME=value` pairs."""
    pairs = (item.split("=", 1) for item in data.decode("utf-8", "replace").split("\0") if "=" in item)
    return dict(pairs)


def read(layout: Layout) -> dict[str, str]:
    """Return the pod's environment; without the file of boot.sh, this process's environment."""
    try:
        return parse(layout.environ.read_bytes())
    except FileNotFoundError:
        return dict(os.environ)


def for_tools(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for git, pip and apt: paths, certificates and mirrors, without secrets."""
    chosen = {k: v for k, v in environ.items() if k in TOOL_VARIABLES or k.startswith(TOOL_PREFIXES)}
    own = {"PATH": environ.get("PATH") or SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": environ.get("HOME") or "/root"}
    return chosen | own


def for_comfyui(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return ComfyUI's environment: paths and devices, without secrets."""
    chosen = {k: v for k, v in environ.items() if k in DEVICE_VARIABLES or k.startswith(DEVICE_PREFIXES)}
    own = {"HOME": str(home), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return chosen | own | {"PATH": environ.get("PATH") or SYSTEM_PATH}
