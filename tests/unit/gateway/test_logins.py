"""People: their passwords, tokens and browser sessions, and what none of these opens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import httpx
import jwt
import pytest

from provisioning.gateway.access import tokens
from provisioning.gateway.access.derived import derived
from provisioning.gateway.access.limits import LOGINS
from provisioning.gateway.access.scopes import ROLES, Role
from provisioning.gateway.route import OPEN
from tests.unit.gateway.conftest import HOST, PEPPER, Gate, submit
from tests.unit.gateway.test_access import EVERY, concrete
from tests.unit.gateway.test_issuing import add_user, code, issue

LOGIN = "/api/gateway/login"
PASSWORD = "correct horse battery"
ORIGIN = {"Origin": f"http://{HOST}"}


async def log_in(gate: Gate, user: str, password: str = PASSWORD) -> httpx.Response:
    return await gate.client(None).post(LOGIN, json={"user": user, "password": password})


async def person(gate: Gate, name: str = "ada", role: Role = Role.OPERATOR) -> str:
    """Make a user, log in and return the token."""
    await add_user(gate, name, role, password=PASSWORD)
    answer = await log_in(gate, name)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def test_a_person_logs_in_and_is_the_same_as_a_key_of_theirs(gate: Gate) -> None:
    client = gate.client(await person(gate))
    me = (await client.get("/api/gateway/me")).json()
    assert (me["owner"], me["is_person"], me["scopes"]) == ("ada", True, sorted(ROLES[Role.OPERATOR]))
    job = await submit(client)
    key = await issue(client, name="mine")
    assert job in (await gate.client(key["key"]).get("/queue")).text
    assert code(await client.get("/api/gateway/users")) == (403, "insufficient_scope")


async def test_a_token_is_renewed_while_the_login_lasts(gate: Gate) -> None:
    token = await person(gate)
    for _ in range(3):
        gate.clock.advance(tokens.SECONDS - 1)
        answer = await gate.client(token).post("/api/gateway/refresh")
        assert answer.json()["expires_in"] == tokens.SECONDS
        assert answer.json()["access_token"] != token
        token = answer.json()["access_token"]
    gate.clock.advance(tokens.SECONDS)
    assert code(await gate.client(token).get("/queue")) == (401, "token_expired")
    assert code(await gate.alice.post("/api/gateway/refresh")) == (409, "no_session")


@pytest.mark.parametrize("overrides", [{"session_hours": 0.1}])
async def test_no_token_outlives_its_login(gate: Gate) -> None:
    token = await person(gate)
    gate.clock.advance(359)
    renewed = (await gate.client(token).post("/api/gateway/refresh")).json()
    assert renewed["expires_in"] == 1
    gate.clock.advance(1)
    assert code(await gate.client(renewed["access_token"]).get("/queue")) == (401, "token_expired")


async def test_logging_out_ends_every_token_of_the_login_and_no_other(gate: Gate) -> None:
    first = await person(gate)
    other = (await log_in(gate, "ada")).json()["access_token"]
    second = (await gate.client(first).post("/api/gateway/refresh")).json()["access_token"]
    assert (await gate.client(first).post("/api/gateway/logout")).status_code == 204
    for token in (first, second):
        assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert (await gate.client(other).get("/queue")).status_code == 200
    assert code(await gate.alice.post("/api/gateway/logout")) == (409, "no_session")


async def test_disabling_ends_logins_and_stops_keys_at_once(gate: Gate) -> None:
    token = await person(gate)
    key = (await issue(gate.admin, owner="ada"))["key"]
    await gate.admin.patch("/api/gateway/users/ada", json={"disabled": True})
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert code(await gate.client(key).get("/queue")) == (401, "user_disabled")
    assert code(await log_in(gate, "ada")) == (401, "invalid_login")
    await gate.admin.patch("/api/gateway/users/ada", json={"disabled": False})
    assert (await gate.client(key).get("/queue")).status_code == 200
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended"), "it does not come back"


async def test_deleting_keeps_the_jobs_and_the_name(gate: Gate) -> None:
    token = await person(gate)
    key = (await issue(gate.admin, owner="ada"))["key"]
    await submit(gate.client(key))
    assert (await gate.admin.delete("/api/gateway/users/ada")).status_code == 204
    for credential in (token, key):
        assert (await gate.client(credential).get("/queue")).status_code == 401
    assert gate.rows("SELECT owner FROM jobs") == [("ada",)]
    assert code(await gate.admin.get("/api/gateway/users/ada")) == (404, "not_found")
    assert code(await gate.admin.post("/api/gateway/users", json={"name": "ada"})) == (409, "state_conflict")


async def test_a_users_name_is_never_that_of_a_lonely_key(gate: Gate) -> None:
    lonely = await issue(gate.admin)
    assert code(await gate.admin.post("/api/gateway/users", json={"name": lonely["id"]})) == (409, "state_conflict")


async def test_an_admin_does_not_end_itself(gate: Gate) -> None:
    for body in ({"disabled": True}, {"role": "viewer"}):
        assert code(await gate.admin.patch("/api/gateway/users/admin", json=body)) == (409, "state_conflict")
    assert code(await gate.admin.delete("/api/gateway/users/admin")) == (409, "state_conflict")


async def test_a_password_is_changed_by_whoever_knows_it(gate: Gate) -> None:
    token = await person(gate)
    path, new = "/api/gateway/me/password", "another long password"
    wrong = await gate.client(token).post(path, json={"current": "not this one at all", "new": new})
    assert code(wrong) == (401, "invalid_login")
    gate.clock.advance(1)
    assert (await gate.client(token).post(path, json={"current": PASSWORD, "new": new})).status_code == 204
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert (await log_in(gate, "ada")).status_code == 401
    assert (await log_in(gate, "ada", new)).status_code == 200
    key = gate.client((await issue(gate.admin, owner="ada"))["key"])
    assert code(await key.post(path, json={"current": new, "new": PASSWORD})) == (401, "invalid_login"), "no key's act"
    assert code(await gate.admin.post("/api/gateway/users", json={"name": "x", "password": "short"}))[0] == 400


async def test_nothing_tells_which_users_there_are(gate: Gate) -> None:
    await add_user(gate, "ada", password=PASSWORD)
    await add_user(gate, "keys-only")
    answers = [await log_in(gate, name, "wrong password 1") for name in ("ada", "keys-only", "nobody", "", "x" * 64)]
    bodies = [{**answer.json(), "instance": "", "request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * 5
    assert bodies[0]["code"] == "invalid_login"


async def test_a_password_is_hashed_also_for_nobody(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer is that of one hash, whoever asks: counted, since a clock would only be likely."""
    await add_user(gate, "ada", password=PASSWORD)
    passwords = gate.app.services.reception.passwords
    compared: list[str] = []
    verify = passwords._verify

    def counted(stored: str, given: str) -> bool:
        compared.append(stored)
        return verify(stored, given)

    monkeypatch.setattr(passwords, "_verify", counted)
    for name in ("ada", "nobody"):
        await log_in(gate, name, "wrong password 1")
    assert len(compared) == 2
    assert all(stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for stored in compared)


