"""Every operation of the API; paths that are not declared here do not exist for clients, even if ComfyUI has them.

ComfyUI serves each of its routes with and without the prefix `/api`; so does the gateway. Omitted on purpose, for all
users: `/internal/*` (logs and file names of all users), ComfyUI's own assets, tags and tasks (no owners, disk scans,
downloads from any URL), the creation of users, and the routes of ComfyUI-Manager and all other custom nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.gateway.admin.routes import AuditRoutes
from provisioning.gateway.auth.routes import SignedUrlRoutes
from provisioning.gateway.batches.routes import BatchRoutes
from provisioning.gateway.comfy_v2.assets import AssetRoutes
from provisioning.gateway.comfy_v2.event_routes import JobEventRoutes
from provisioning.gateway.comfy_v2.job_routes import JobRoutes
from provisioning.gateway.comfyui_api.catalog import CatalogRoutes
from provisioning.gateway.comfyui_api.files import FileRoutes
from provisioning.gateway.comfyui_api.history import HistoryRoutes
from provisioning.gateway.comfyui_api.jobs import NativeJobRoutes
from provisioning.gateway.comfyui_api.prompt import PromptRoutes
from provisioning.gateway.comfyui_api.queue import QueueRoutes
from provisioning.gateway.core.http.operation import Operation, operations_of
from provisioning.gateway.core.http.socket_route import SocketOperation, sockets_of
from provisioning.gateway.docs.routes import ReferenceRoutes
from provisioning.gateway.editor.user_data import UserDataRoutes
from provisioning.gateway.events.native_socket import NativeSocketRoutes
from provisioning.gateway.events.routes import EventRoutes
from provisioning.gateway.jobs.routes import JobQueueRoutes
from provisioning.gateway.keys.routes import KeyRoutes
from provisioning.gateway.monitoring.routes import MetricsRoutes, ProbeRoutes
from provisioning.gateway.pages.login import LoginRoutes
from provisioning.gateway.pages.routes import PageRoutes
from provisioning.gateway.sessions.routes import SessionRoutes
from provisioning.gateway.sessions.ticket_routes import TicketRoutes
from provisioning.gateway.usage.routes import UsageRoutes
from provisioning.gateway.users.account_routes import AccountRoutes
from provisioning.gateway.users.routes import UserRoutes
from provisioning.gateway.webhooks.delivery_routes import DeliveryRoutes
from provisioning.gateway.webhooks.routes import WebhookRoutes

FEATURES: tuple[type, ...] = (
    AccountRoutes,
    AssetRoutes,
    AuditRoutes,
    BatchRoutes,
    CatalogRoutes,
    DeliveryRoutes,
    EventRoutes,
    FileRoutes,
    HistoryRoutes,
    JobEventRoutes,
    JobQueueRoutes,
    JobRoutes,
    KeyRoutes,
    LoginRoutes,
    MetricsRoutes,
    NativeJobRoutes,
    NativeSocketRoutes,
    PageRoutes,
    ProbeRoutes,
    PromptRoutes,
    QueueRoutes,
    ReferenceRoutes,
    SessionRoutes,
    SignedUrlRoutes,
    TicketRoutes,
    UsageRoutes,
    UserDataRoutes,
    UserRoutes,
    WebhookRoutes,
)
"""The classes whose methods declare operations."""

OPERATIONS: tuple[Operation, ...] = tuple(declared for feature in FEATURES for declared in operations_of(feature))
"""Every operation of the API; the editor's own come beside them."""

SOCKETS: Mapping[str, SocketOperation] = {
    path: declared for feature in FEATURES for declared in sockets_of(feature) for path in declared.paths
}
"""Every path at which a WebSocket is opened."""
