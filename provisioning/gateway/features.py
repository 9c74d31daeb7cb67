"""The classes of operations with their dependencies."""

from __future__ import annotations

from provisioning.gateway.admin.routes import AuditRoutes
from provisioning.gateway.assets.file_response import FileResponder
from provisioning.gateway.assets.uploads import Uploads
from provisioning.gateway.auth.routes import SignedUrlRoutes
from provisioning.gateway.batches.routes import BatchRoutes
from provisioning.gateway.comfy_v2.asset_uploads import AssetUploads
from provisioning.gateway.comfy_v2.assets import AssetRoutes
from provisioning.gateway.comfy_v2.event_routes import JobEventRoutes
from provisioning.gateway.comfy_v2.job_routes import JobRoutes
from provisioning.gateway.comfy_v2.submission import JobSubmitter
from provisioning.gateway.comfyui_api.catalog import CatalogRoutes
from provisioning.gateway.comfyui_api.files import FileRoutes
from provisioning.gateway.comfyui_api.history import HistoryRoutes
from provisioning.gateway.comfyui_api.image_uploads import ImageUploads
from provisioning.gateway.comfyui_api.jobs import NativeJobRoutes
from provisioning.gateway.comfyui_api.own_files import OwnFiles
from provisioning.gateway.comfyui_api.prompt import PromptRoutes
from provisioning.gateway.comfyui_api.queue import QueueRoutes
from provisioning.gateway.core.http.routing import pages
from provisioning.gateway.docs.routes import ReferenceRoutes
from provisioning.gateway.editor.user_data import UserDataRoutes
from provisioning.gateway.events.native_socket import NativeSocketRoutes
from provisioning.gateway.events.routes import EventRoutes
from provisioning.gateway.events.snapshots import Snapshots
from provisioning.gateway.jobs.routes import JobQueueRoutes
from provisioning.gateway.keys.routes import KeyRoutes
from provisioning.gateway.keys.service import KeyService
from provisioning.gateway.monitoring.gpu import GpuMetrics
from provisioning.gateway.monitoring.readiness import GatewayReadiness
from provisioning.gateway.monitoring.routes import MetricsRoutes, ProbeRoutes
from provisioning.gateway.monitoring.snapshot import DatabaseMetrics, QueueMetrics, Snapshot, StatusMetrics
from provisioning.gateway.pages.login import LoginRoutes
from provisioning.gateway.pages.routes import PageRoutes
from provisioning.gateway.services import Services
from provisioning.gateway.sessions.routes import SessionRoutes
from provisioning.gateway.sessions.ticket_routes import TicketRoutes
from provisioning.gateway.usage.routes import UsageRoutes
from provisioning.gateway.users.account_routes import AccountRoutes
from provisioning.gateway.users.routes import UserRoutes
from provisioning.gateway.users.service import UserService
from provisioning.gateway.webhooks.delivery_routes import DeliveryRoutes
from provisioning.gateway.webhooks.routes import WebhookRoutes


def features(services: Services) -> tuple[object, ...]:
    """Return an instance of each class of routes.FEATURES, with its dependencies."""
    most, users = services.settings.max_body_bytes, UserService(services.keys, services.passwords)
    return (
        KeyRoutes(KeyService(services.keys), services.clock),
        CatalogRoutes(services.catalogue, services.json_cache, services.upstream, services.staging, services.audit),
        WebhookRoutes(services.webhooks, services.audit, services.clock),
        DeliveryRoutes(services.webhooks, services.audit, services.clock),
        UserRoutes(users),
        AccountRoutes(users, services.limits),
        SessionRoutes(services.sessions, services.limits, services.clock),
        LoginRoutes(services.keys, services.sessions, services.limits, services.clock, pages(services.operations)),
        TicketRoutes(services.tickets),
        SignedUrlRoutes(
            services.url_signer, services.settings.allowed_hosts, services.operation_table.takes_signatures
        ),
        UsageRoutes(services.accounting, services.ledger.usage, services.clock),
        ProbeRoutes(
            GatewayReadiness(
                services.lifecycle, services.ledger, services.scheduler, services.comfyui_listener, services.clock
            ),
            services.settings.isolation,
        ),
        MetricsRoutes(services.metrics, _snapshot(services)),
        ReferenceRoutes(services.reference),
        PageRoutes(services.site),
        AuditRoutes(services.ledger.database),
        PromptRoutes(services.job_factory, services.submission, services.tracker),
        QueueRoutes(services.scheduler, services.tracker, services.canceller, services.audit),
        HistoryRoutes(services.ledger, services.tracker, services.audit),
        JobQueueRoutes(services.tracker, services.scheduler, services.limits.queue),
        NativeJobRoutes(services.ledger, services.tracker, services.lookup, services.canceller, services.audit),
        *_file_features(services),
        _job_routes(services),
        *_event_features(services),
        BatchRoutes(
            services.batch_service,
            services.webhooks,
            services.audit,
            services.clock,
            services.settings,
            lambda actor: services.limits.queue(actor).most,
        ),
        UserDataRoutes(services.workspace, services.upstream, services.audit, most),
    )


def _snapshot(services: Services) -> Snapshot:
    """Return the snapshot of the current state for the metrics."""
    scheduler, price = services.scheduler, services.settings.usd_per_hour
    return Snapshot(
        QueueMetrics(services.tracker, scheduler, services.clock),
        StatusMetrics(services.open_streams, services.comfyui_listener, scheduler, services.lifecycle, price),
        DatabaseMetrics(services.ledger.totals, services.webhooks.deliveries),
        GpuMetrics(),
    )


def _event_features(services: Services) -> tuple[object, ...]:
    snapshots = Snapshots(
        services.tracker, services.ledger, services.job_events, services.completions, services.broadcast,
        services.pod_status, services.costs, services.clock,
    )  # fmt: skip
    followed = JobEventRoutes(
        services.sse_streams, services.completions, services.job_events, services.tracker, services.ledger,
        services.clock,
    )  # fmt: skip
    native = NativeSocketRoutes(services.open_streams, services.hub, services.comfyui_listener.queue_length)
    return EventRoutes(services.sse_streams, snapshots), followed, native


def _job_routes(services: Services) -> JobRoutes:
    submitter = JobSubmitter(
        services.job_factory, services.submission, services.tracker, services.ledger, services.webhooks,
        services.settings.max_job_timeout_seconds,
    )  # fmt: skip
    return JobRoutes(
        submitter, services.job_documents, services.ledger, services.tracker, services.canceller, services.audit,
        services.settings.internal.max_scanned_jobs,
    )  # fmt: skip


def _file_features(services: Services) -> tuple[FileRoutes, AssetRoutes]:
    """Return the routes of files and assets."""
    settings, store, upstream = services.settings, services.files, services.upstream
    own_files = OwnFiles(services.ledger, services.tracker, services.namespace)
    retry_seconds = settings.internal.upload_retry_seconds
    uploads = Uploads(store, services.staging, upstream, services.disk_space, settings.max_image_pixels, retry_seconds)
    responder = FileResponder(store, services.staging, upstream)
    images = ImageUploads(
        own_files, uploads, services.assets, services.expiry.folders, services.staging, upstream, services.clock,
        services.namespace,
    )  # fmt: skip
    assets = AssetRoutes(
        services.assets, AssetUploads(services.assets, uploads, store, services.clock, services.namespace),
        services.sizes, responder, services.expiry, services.tracker, services.audit, services.clock,
    )  # fmt: skip
    return FileRoutes(own_files, services.assets, responder, images), assets
