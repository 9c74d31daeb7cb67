"""Everything about who may come in, put together."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.gateway.access.door import Door
from provisioning.gateway.access.issuing import Issuing
from provisioning.gateway.access.keystore import KeyStore
from provisioning.gateway.access.limiter import Limiter
from provisioning.gateway.access.limits import Limits
from provisioning.gateway.access.passwords import Passwords
from provisioning.gateway.access.people import People
from provisioning.gateway.access.sessions import Sessions
from provisioning.gateway.access.signatures import Signatures
from provisioning.gateway.access.tickets import Tickets
from provisioning.gateway.access.tokens import Tokens
from provisioning.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Reception:
    """The parts of the gateway that know people and keys."""

    limits: Limits
    issuing: Issuing
    people: People
    sessions: Sessions
    tickets: Tickets
    signatures: Signatures
    door: Door
    passwords: Passwords


def reception(settings: GatewaySettings, store: KeyStore, limiter: Limiter) -> Reception:
    """Put it together."""
    pepper, clock, passwords = settings.pepper.get_secret_value(), store.clock, Passwords()
    sessions = Sessions(store, passwords, Tokens(pepper, clock), settings.session_hours)
    tickets, signatures = Tickets(pepper, store), Signatures(pepper, store)
    return Reception(
        limits=Limits(settings, limiter),
        issuing=Issuing(store),
        people=People(store, passwords),
        sessions=sessions,
        tickets=tickets,
        signatures=signatures,
        door=Door(store, sessions, tickets, signatures),
        passwords=passwords,
    )
