"""The components of a gateway and their dependencies.

Only the factory, the app and the list of features use this; every component gets its dependencies as arguments.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.assets.expiry import Expiry
from provisioning.gateway.assets.sizes import AssetSizes
from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.factory import disk_space_of, open_store
from provisioning.gateway.assets.store.store import FileStore
from provisioning.gateway.auth.authentication import Authenticator
from provisioning.gateway.auth.signed_urls import UrlSigner
from provisioning.gateway.batches.repository import BatchStore
from provisioning.gateway.batches.service import BatchService
from provisioning.gateway.comfy_v2.webhook_payloads import PayloadRenderer
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.database.log.log import EpochLog
from provisioning.gateway.core.disk_space import DiskSpace
from provisioning.gateway.core.http.routing import OperationTable
from provisioning.gateway.core.passwords import Passwords
from provisioning.gateway.core.rate_limiter import Limiter
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.docs.reference import Reference
from provisioning.gateway.editor.files import Workspace
from provisioning.gateway.editor.routes import editor_operations
from provisioning.gateway.events.broadcast import Broadcast
from provisioning.gateway.events.channels import Channels
from provisioning.gateway.events.comfyui_listener import ComfyUIListener
from provisioning.gateway.events.completion_events import CompletionEvents
from provisioning.gateway.events.cost_events import CostReport
from provisioning.gateway.events.job_events import JobEvents
from provisioning.gateway.events.open_streams import OpenStreams
from provisioning.gateway.events.pod_events import PodStatusReport
from provisioning.gateway.events.socket_hub import Hub
from provisioning.gateway.events.sse_streams import SseStreams
from provisioning.gateway.jobs.canceller import Canceller
from provisioning.gateway.jobs.circuit_breaker import CircuitBreaker
from provisioning.gateway.jobs.copy_cleanup import CopyCleanup
from provisioning.gateway.jobs.dispatch import Dispatch
from provisioning.gateway.jobs.handover import Handover
from provisioning.gateway.jobs.job_documents import JobDocuments
from provisioning.gateway.jobs.job_factory import JobFactory
from provisioning.gateway.jobs.job_files import JobFiles
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.lifecycle import Lifecycle
from provisioning.gateway.jobs.lookup import JobLookup
from provisioning.gateway.jobs.output_storage import OutputStorage
from provisioning.gateway.jobs.pool import SinglePool
from provisioning.gateway.jobs.reconciler import Reconciler
from provisioning.gateway.jobs.scheduler import Scheduler
from provisioning.gateway.jobs.submission import JobSubmission
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.limits.policies import RequestLimits
from provisioning.gateway.monitoring.metrics import Metrics
from provisioning.gateway.pages.site import Site
from provisioning.gateway.routes import OPERATIONS
from provisioning.gateway.sessions.service import SessionService
from provisioning.gateway.sessions.tickets import Tickets
from provisioning.gateway.sessions.tokens import AccessTokens
from provisioning.gateway.upstream.client import ComfyUIClient
from provisioning.gateway.upstream.helper_requests import HelperRequests
from provisioning.gateway.upstream.node_catalogue import CatalogueCache
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, namespace_of
from provisioning.gateway.upstream.response_cache import ResponseCache, json_cache
from provisioning.gateway.usage.accounting import Accounting
from provisioning.gateway.webhooks.service import Webhooks


class Services:
    """The components of one gateway; each is created once, on first use."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        keys: KeyStore,
        limiter: Limiter,
        ledger: Ledger,
        upstream: ComfyUIClient,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.keys = keys
        self.limiter = limiter
        self.ledger = ledger
        self.assets = ledger.assets
        self.batches = BatchStore(ledger.database)
        self.upstream = upstream
        self.clock = clock
        self.operations = (*OPERATIONS, *editor_operations(OPERATIONS))
        self.operation_table = OperationTable(self.operations)
        self.helper = HelperRequests(settings.requests)
        self.hub = Hub()
        self.passwords = Passwords()
        self.reference = Reference(OPERATIONS)
        self.metrics = Metrics({operation.path for operation in OPERATIONS if operation.lasting})
        self.started_at = _started_at(settings, clock)
        """When the pod's container started, in milliseconds since the epoch: from then on it is billed."""

    @cached_property
    def files(self) -> FileStore | None:
        """The store of uploads and outputs on the volume; None where they stay in ComfyUI's own folders."""
        return open_store(self.settings)

    @cached_property
    def disk_space(self) -> DiskSpace:
        """The check of free disk space."""
        return disk_space_of(self.settings, self.files)

    @cached_property
    def expiry(self) -> Expiry:
        """The deletion of files whose retention has ended."""
        return self.ledger.expiry(self.helper, self.files, self.settings.internal.expiry_batch)

    @cached_property
    def staging(self) -> InputStaging:
        """The copies of stored files in ComfyUI's folders."""
        return InputStaging(self.files, self.upstream, self.clock)

    @cached_property
    def workspace(self) -> Workspace:
        """The settings and workflows of ComfyUI's editor."""
        return Workspace(self.files, self.upstream)

    @cached_property
    def copy_cleanup(self) -> CopyCleanup:
        """The deletion of ComfyUI's copies when the container disk is nearly full."""
        return CopyCleanup(self.staging, self.tracker, self.settings.requests)

    @cached_property
    def sessions(self) -> SessionService:
        """The logins of people."""
        tokens = AccessTokens(self.settings.pepper.get_secret_value(), self.keys.clock)
        return SessionService(self.keys, self.passwords, tokens, self.settings.session_hours)

    @cached_property
    def tickets(self) -> Tickets:
        """The tickets for WebSockets and event streams."""
        return Tickets(self.settings.pepper.get_secret_value(), self.keys)

    @cached_property
    def url_signer(self) -> UrlSigner:
        """The signatures of file addresses."""
        return UrlSigner(self.settings.pepper.get_secret_value(), self.keys)

    @cached_property
    def authenticator(self) -> Authenticator:
        """The authentication of requests."""
        return Authenticator(self.keys, self.sessions, self.tickets, self.url_signer)

    @cached_property
    def limits(self) -> RequestLimits:
        """The rate limits and the limits on concurrent requests."""
        return RequestLimits(self.settings, self.limiter)

    @cached_property
    def catalogue(self) -> CatalogueCache:
        """The cache of ComfyUI's node classes."""
        return CatalogueCache(self.upstream, self.clock)

    @cached_property
    def json_cache(self) -> ResponseCache[bytes]:
        """The cache of ComfyUI's answers that are the same for every caller."""
        return json_cache(self.upstream, self.clock)

    @cached_property
    def breaker(self) -> CircuitBreaker:
        """The circuit breaker before ComfyUI."""
        return CircuitBreaker(self.upstream, self.clock, self.helper.restart)

    @cached_property
    def job_files(self) -> JobFiles:
        """The operations on job files that the tracker needs."""
        files = JobFiles(put_at=self.staging.put_at, folders=self.expiry.folders)
        if self.files is None:
            return files
        return replace(files, keep=OutputStorage(self.files, self.upstream, self.staging, self.clock).keep)

    @cached_property
    def tracker(self) -> Tracker:
        """The jobs in flight; `observe` adds its observers."""
        return Tracker(self.ledger, self.upstream, self.breaker, self.clock, self.settings, self.job_files)

    @cached_property
    def dispatch(self) -> Dispatch:
        """The submission of jobs to ComfyUI."""
        return Dispatch(self.tracker, self.ledger, self.assets, self.catalogue, self.staging)

    @cached_property
    def scheduler(self) -> Scheduler:
        """The job queue."""
        # Where there is a log, another pod may take over.
        pool = SinglePool(self.upstream, self.breaker, alone=self.log is not None)
        verdict_seconds = self.settings.internal.verdict_seconds
        return Scheduler(self.tracker, self.ledger, self.dispatch, pool, self.breaker, self.clock, verdict_seconds)

    @cached_property
    def canceller(self) -> Canceller:
        """The cancellation of jobs."""
        return Canceller(self.tracker, self.ledger, self.upstream)

    @cached_property
    def reconciler(self) -> Reconciler:
        """The comparison of the jobs in flight with ComfyUI's queue and history."""
        return Reconciler(self.tracker, self.canceller, self.breaker, self.clock)

    @cached_property
    def log(self) -> EpochLog | None:
        """The database's log on the volume; None where this gateway writes none."""
        log = self.ledger.database.log
        return log if isinstance(log, EpochLog) else None

    @cached_property
    def handover(self) -> Handover:
        """The handover of jobs to the gateway of another pod."""
        return Handover(
            self.log, self.tracker, self.scheduler, self.ledger, self.upstream, self.settings.handover_seconds
        )

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Whether the gateway accepts new work."""
        return Lifecycle(self.handover)

    @cached_property
    def channels(self) -> Channels:
        """The channels of events, one for each owner."""
        return Channels(self.clock, self.settings.event_buffer_bytes)

    @cached_property
    def open_streams(self) -> OpenStreams:
        """The open event streams and WebSockets."""
        return OpenStreams(
            self.settings.max_streams, self.limits.streams, self.settings.internal.stream_recheck_seconds
        )

    @cached_property
    def job_events(self) -> JobEvents:
        """The events of jobs."""
        return JobEvents(self.channels, self.tracker, self.scheduler, self.clock)

    @cached_property
    def comfyui_listener(self) -> ComfyUIListener:
        """The gateway's own WebSocket to ComfyUI."""
        return ComfyUIListener(self.upstream, self.tracker, self.hub, self.job_events, connected=self._connected)

    @cached_property
    def broadcast(self) -> Broadcast:
        """The events that every caller receives."""
        return Broadcast(self.channels)

    @cached_property
    def webhooks(self) -> Webhooks:
        """The webhooks."""
        return Webhooks(self.ledger.database, self.clock, self.settings)

    @cached_property
    def accounting(self) -> Accounting:
        """Quotas and usage."""
        return Accounting(self.ledger.database, self.clock, self.settings)

    @cached_property
    def audit(self) -> AuditTrail:
        """The audit log of requests."""
        return AuditTrail(self.ledger.database, self.clock)

    @cached_property
    def site(self) -> Site:
        """The pages for people."""
        return Site(self.reference, self.settings)

    @cached_property
    def lookup(self) -> JobLookup:
        """The search for jobs, in flight and ended."""
        return JobLookup(self.tracker, self.ledger)

    @cached_property
    def sizes(self) -> AssetSizes:
        """The sizes of assets."""
        return AssetSizes(self.assets, self.files, self.upstream)

    @cached_property
    def job_factory(self) -> JobFactory:
        """The creation of jobs from requests."""
        return JobFactory(
            self.settings,
            self.clock,
            checks=(self.lifecycle.check_accepting, self.disk_space.check),
            limits_of=self.limits.queue,
            quotas_of=self.accounting.quotas_of,
        )

    @cached_property
    def submission(self) -> JobSubmission:
        """The submission of jobs to the queue."""
        return JobSubmission(self.dispatch, self.scheduler, self.tracker, self.ledger)

    @cached_property
    def batch_service(self) -> BatchService:
        """The batches."""
        return BatchService(
            self.batches, self.ledger, self.job_factory, self.dispatch, self.scheduler, self.tracker, self.canceller
        )

    @cached_property
    def job_documents(self) -> JobDocuments:
        """The documents of jobs that the API answers with."""
        retention_ms = self.settings.retention_days * DAY_MS
        return JobDocuments(
            self.lookup, self.tracker, self.scheduler, self.assets, self.sizes, self.clock, retention_ms
        )

    @cached_property
    def payloads(self) -> PayloadRenderer:
        """The bodies of webhook messages."""
        return PayloadRenderer(self.ledger, self.batch_service, self.job_documents, self.settings)

    @cached_property
    def completions(self) -> CompletionEvents:
        """The last events of jobs."""
        return CompletionEvents(
            self.job_events, self.channels, self.broadcast, self.ledger, self.job_documents, self.clock
        )

    @cached_property
    def pod_status(self) -> PodStatusReport:
        """The state of the pod as far as jobs are concerned."""
        return PodStatusReport(self.scheduler.breaker, self.lifecycle, lambda: self.comfyui_listener.connected)

    @cached_property
    def costs(self) -> CostReport:
        """The cost of the pod and of each owner's jobs."""
        return CostReport(self.ledger, self.clock, self.settings.usd_per_hour, self.started_at)

    @cached_property
    def sse_streams(self) -> SseStreams:
        """The streams of server-sent events."""
        keep_alive = self.settings.keep_alive_seconds
        return SseStreams(self.channels, self.open_streams, self.lifecycle, self.authenticator.recheck, keep_alive)

    def namespace(self, actor: Actor) -> OwnerNamespace:
        """Return the namespace of the caller's files."""
        return namespace_of(self.settings.pepper.get_secret_value(), actor.owner, admin=actor.is_admin)

    def observe(self) -> None:
        """Register the scheduler, the job events and the clients' WebSockets as observers of the tracker."""
        self.tracker.observers += [self.scheduler, self.job_events, self.comfyui_listener]

    def _connected(self) -> None:
        """Reset the state of ComfyUI's former process and wake the queue."""
        self.staging.reset()
        self.workspace.require_restore()
        self.scheduler.wake()


def _started_at(settings: GatewaySettings, clock: Clock) -> int:
    """Return when the container started: boot.sh writes the boot file only then."""
    try:
        return round(settings.boot_file.stat().st_mtime * 1000) if settings.boot_file else clock.now_ms()
    except OSError:
        return clock.now_ms()
