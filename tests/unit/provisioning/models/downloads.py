"""Downloads of models from a server of the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioning.contract import ModelPin
from provisioning.layout import Layout
from provisioning.models import manifest
from provisioning.models.download import Download, DownloadedFile, DownloadHooks
from provisioning.models.http import DownloadTokens
from provisioning.progress import ProgressLog
from tests.unit.provisioning.conftest import safetensors, sha256

BIG = safetensors(bytes(range(256)) * 16384)  # 4 MiB: several chunks


def pin(url: str, content: bytes = BIG, **changes: object) -> ModelPin:
    values = {"name": "m.safetensors", "folder": "loras", "url": url, "sha256": sha256(content)} | changes
    return ModelPin(**values)  # type: ignore[arg-type]


def fetch(
    model: ModelPin,
    staging: Path,
    tokens: DownloadTokens | None = None,
    sleep: Callable[[float], None] = lambda _: None,
) -> DownloadedFile:
    staging.mkdir(exist_ok=True)
    download = Download(
        model, staging, tokens or DownloadTokens(), cancelled=threading.Event(), waits=DownloadHooks(sleep)
    )
    return download.run()


def ensure(layout: Layout, pins: list[ModelPin], progress: ProgressLog, **around: Any) -> None:  # noqa: ANN401 - fields of Surroundings
    manifest.ensure(
        layout, pins, manifest.FetchContext(DownloadTokens(), progress, **{"sleep": lambda _: None, **around})
    )