@pytest.mark.parametrize("overrides", [{"failed_logins_per_account_per_minute": 2, "failed_logins_per_minute": 4}])
async def test_wrong_passwords_are_slowed_by_account_and_by_address(gate: Gate) -> None:
    token = await person(gate)
    await person(gate, "bea")
    assert [(await log_in(gate, "ada", "wrong")).status_code for _ in range(3)] == [401, 401, 429]
    refused = await log_in(gate, "ada")
    assert (code(refused), refused.json()["violated-policies"]) == ((429, "rate_limited"), ["account"])
    assert int(refused.headers["retry-after"]) >= 1
    assert (await gate.client(token).get("/queue")).status_code == 200, "who is in stays in"
    assert [(await log_in(gate, "bea")).status_code for _ in range(5)] == [200] * 5, "right ones count for nothing"
    assert [(await log_in(gate, f"u{number}", "wrong")).status_code for number in range(3)] == [401, 401, 429]
    gate.clock.advance(60)
    assert (await log_in(gate, "ada")).status_code == 200


def forged(claims: dict[str, Any], key: bytes = b"", algorithm: str = "HS256", **header: object) -> str:
    """Return a token in which one thing is not as ours."""
    key = key or derived(PEPPER, "tokens of people 1")
    parts = [json.dumps({"alg": algorithm, "typ": "JWT", **header}), json.dumps(claims)]
    signed = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
    digests = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    tail = b"" if algorithm == "none" else hmac.new(key, signed, digests[algorithm]).digest()
    return f"{signed.decode()}.{base64.urlsafe_b64encode(tail).rstrip(b'=').decode()}"


