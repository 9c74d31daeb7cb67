"""The parts of a gateway put together."""

from __future__ import annotations

from collections.abc import Callable

from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.limiter import Limiter
from provisioning.gateway.access.reception import reception
from provisioning.gateway.app import Gateway
from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui.catalogue import CatalogueCache
from provisioning.gateway.comfyui.commons import Commons
from provisioning.gateway.comfyui.feed import Feed
from provisioning.gateway.comfyui.requests import Requests
from provisioning.gateway.comfyui.upstream import Upstream
from provisioning.gateway.editor import EDITOR_ROUTES
from provisioning.gateway.events.channels import Channels
from provisioning.gateway.events.hub import Hub
from provisioning.gateway.events.streams import Streams
from provisioning.gateway.files.emptying import Emptying
from provisioning.gateway.files.keeping import Keeping
from provisioning.gateway.files.opening import open_store, space_of
from provisioning.gateway.files.placing import Placing
from provisioning.gateway.files.workspace import Workspace
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.handover import Handover
from provisioning.gateway.jobs.latch import Latch
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.pool import SinglePool
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.jobs.warden import Warden
from provisioning.gateway.monitoring.metrics import Metrics
from provisioning.gateway.openapi.reference import Reference
from provisioning.gateway.pages.site import Site
from provisioning.gateway.quotas.accounting import Accounting
from provisioning.gateway.route import Router, pages
from provisioning.gateway.routes import ROUTES
from provisioning.gateway.services import Services
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.storage.log.log import EpochLog
from provisioning.gateway.telling.jobs import JobTeller
from provisioning.gateway.telling.news import News
from provisioning.gateway.webhooks.service import Webhooks


def create_app(
    settings: GatewaySettings, *, keys: KeyStore, limiter: Limiter, ledger: Ledger, upstream: Upstream, clock: Clock
) -> Gateway:
    """Put the gateway together; it begins to work when its lifespan starts."""
    requests = Requests(settings.requests)
    hub, channels = Hub(), Channels(clock, settings.event_buffer_bytes)
    catalogue = CatalogueCache(upstream, clock)
    store, expiry = open_store(settings), ledger.expiry(requests)
    placing, workspace = Placing(store, upstream, clock), Workspace(store, upstream)
    expiry.store = store
    machine = _machine(settings, ledger, upstream, clock, catalogue, placing)
    tracker, _, scheduler, _, _ = machine
    tracker.put_at = placing.put_at
    if store is not None:
        tracker.keep = Keeping(store, upstream, placing, clock).keep
    emptying = Emptying(placing, tracker, settings.requests)
    teller = JobTeller(channels, tracker, scheduler, clock)
    feed = Feed(upstream, tracker, hub, teller, connected=_all(placing.forget, workspace.forget, scheduler.wake))
    reference, desk = Reference(ROUTES), reception(settings, keys, limiter)
    listening = (hub, channels, Streams(settings.max_streams, desk.limits.streams))
    running = (*machine, feed, teller)
    asked = (upstream, clock, space_of(settings, store), catalogue, Commons(upstream, clock))
    parts = (*asked, *listening, *running, News(channels), Webhooks(ledger.database, clock, settings))
    router = Router(routes := (*ROUTES, *EDITOR_ROUTES))
    services = Services(
        settings,
        keys,
        limiter,
        desk,
        ledger,
        ledger.assets,
        ledger.batches,
        expiry,
        store,
        placing,
        workspace,
        emptying,
        *parts,
        started_at=_started_at(settings, clock),
        reference=reference,
        site=Site(reference, settings),
        takes_signatures=router.takes_signatures,
        pages=pages(routes),
        metrics=Metrics({route.path for route in ROUTES if route.lasting}),
        accounting=Accounting(ledger.database, clock, settings),
        handover=Handover(_log_of(ledger), tracker, scheduler, ledger, upstream, settings.handover_seconds),
    )
    return Gateway(services, router)


def _machine(
    settings: GatewaySettings, ledger: Ledger, upstream: Upstream, clock: Clock, catalogue: CatalogueCache,
    placing: Placing,
) -> tuple[Tracker, Dispatch, Scheduler, Canceller, Warden]:  # fmt: skip
    """Return what brings jobs to ComfyUI and to their end."""
    latch = Latch(upstream, clock, Requests(settings.requests).restart)
    tracker = Tracker(ledger, upstream, latch, clock, settings)
    dispatch = Dispatch(tracker, ledger, ledger.assets, catalogue, placing)
    # Where there is a log, another pod may take over.
    pool = SinglePool(upstream, latch, alone=_log_of(ledger) is not None)
    scheduler = Scheduler(tracker, ledger, dispatch, pool, latch, clock)
    canceller = Canceller(tracker, ledger, upstream)
    return tracker, dispatch, scheduler, canceller, Warden(tracker, canceller, latch, clock)


def _log_of(ledger: Ledger) -> EpochLog | None:
    log = ledger.database.log
    return log if isinstance(log, EpochLog) else None


def _all(*works: Callable[[], None]) -> Callable[[], None]:
    def do() -> None:
        for work in works:
            work()

    return do


def _started_at(settings: GatewaySettings, clock: Clock) -> int:
    """Return when the container started: boot.sh writes that file then, and nobody does later."""
    try:
        return round(settings.boot_file.stat().st_mtime * 1000) if settings.boot_file else clock.now_ms()
    except OSError:
        return clock.now_ms()
