"""What a thief may have got hold of: keys, tokens, tickets, signed addresses and cookies that must open nothing."""

from __future__ import annotations

from dataclasses import dataclass

import jwt
from sqlalchemy import Connection, update

from provisioning.gateway.core.database.tables import KeyRow
from provisioning.gateway.core.scopes import Role
from provisioning.gateway.sessions import tokens
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.conftest import HOST, PEPPER, Gate, finish, submit
from tests.unit.gateway.logins import PASSWORD, cookie, forged, log_in, open_session


@dataclass(frozen=True)
class Material:
    """What a thief may have got hold of."""

    key: str
    """Lives."""
    dead: dict[str, str]
    """Keys that lived."""
    tokens: dict[str, str]
    """Tokens of people, forged or ended."""
    tickets: dict[str, str]
    """Tickets that were spent or have ended, and one for another path."""
    signed: dict[str, str]
    """Signed addresses that were changed or have ended."""
    cookies: dict[str, str]
    """Cookie headers: an ended one, and one that lives."""


async def gather(gate: Gate) -> Material:
    """Make all of them, and let time pass where it has to."""
    signed, tickets = await _signed(gate), await _tickets(gate)
    dead = await _dead(gate)
    await add_user(gate, "ada", Role.ADMIN, password=PASSWORD)
    old = (await log_in(gate, "ada")).json()["access_token"]
    over = cookie(await open_session(gate, {"key": gate.keyring.admin}))["Cookie"]
    secret = over.partition("=")[2]
    gate.clock.advance(max(tokens.SECONDS, 3600))
    fresh = (await log_in(gate, "ada")).json()["access_token"]
    lives = cookie(await open_session(gate, {"key": gate.keyring.admin}))["Cookie"]
    gone = cookie(await open_session(gate, {"key": gate.keyring.admin}))["Cookie"]
    await gate.client(None, Origin=f"http://{HOST}", Cookie=gone).post("/logout")
    cookies = {
        "alive": lives, "logged out": gone, "twice": f"{lives}; {lives}", "of a tunnel": lives.removeprefix("__Host-"),
        "secret": f"session={secret}", "id": lives[:-32], "other prefix": lives.replace("__Host-", "__Secure-"),
    }  # fmt: skip
    return Material(gate.keyring.admin, dead, {"expired": old, **await _tokens(gate, fresh)}, tickets, signed, cookies)


async def _dead(gate: Gate) -> dict[str, str]:
    revoked, rotated, short, disabled = [await issue(gate.admin, name=f"dead {number}") for number in range(4)]
    await gate.admin.post(f"/api/gateway/keys/{revoked['id']}/revoke")
    await gate.admin.post(f"/api/gateway/keys/{rotated['id']}/rotate", json={"overlap_seconds": 0})
    await gate.store.change(lambda connection: _expire(connection, short["id"], gate.clock.now_ms()))
    await add_user(gate, "bea")
    owned = await issue(gate.admin, owner="bea")
    await gate.admin.patch("/api/gateway/users/bea", json={"disabled": True})
    await gate.admin.post(f"/api/gateway/keys/{disabled['id']}/revoke")
    return {
        "revoked": revoked["key"],
        "rotated": rotated["key"],
        "expired": short["key"],
        "of a disabled user": owned["key"],
    }


def _expire(connection: Connection, key_id: str, now: int) -> None:
    connection.execute(update(KeyRow).where(KeyRow.id == key_id).values(expires_at=now))


async def _tokens(gate: Gate, token: str) -> dict[str, str]:
    right = jwt.decode(token, options={"verify_signature": False})
    front, body, tail = token.split(".")
    ended = (await log_in(gate, "ada")).json()["access_token"]
    await gate.client(ended).post("/api/gateway/logout")
    none = forged(right, algorithm="none")
    changed = {
        name: forged({**right, name: value})
        for name, value in (
            ("aud", "other"), ("iss", "other"), ("sub", "admin"), ("sid", "ses_0000000000000000"), ("exp", 1),
            ("exp", "9" * 10),
            ("sid", gate.keyring.admin[9:17]), ("exp", -1), ("sub", None),
        )
    }  # fmt: skip
    heads: dict[str, object] = {
        "kid": "../../dev/null", "jku": "https://evil.test/k", "x5u": "https://evil.test/c", "crit": ["exp"],
        "jwk": {"kty": "oct", "k": "AAAA"}, "b64": False, "typ": "at+jwt", "zip": "DEF", "cty": "JWT",
    }  # fmt: skip
    return {
        "logged out": ended, "none": none, "none with its signature": f"{none.rpartition('.')[0]}.{tail}",
        "without its signature": f"{front}.{body}.", "other key": forged(right, key=b"x" * 32), "padded": f"{token}=",
        "pepper as key": forged(right, key=PEPPER.encode()), "HS512": forged(right, algorithm="HS512"),
        "HS384": forged(right, algorithm="HS384"), "four parts": f"{token}.{tail}", "two dots": "..",
        "letters": "a.b.c",
        "nonsense in front": f"x{token}", "cut": token[:-1], "head as body": f"{front}.{front}.{tail}",
        "no claims": forged({}), "empty key": forged(right, key=b"\0" * 32), "of nobody": forged({**right, "sub": ""}),
        **{f"claim {name}": value for name, value in changed.items()},
        **{f"header {name}": forged(right, b"", "HS256", **{name: value}) for name, value in heads.items()},
    }  # fmt: skip


async def _tickets(gate: Gate) -> dict[str, str]:
    made = {}
    for name, path in (
        ("spent", "/queue"),
        ("ended", "/queue"),
        ("of another path", "/history"),
        ("of a socket", "/ws"),
    ):
        answer = await gate.admin.post("/api/gateway/tickets", json={"path": path})
        made[name] = str(answer.json()["ticket"])
    assert (await gate.client(None).get("/queue", params={"ticket": made["spent"]})).status_code == 200
    whole = made["ended"]
    for place in (5, 20, 50, 80):
        made[f"changed at {place}"] = whole[:place] + ("A" if whole[place] != "A" else "B") + whole[place + 1 :]
    return made | {
        "cut": whole[:-1],
        "longer": f"{whole}A",
        "prefix": "cgt_",
        "empty": "",
        "of nothing": "cgt_e30",
        "admin": "admin",
    }


async def _signed(gate: Gate) -> dict[str, str]:
    job = await submit(gate.alice)
    await finish(gate, job)
    output = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["outputs"][0]["id"]
    path = f"/api/v2/assets/{output}/content"
    answer = await gate.alice.post("/api/gateway/signed-urls", json={"url": path, "seconds": 60})
    url = str(answer.json()["url"])
    assert (await gate.client(None).get(url)).status_code == 200
    query = url.partition("?")[2]
    return {
        "ended": url, "of another file": f"/api/v2/assets/00000000-0000-4000-8000-000000000000/content?{query}",
        "on the file's record": f"/api/v2/assets/{output}?{query}", "on the queue": f"/queue?{query}",
        "on /view": f"/view?filename=ComfyUI_00001_.png&{query}", "on a ticketed path": f"/ws?{query}",
        "unsigned": f"{path}?{query.partition('&signature')[0]}", "signature alone": f"{path}?signature=x",
        "empty signature": f"{path}?{query.partition('signature=')[0]}signature=", "later": url.replace("expires=1",
        "expires=9"),
        "without an end": url.replace("expires=", "x="), "twice": f"{url}&signature=x",
        "of another": f"{path}?{query.replace('by=', 'by=x')}",
        "negative": url.replace("expires=", "expires=-"), "with another parameter": f"{url}&download=1",
    }  # fmt: skip
