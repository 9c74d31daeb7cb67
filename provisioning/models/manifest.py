"""Install every model of a manifest, with parallel downloads and progress reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from provisioning.contract import ModelPin
from provisioning.errors import ModelError
from provisioning.layout import Layout
from provisioning.models import formats, store
from provisioning.models.download import Download, DownloadedFile, DownloadHooks
from provisioning.models.http import DownloadTokens
from provisioning.progress import DONE, RUNNING, SKIPPED, WARNING, ProgressLog

PARALLEL = 4
REPORT_SECONDS = 2.0
STEP = "models"


def fetchable(pins: Sequence[ModelPin]) -> tuple[ModelPin, ...]:
    """Return the entries that have a URL; raises ModelError for an invalid entry."""
    for pin in pins:
        formats.validate(pin)
    return tuple(pin for pin in pins if pin.url)


@dataclass(frozen=True)
class FetchContext:
    """The context of an installation of models."""

    tokens: DownloadTokens
    progress: ProgressLog
    capacity_bytes: int = 0
    """Size of the volume; 0 when unknown."""
    fence: Callable[[], None] = lambda: None
    """Raises when another pod has taken over the volume; called during downloads."""
    sleep: Callable[[float], None] = time.sleep


def ensure(layout: Layout, pins: Sequence[ModelPin], around: FetchContext) -> None:
    """Install every model; raises ModelError or DiskFullError, and keeps downloaded bytes."""
    wanted = fetchable(pins)
    for pin in pins:
        if not pin.url:
            around.progress.emit(STEP, SKIPPED, f"{pin.name}: optional and has no URL; set one in the stack file")
    layout.model_staging.mkdir(parents=True, exist_ok=True)
    if any(store.stored(layout, pin) is None for pin in wanted):
        _fetch(layout, wanted, around)
    for pin in wanted:
        have = store.stored(layout, pin)
        if have:
            store.put_in_place(layout, pin, have)
            around.progress.emit(STEP, DONE, f"{pin.folder}/{pin.name}", done=have.size, total=have.size)
    store.remove_others(layout, wanted)


def _one_per_content(pins: Sequence[ModelPin]) -> list[ModelPin]:
    return list({pin.sha256 or pin.url: pin for pin in pins}.values())


def _fetch(layout: Layout, wanted: Sequence[ModelPin], around: FetchContext) -> None:
    pins = _one_per_content([pin for pin in wanted if store.stored(layout, pin) is None])
    cancelled = threading.Event()
    waits = DownloadHooks(around.sleep, lambda text: around.progress.emit(STEP, WARNING, text))
    downloads = [
        Download(pin, layout.model_staging, around.tokens, cancelled=cancelled, waits=waits) for pin in pins
    ]  # fmt: skip
    needed = sum(download.missing for download in downloads)
    for sha256 in store.make_room(layout, needed, wanted, around.capacity_bytes):
        around.progress.emit(STEP, RUNNING, f"removed {sha256[:12]}, which is no longer in the manifest, to free space")

    def one(pin: ModelPin, download: Download) -> None:
        fetched = download.run()
        _check(pin, fetched)
        store.keep(layout, pin, fetched)

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="model") as pool:
        futures = [pool.submit(one, pin, download) for pin, download in zip(pins, downloads, strict=True)]
        try:
            _watch(futures, downloads, around)
        finally:
            cancelled.set()
            for future in futures:
                future.cancel()


def _check(pin: ModelPin, fetched: DownloadedFile) -> None:
    try:
        formats.check(fetched.path, pin.name)
    except ModelError:
        fetched.path.unlink()
        raise


def _watch(futures: Sequence[Future[None]], downloads: Sequence[Download], around: FetchContext) -> None:
    """Report progress until all downloads are complete; raises the first error."""
    began, before = time.monotonic(), sum(download.done for download in downloads)
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=REPORT_SECONDS, return_when=FIRST_EXCEPTION)
        around.fence()
        for future in finished:
            future.result()
        done, total = sum(d.done for d in downloads), sum(d.total for d in downloads)
        speed = max(0, done - before) / max(time.monotonic() - began, 0.001)
        left = sum(1 for future in futures if not future.done())
        checked = sum(d.checked for d in downloads)
        text = f"{speed / 1e6:.1f} MB/s, {left} remaining, {checked / 1e9:.2f} GB verified"
        around.progress.emit(STEP, RUNNING, text, done=done, total=total)
