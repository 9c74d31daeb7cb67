"""The address of this gateway as answers write it."""

from __future__ import annotations

from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import LOOPBACK_NAMES


def base_url(request: GatewayRequest) -> str:
    """Return scheme and host as the caller sees them: TLS ends at RunPod's proxy."""
    host = request.header("host") or ""
    local = host.rpartition(":")[0] in LOOPBACK_NAMES or host in LOOPBACK_NAMES
    return f"{'http' if local else 'https'}://{host}"