def test_the_forger_could_make_a_true_one() -> None:
    assert derived(PEPPER, "tokens of people 1") != derived(PEPPER, "tickets 1") != derived(PEPPER + "x", "tickets 1")


async def test_forged_tokens_open_nothing(gate: Gate) -> None:
    token = await person(gate)
    right = jwt.decode(token, options={"verify_signature": False})
    assert (await gate.client(forged(right)).get("/queue")).status_code == 200, "the forger works"
    head, body, tail = token.split(".")
    none_head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    admin = base64.urlsafe_b64encode(json.dumps({**right, "sub": "admin"}).encode()).rstrip(b"=").decode()
    tricks = {
        "alg none": forged(right, algorithm="none"),
        "alg none, signed": f"{none_head}.{body}.{tail}",
        "no signature": f"{head}.{body}.",
        "other key": forged(right, key=b"x" * 32),
        "pepper itself": forged(right, key=PEPPER.encode()),
        "no key": forged(right, key=b"\0" * 32),
        "HS512": forged(right, algorithm="HS512"),
        "HS384": forged(right, algorithm="HS384"),
        "kid": forged(right, kid="../../dev/null"),
        "jku": forged(right, jku="https://evil.test/keys"),
        "jwk": forged(right, jwk={"kty": "oct", "k": "AAAA"}),
        "crit": forged(right, crit=["exp"]),
        "typ": forged(right, typ="at+jwt"),
        "other subject": forged({**right, "sub": "admin"}),
        "swapped body": f"{head}.{admin}.{tail}",
        "other audience": forged({**right, "aud": "other"}),
        "other issuer": forged({**right, "iss": "other"}),
        "no session": forged({**right, "sid": "ses_0000000000000000"}),
        "key as session": forged({**right, "sid": "4fPq9sZ1"}),
        "session of a list": forged({**right, "sid": ["a"]}),
        "expiry as text": forged({**right, "exp": str(right["exp"])}),
        "expiry as a fraction": forged({**right, "exp": right["exp"] + 0.5}),
        "too long": forged({**right, "more": "x" * 1000}),
        "spaces": token.replace(".", ". "),
        "padded": f"{head}.{body}.{tail}=",
    }
    for name in ("iss", "aud", "sub", "sid", "jti", "iat", "exp"):
        tricks[f"without {name}"] = forged({key: value for key, value in right.items() if key != name})
    for name, trick in tricks.items():
        answer = await gate.client(trick).get("/queue")
        assert answer.status_code == 401, name
        assert answer.json()["code"] in {"invalid_token", "session_ended", "missing_credentials"}, name
    assert code(await gate.client(None, **{"X-API-Key": token}).get("/queue")) == (401, "invalid_key")
    assert code(await gate.client(None).get("/queue", params={"x": token})) == (400, "key_in_url")


async def open_session(gate: Gate, form: dict[str, str], **headers: str) -> httpx.Response:
    return await gate.client(None, **(ORIGIN | headers)).post("/login", data=form)


