"""Managing keys."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.access.documents import IssuedKey, Key, KeyPage
from provisioning.gateway.access.orders import KeyChange, NewKey, Rotation
from provisioning.gateway.access.records import KeyState
from provisioning.gateway.openapi.operation import Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import whole
from provisioning.gateway.problems import Code
from provisioning.gateway.web.body import DEFAULT_PAGE, MAX_PAGE

KEY: dict[str, Any] = {
    "id": "4fPq9sZ1",
    "name": "discord bot",
    "hint": "cgw_live_4fPq9sZ1...Ab3x",
    "state": "active",
    "scopes": ["client"],
    "owner": "discord",
    "labels": {"team": "community"},
    "limits": {
        "requests_per_minute": 120, "submits_per_minute": None, "uploads_per_minute": None, "max_requests": None,
        "max_streams": None, "max_queued": None, "quotas": {"jobs": {"day": 100}},
    },
    "managed_by": "gateway",
    "created_at": "2026-11-22T08:00:00Z",
    "created_by": "admin",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": "2026-11-22T09:15:00Z",
    "previous_until": None,
}  # fmt: skip
REVOKED = {**KEY, "state": "revoked", "revoked_at": "2026-11-22T10:00:00Z"}
ISSUED = {**KEY, "key": "cgw_live_4fPq9sZ1" + "x" * 32 + "1aAb3x"}

ROTATED = {**ISSUED, "previous_until": "2026-11-23T08:00:00Z"}

ID = Parameter("id", "A key's id: the 8 characters after `cgw_live_`.", "4fPq9sZ1", "path", required=True)
PAGING = (
    whole("limit", f"How many at most; {DEFAULT_PAGE} when left out.", DEFAULT_PAGE, least=1, most=MAX_PAGE),
    Parameter("cursor", "`next_cursor` of the page before.", "4fPq9sZ1"),
)

TABLE = {
    "POST /api/gateway/keys": Operation(
        Tag.ACCESS,
        "Issue a key",
        (Answer("The key; its secret is shown this once.", IssuedKey, ISSUED, 201),),
        "Nobody gives more than they have: neither scopes nor a longer life. Owner and `limits` are an admin's to set.",
        body=Body(NewKey, {"name": "discord bot", "scopes": ["client"], "limits": {"max_queued": 20}}),
        problems=(Code.MORE_THAN_OWN,),
    ),
    "GET /api/gateway/keys": Operation(
        Tag.ACCESS,
        "List keys",
        (Answer("Newest first.", KeyPage, {"items": [KEY], "next_cursor": None}),),
        "Those of the caller's user; an admin's are everybody's. Ended ones are listed for ever.",
        (
            *PAGING,
            Parameter("owner", "Of this user alone.", "discord"),
            Parameter("state", "In this state alone.", "active", schema={"enum": [state.value for state in KeyState]}),
        ),
    ),
    "GET /api/gateway/keys/{id}": Operation(
        Tag.ACCESS, "Show a key", (Answer("The key, without its secret.", Key, KEY),), parameters=(ID,)
    ),
    "PATCH /api/gateway/keys/{id}": Operation(
        Tag.ACCESS,
        "Change a key",
        (Answer("The key as it is now, at once and everywhere.", Key, KEY),),
        "What is left out stays; `labels` and `limits` are replaced as a whole.",
        (ID,),
        Body(KeyChange, {"name": "discord bot, Europe", "expires_at": "2027-01-31T00:00:00Z"}),
        (Code.MORE_THAN_OWN, Code.STATE_CONFLICT),
    ),
    "POST /api/gateway/keys/{id}/rotate": Operation(
        Tag.ACCESS,
        "Give a key a new secret",
        (Answer("The key; its new secret is shown this once.", IssuedKey, ROTATED),),
        "The id, and with it jobs and usage, stays. The former secret opens for `overlap_seconds` more, a day when "
        "left out; 0 ends it at once. Secrets before that one are dead.",
        (ID,),
        Body(Rotation, {"overlap_seconds": 3600}),
        (Code.MORE_THAN_OWN, Code.STATE_CONFLICT),
    ),
    "POST /api/gateway/keys/{id}/revoke": Operation(
        Tag.ACCESS,
        "End a key at once",
        (Answer("The key; nothing opens to it any more.", Key, REVOKED),),
        "With it end its streams, logins, tickets and signed addresses. Other gateways on the same database follow "
        "within half a second.",
        (ID,),
    ),
}  # fmt: skip
