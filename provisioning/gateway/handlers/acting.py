"""Who acts, for the audit log."""

from __future__ import annotations

from provisioning.gateway.access.admission import peer
from provisioning.gateway.access.audit import By
from provisioning.gateway.web.exchange import Exchange


def by(exchange: Exchange) -> By:
    """Return the caller of a request with where it came from."""
    return By(exchange.who, peer(exchange.scope), exchange.request_id)
