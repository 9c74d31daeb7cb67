"""Every route there is: what is not in this table does not exist for a client, whatever ComfyUI would answer to it.

ComfyUI has each of its routes twice, with and without `/api` before it; so do we. Left out on purpose, for everybody:
`/internal/*` (everybody's logs and file names), ComfyUI's own assets, tags and tasks (no owners, scans of the disk,
downloads from anywhere), making users, ComfyUI-Manager's and all other custom nodes' routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from provisioning.gateway.access.door import PLAIN, Way
from provisioning.gateway.access.limits import Kind
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.events.streams import Check
from provisioning.gateway.handlers import (
    batches,
    events,
    files,
    histories,
    jobs,
    keys,
    links,
    login_page,
    measuring,
    newer_jobs,
    prompts,
    queues,
    reference,
    sessions,
    shared,
    sockets,
    status,
    usage,
    users,
    webhooks,
    workspace,
)
from provisioning.gateway.route import Access, Route
from provisioning.gateway.services import Services
from provisioning.gateway.v2 import assets as v2_assets
from provisioning.gateway.v2 import jobs as v2_jobs
from provisioning.gateway.v2 import listing as v2_listing
from provisioning.gateway.v2 import stream as v2_stream
from provisioning.gateway.web.exchange import Exchange

ROUTES: tuple[Route, ...] = (
    Route("GET", "/livez", Access.PUBLIC, status.livez, native=False),
    Route("GET", "/readyz", Access.PUBLIC, status.readyz, native=False),
    Route("GET", "/login", Access.LOGIN, login_page.show, native=False),
    Route("POST", "/login", Access.LOGIN, login_page.log_in, native=False),
    Route("POST", "/logout", Access.ANY, login_page.log_out, web=True, native=False),
    Route("POST", "/api/gateway/login", Access.LOGIN, sessions.login, native=False),
    Route("POST", "/api/gateway/refresh", Access.ANY, sessions.refresh, native=False),
    Route("POST", "/api/gateway/logout", Access.ANY, sessions.logout, native=False),
    Route("GET", "/api/gateway/me", Access.ANY, sessions.me, native=False),
    Route("POST", "/api/gateway/me/password", Access.ANY, sessions.set_password, native=False),
    Route("POST", "/api/gateway/tickets", Access.ANY, links.ticket, native=False),
    Route("POST", "/api/gateway/signed-urls", Scope.READ, links.sign, native=False),
    Route("POST", "/api/gateway/keys", Scope.KEYS, keys.create, native=False),
    Route("GET", "/api/gateway/keys", Scope.KEYS, keys.page, native=False),
    Route("GET", "/api/gateway/keys/{id}", Scope.KEYS, keys.show, native=False),
    Route("PATCH", "/api/gateway/keys/{id}", Scope.KEYS, keys.update, native=False),
    Route("POST", "/api/gateway/keys/{id}/rotate", Scope.KEYS, keys.rotate, native=False),
    Route("POST", "/api/gateway/keys/{id}/revoke", Scope.KEYS, keys.revoke, native=False),
    Route("POST", "/api/gateway/users", Scope.ADMIN, users.create, native=False),
    Route("GET", "/api/gateway/users", Scope.ADMIN, users.page, native=False),
    Route("GET", "/api/gateway/users/{name}", Scope.ADMIN, users.show, native=False),
    Route("PATCH", "/api/gateway/users/{name}", Scope.ADMIN, users.update, native=False),
    Route("DELETE", "/api/gateway/users/{name}", Scope.ADMIN, users.delete, native=False),
    Route("GET", "/api/gateway/audit", Scope.ADMIN, users.audit_page, native=False),
    Route("GET", "/api/gateway/ready", Access.ANY, status.ready, native=False),
    Route("GET", "/errors/{code}", Access.ANY, reference.error, web=True, native=False),
    Route("GET", "/docs", Access.ANY, reference.guide, web=True, page=True, native=False),
    Route("GET", "/docs/reference", Access.ANY, reference.routes, web=True, native=False),
    Route("GET", "/docs/errors", Access.ANY, reference.errors, web=True, native=False),
    Route("GET", "/docs/options", Access.ANY, reference.options, web=True, native=False),
    Route("GET", "/openapi.json", Access.ANY, reference.openapi, web=True, native=False),
    Route("GET", "/api/gateway/events", Scope.READ, events.follow, native=False, lasting=True),
    Route("GET", "/api/gateway/ws", Scope.READ, sockets.plain, native=False, lasting=True),
    Route("GET", "/api/gateway/usage", Scope.READ, usage.show, native=False),
    Route("GET", "/api/gateway/usage/events", Scope.ADMIN, usage.export, native=False),
    Route("GET", "/api/gateway/quotas", Scope.READ, usage.quotas, native=False),
    Route("GET", "/api/gateway/webhooks", Scope.READ, webhooks.page, native=False),
    Route("POST", "/api/gateway/webhooks", Scope.JOBS, webhooks.create, native=False),
    Route("GET", "/api/gateway/webhooks/{id}", Scope.READ, webhooks.show, native=False),
    Route("PATCH", "/api/gateway/webhooks/{id}", Scope.JOBS, webhooks.change, native=False),
    Route("DELETE", "/api/gateway/webhooks/{id}", Scope.JOBS, webhooks.delete, native=False),
    Route("POST", "/api/gateway/webhooks/{id}/rotate", Scope.JOBS, webhooks.rotate, native=False),
    Route("POST", "/api/gateway/webhooks/{id}/test", Scope.JOBS, webhooks.test, native=False),
    Route("GET", "/api/gateway/webhook-deliveries", Scope.READ, webhooks.deliveries, native=False),
    Route("GET", "/api/gateway/webhook-deliveries/{id}", Scope.READ, webhooks.delivery, native=False),
    Route("POST", "/api/gateway/webhook-deliveries/{id}/redeliver", Scope.JOBS, webhooks.redeliver, native=False),
    Route("GET", "/api/gateway/jobs", Scope.READ, jobs.show, native=False),
    Route("POST", "/api/gateway/batches", Scope.JOBS, batches.submit, kind=Kind.SUBMIT, native=False),
    Route("GET", "/api/gateway/batches", Scope.READ, batches.page, native=False),
    Route("GET", "/api/gateway/batches/{id}", Scope.READ, batches.show, native=False),
    Route("POST", "/api/gateway/batches/{id}/cancel", Scope.JOBS, batches.cancel, native=False),
    Route("POST", "/api/v2/jobs", Scope.JOBS, v2_jobs.submit, kind=Kind.SUBMIT, native=False),
    Route("GET", "/api/v2/jobs", Scope.READ, v2_listing.page, native=False),
    Route("GET", "/api/v2/jobs/{id}", Scope.READ, v2_jobs.show, native=False),
    Route("GET", "/api/v2/jobs/{id}/workflow", Scope.READ, v2_jobs.show_workflow, native=False),
    Route("POST", "/api/v2/jobs/{id}/cancel", Scope.JOBS, v2_jobs.cancel, native=False),
    Route("GET", "/api/v2/jobs/{id}/events", Scope.READ, v2_stream.follow, native=False, lasting=True),
    Route("POST", "/api/v2/assets", Scope.ASSETS, v2_assets.upload, kind=Kind.UPLOAD, native=False),
    Route("GET", "/api/v2/health", Access.ANY, status.health, native=False),
    Route("POST", "/api/v2/assets/from-path", Scope.ASSETS, v2_assets.from_path, native=False),
    Route("POST", "/api/v2/assets/from-hash", Scope.ASSETS, v2_assets.from_hash, native=False),
    Route("GET", "/api/v2/assets/by-hash/{hash}", Scope.READ, v2_assets.has_hash, native=False),
    Route("GET", "/api/v2/assets/{id}", Scope.READ, v2_assets.show, native=False),
    Route("DELETE", "/api/v2/assets/{id}", Scope.ASSETS, v2_assets.delete, native=False),
    Route("GET", "/api/v2/assets/{id}/content", Scope.READ, v2_assets.content, signed=True, native=False),
    Route("GET", "/prompt", Scope.READ, prompts.waiting),
    Route("POST", "/prompt", Scope.JOBS, prompts.submit, kind=Kind.SUBMIT),
    Route("GET", "/queue", Scope.READ, queues.show),
    Route("POST", "/queue", Scope.JOBS, queues.change),
    Route("POST", "/interrupt", Scope.JOBS, queues.interrupt),
    Route("GET", "/history", Scope.READ, histories.show),
    Route("POST", "/history", Scope.JOBS, histories.change),
    Route("GET", "/history/{id}", Scope.READ, histories.show_one),
    Route("GET", "/view", Scope.READ, files.view, signed=True),
    Route("POST", "/upload/image", Scope.ASSETS, files.upload_image, kind=Kind.UPLOAD),
    Route("POST", "/upload/mask", Scope.ASSETS, files.upload_mask, kind=Kind.UPLOAD),
    Route("GET", "/object_info", Scope.READ, shared.object_info),
    Route("GET", "/object_info/{name}", Scope.READ, shared.object_info_of),
    Route("GET", "/models", Scope.READ, shared.same_path),
    Route("GET", "/models/{folder}", Scope.READ, shared.models_in),
    Route("GET", "/embeddings", Scope.READ, shared.same_path),
    Route("GET", "/features", Scope.READ, shared.same_path),
    Route("GET", "/extensions", Scope.READ, shared.same_path),
    Route("GET", "/i18n", Scope.READ, shared.same_path),
    Route("GET", "/node_replacements", Scope.READ, shared.same_path),
    Route("GET", "/global_subgraphs", Scope.READ, shared.same_path),
    Route("GET", "/global_subgraphs/{id}", Scope.READ, shared.same_path),
    Route("GET", "/workflow_templates", Scope.READ, shared.same_path),
    Route("GET", "/workflow_templates/{folder}/{name}", Scope.READ, shared.template_file),
    Route("GET", "/view_metadata/{folder}", Scope.READ, shared.metadata_of),
    Route("GET", "/api/jobs", Scope.READ, newer_jobs.page, native=False),
    Route("POST", "/api/jobs/cancel", Scope.JOBS, newer_jobs.cancel_several, native=False),
    Route("GET", "/api/jobs/{id}", Scope.READ, newer_jobs.show, native=False),
    Route("POST", "/api/jobs/{id}/cancel", Scope.JOBS, newer_jobs.cancel, native=False),
    Route("GET", "/users", Scope.ADMIN, workspace.forward),
    Route("GET", "/settings", Scope.ADMIN, workspace.forward),
    Route("POST", "/settings", Scope.ADMIN, workspace.forward),
    Route("GET", "/settings/{id}", Scope.ADMIN, workspace.forward),
    Route("POST", "/settings/{id}", Scope.ADMIN, workspace.forward),
    Route("GET", "/userdata", Scope.ADMIN, workspace.forward),
    # Without a twin: on /api/v2 the Comfy API wins.
    Route("GET", "/v2/userdata", Scope.ADMIN, workspace.forward, native=False),
    Route("GET", "/userdata/{file}", Scope.ADMIN, workspace.forward),
    Route("POST", "/userdata/{file}", Scope.ADMIN, workspace.forward),
    Route("DELETE", "/userdata/{file}", Scope.ADMIN, workspace.forward),
    Route("POST", "/userdata/{file}/move/{dest}", Scope.ADMIN, workspace.forward),
    Route("GET", "/ws", Scope.READ, sockets.plain, lasting=True),
    Route("GET", "/metrics", Scope.MONITOR, measuring.show, native=False),
    Route("GET", "/system_stats", Access.ANY, shared.system_stats),
    Route("GET", "/experiment/models", Scope.ADMIN, shared.same_path),
    Route("GET", "/experiment/models/{folder}", Scope.ADMIN, shared.same_path),
    Route("POST", "/free", Scope.OPERATE, shared.free),
)

SocketHandler = Callable[[Services, Exchange, sockets.Socket, Check], Awaitable[None]]


@dataclass(frozen=True)
class SocketRoute:
    """A WebSocket."""

    path: str
    handler: SocketHandler
    scope: Scope = Scope.READ
    way: Way = PLAIN


_NATIVE = SocketRoute("/ws", sockets.native)
_OWN = SocketRoute("/api/gateway/ws", events.converse)

SOCKETS: Mapping[str, SocketRoute] = {
    "/ws": _NATIVE,
    "/api/ws": _NATIVE,
    "/comfy/ws": SocketRoute("/ws", sockets.native, Scope.ADMIN, Way(web=True)),
    "/api/gateway/ws": _OWN,
    "/api/gateway/events": _OWN,
}
"""Where WebSockets are opened."""