def cookie(answer: httpx.Response) -> dict[str, str]:
    """Return the header that a browser would send from now on."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_the_login_page_is_a_plain_form(gate: Gate) -> None:
    answer = await gate.client(None).get("/login", params={"next": '/docs?a="><script>alert(1)</script>'})
    assert answer.status_code == 200
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert re.findall(r'<input[^>]* name="(\w+)"', answer.text) == ["next", "user", "password", "key"]


async def test_only_pages_that_open_are_offered(gate: Gate) -> None:
    for key, offered in ((gate.keyring.alice, ["/docs"]), (gate.keyring.admin, ["/docs", "/comfy/"])):
        client = gate.client(None, **cookie(await open_session(gate, {"key": key})))
        shown = (await client.get("/login")).text
        assert re.findall(r'<a href="([^"]*)">', shown) == offered


async def test_a_session_opens_pages_and_never_the_api(gate: Gate) -> None:
    await person(gate, role=Role.ADMIN)
    for form in ({"user": "ada", "password": PASSWORD}, {"key": gate.keyring.admin}):
        answer = await open_session(gate, form | {"next": "/docs"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
        attributes = answer.headers["set-cookie"].split("; ")
        assert attributes[0].startswith("__Host-comfyui-session=cgs_")
        assert set(attributes[1:]) == {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"}
        assert form.get("key", PASSWORD) not in answer.text + str(answer.headers)
        client = gate.client(None, **cookie(answer))
        assert "You are logged in as" in (await client.get("/login")).text
        for path in ("/queue", "/api/queue", "/api/v2/jobs", "/api/gateway/me", "/api/gateway/keys", "/metrics"):
            assert code(await client.get(path)) == (401, "missing_credentials"), path
        made = await client.post("/api/gateway/keys", json={"name": "x"}, headers=ORIGIN)
        assert code(made) == (401, "missing_credentials")


async def test_logging_out_needs_the_pages_own_form(gate: Gate) -> None:
    answer = await open_session(gate, {"key": gate.keyring.alice})
    client = gate.client(None, **cookie(answer))
    assert code(await client.post("/logout")) == (403, "origin_not_allowed")
    for origin in ("null", "https://evil.test", f"https://{HOST}.evil.test"):
        assert code(await client.post("/logout", headers={"Origin": origin})) == (403, "origin_not_allowed"), origin
    cross = {"Sec-Fetch-Site": "cross-site", **ORIGIN}
    assert code(await client.post("/logout", headers=cross)) == (403, "origin_not_allowed")
    assert "You are logged in as" in (await client.get("/login")).text
    gone = await client.post("/logout", headers=ORIGIN)
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert "You are logged in as" not in (await client.get("/login")).text


async def test_no_other_site_logs_anybody_in(gate: Gate) -> None:
    form = {"key": gate.keyring.alice}
    assert code(await gate.client(None).post("/login", data=form)) == (403, "origin_not_allowed")
    for origin in ("null", "https://evil.test"):
        assert code(await gate.client(None, Origin=origin).post("/login", data=form)) == (403, "origin_not_allowed")
    other = await gate.client(None, **ORIGIN).post("/login", json=form)
    assert code(other) == (415, "unsupported_media_type")
    elsewhere = httpx.AsyncClient(transport=httpx.ASGITransport(app=gate.app), base_url="http://evil.test")
    assert (await elsewhere.get("/login")).status_code == 421
    await elsewhere.aclose()


@pytest.mark.parametrize(
    "wanted", ["//evil.test", "/\\evil.test", "https://evil.test", "/a\r\nset-cookie: b=c", "docs", ""]
)
async def test_the_form_leads_nowhere_else(gate: Gate, wanted: str) -> None:
    answer = await open_session(gate, {"key": gate.keyring.alice, "next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_nobody_fills_the_database_with_logins(gate: Gate) -> None:
    statuses = [(await open_session(gate, {"key": gate.keyring.alice})).status_code for _ in range(LOGINS.quota + 1)]
    assert statuses == [303] * LOGINS.quota + [429]
    assert (await gate.alice.get("/queue")).status_code == 200


@pytest.mark.parametrize("overrides", [{"failed_logins_per_account_per_minute": 1}])
async def test_the_form_says_what_was_wrong(gate: Gate) -> None:
    await add_user(gate, "ada", password=PASSWORD)
    wrong = {"user": "ada", "password": "wrong", "next": "/docs"}
    answer = await open_session(gate, wrong)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert 'role="alert"' in answer.text
    assert 'value="/docs"' in answer.text
    assert "wrong<" not in answer.text
    slowed = await open_session(gate, wrong)
    assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "60")
    assert (await open_session(gate, {"key": "cgw_live_nonsense"})).status_code == 401


async def test_over_a_tunnel_the_cookie_is_one_that_browsers_keep(gate: Gate) -> None:
    near = httpx.AsyncClient(transport=httpx.ASGITransport(app=gate.app), base_url="http://127.0.0.1:8189")
    origin = {"Origin": "http://127.0.0.1:8189"}
    answer = await near.post("/login", data={"key": gate.keyring.alice}, headers=origin)
    assert answer.headers["set-cookie"].startswith("comfyui-session=cgs_")
    assert "Secure" not in answer.headers["set-cookie"]
    own = cookie(answer)["Cookie"]
    assert "You are logged in as" in (await near.get("/login", headers={"Cookie": own})).text
    twice = f"{own}; comfyui-session=cgs_{'0' * 48}"
    assert "You are logged in as" not in (await near.get("/login", headers={"Cookie": twice})).text
    assert "You are logged in as" not in (await gate.client(None, Cookie=own).get("/login")).text, (
        "over TLS another name"
    )
    await near.aclose()


async def test_a_session_ends_with_what_opened_it(gate: Gate) -> None:
    made = await issue(gate.admin)

    async def session(token: str) -> httpx.AsyncClient:
        return gate.client(None, **cookie(await open_session(gate, {"key": token})))

    async def lives(client: httpx.AsyncClient) -> bool:
        return "You are logged in as" in (await client.get("/login")).text

    first = await session(made["key"])
    rotate = f"/api/gateway/keys/{made['id']}/rotate"
    rotated = (await gate.admin.post(rotate, json={"overlap_seconds": 60})).json()
    second = await session(rotated["key"])
    assert await lives(first)
    gate.clock.advance(60)
    assert (await lives(first), await lives(second)) == (False, True)
    await gate.admin.post(f"/api/gateway/keys/{made['id']}/revoke")
    assert not await lives(second)


def browser(gate: Gate, answer: httpx.Response) -> httpx.AsyncClient:
    """Return a client with a session; the editor's calls are no part of the reference, so it is not compared to it."""
    transport = httpx.ASGITransport(app=gate.app)
    client = httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=cookie(answer))
    gate.clients.append(client)
    return client


