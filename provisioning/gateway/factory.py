"""Creation of a gateway."""

from __future__ import annotations

from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.app import Gateway
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.operation import routes_of
from provisioning.gateway.core.http.socket_route import socket_routes_of
from provisioning.gateway.core.rate_limiter import Limiter
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.editor.routes import EditorRoutes, editor_routes
from provisioning.gateway.features import features
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.services import Services
from provisioning.gateway.upstream.client import ComfyUIClient


def create_app(
    settings: GatewaySettings,
    *,
    keys: KeyStore,
    limiter: Limiter,
    ledger: Ledger,
    upstream: ComfyUIClient,
    clock: Clock,
) -> Gateway:
    """Return a gateway; it starts to work with its lifespan."""
    services = Services(settings, keys=keys, limiter=limiter, ledger=ledger, upstream=upstream, clock=clock)
    services.observe()
    made = features(services)
    routes = [route for feature in made for route in routes_of(feature)]
    served = (*routes, *editor_routes(EditorRoutes(upstream), routes))
    handlers = {route.operation.key: route.handler for route in served}
    sockets = {path: route for feature in made for path, route in socket_routes_of(feature)}
    return Gateway(services, handlers, sockets)