async def test_a_browser_without_a_session_is_shown_where_to_log_in(gate: Gate) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = await gate.client(None).get("/docs", headers=browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fdocs")
    for path, headers in (("/docs", {}), ("/queue", browser)):
        assert (await gate.client(None).get(path, headers=headers)).status_code == 401, path


async def test_what_the_web_pages_call_is_open_to_their_session_alone(gate: Gate) -> None:
    admin = browser(gate, await open_session(gate, {"key": gate.keyring.admin}))
    alice = browser(gate, await open_session(gate, {"key": gate.keyring.alice}))
    for client in (admin, alice):
        assert (await client.get("/docs")).status_code == 200
        welcome = (await client.get("/login")).text
        assert "/docs" in welcome
    assert (await admin.get("/comfy/api/queue")).status_code == 200
    assert code(await alice.get("/comfy/api/queue")) == (403, "insufficient_scope")
    for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.test"}, ORIGIN | {"Sec-Fetch-Site": "same-site"}):
        answer = await admin.post("/comfy/api/queue", json={"clear": True}, headers=headers)
        assert code(answer) == (403, "origin_not_allowed"), headers
    assert (await admin.post("/comfy/api/queue", json={"clear": True}, headers=ORIGIN)).status_code == 200


async def test_cookies_open_the_routes_of_web_pages_and_no_others(gate: Gate) -> None:
    """From the table: a session's cookie is a credential where the route says so, and nowhere else."""
    admin = gate.client(None, **ORIGIN, **cookie(await open_session(gate, {"key": gate.keyring.admin})))
    for route, path in EVERY:
        if route.access in OPEN or route.path == "/logout":
            continue
        answer = await admin.request(route.method, concrete(path), json={})
        assert (answer.status_code != 401) == route.web, (route.method, path)
        assert not path.startswith("/api/") or not route.web, "never the API"
