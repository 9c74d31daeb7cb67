"""Browser sessions: the login page, the routes that accept a session, and protection against other sites."""

from __future__ import annotations

import re

import httpx
import pytest

from provisioning.gateway.core.scopes import Role
from provisioning.gateway.limits.policies import LOGINS
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.conftest import HOST, Gate
from tests.unit.gateway.logins import ORIGIN, PASSWORD, cookie, open_session, person
from tests.unit.gateway.problems import code
from tests.unit.gateway.route_paths import EVERY, concrete


async def test_the_login_page_is_a_form_without_scripts(gate: Gate) -> None:
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


async def test_the_welcome_page_lists_only_accessible_pages(gate: Gate) -> None:
    for key, offered in ((gate.keyring.alice, ["/docs"]), (gate.keyring.admin, ["/docs", "/comfy/"])):
        client = gate.client(None, **cookie(await open_session(gate, {"key": key})))
        shown = (await client.get("/login")).text
        assert re.findall(r'<a href="([^"]*)">', shown) == offered


async def test_a_session_cookie_is_accepted_for_pages_and_not_for_the_api(gate: Gate) -> None:
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


async def test_logging_out_requires_the_pages_own_origin(gate: Gate) -> None:
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


async def test_login_forms_of_other_sites_are_refused(gate: Gate) -> None:
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
async def test_the_login_form_redirects_only_within_this_host(gate: Gate, wanted: str) -> None:
    answer = await open_session(gate, {"key": gate.keyring.alice, "next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_logins_with_a_key_are_limited(gate: Gate) -> None:
    statuses = [(await open_session(gate, {"key": gate.keyring.alice})).status_code for _ in range(LOGINS.quota + 1)]
    assert statuses == [303] * LOGINS.quota + [429]
    assert (await gate.alice.get("/queue")).status_code == 200


@pytest.mark.parametrize("overrides", [{"failed_logins_per_account_per_minute": 1}])
async def test_the_login_form_shows_the_error(gate: Gate) -> None:
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


async def test_the_cookie_over_a_tunnel_is_not_secure(gate: Gate) -> None:
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


async def test_a_session_ends_with_its_credential(gate: Gate) -> None:
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
    """Return a client with a session; the editor's routes are not in the reference, so responses are not checked."""
    transport = httpx.ASGITransport(app=gate.app)
    client = httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=cookie(answer))
    gate.clients.append(client)
    return client


async def test_a_browser_without_a_session_is_redirected_to_login(gate: Gate) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = await gate.client(None).get("/docs", headers=browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fdocs")
    for path, headers in (("/docs", {}), ("/queue", browser)):
        assert (await gate.client(None).get(path, headers=headers)).status_code == 401, path


async def test_routes_of_web_pages_accept_their_session(gate: Gate) -> None:
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


async def test_cookies_are_accepted_on_routes_of_web_pages_only(gate: Gate) -> None:
    """For every route: a session cookie is accepted only where the route declares it."""
    admin = gate.client(None, **ORIGIN, **cookie(await open_session(gate, {"key": gate.keyring.admin})))
    for route, path in EVERY:
        if not route.needs_key or route.path == "/logout":
            continue
        answer = await admin.request(route.method, concrete(path), json={})
        assert (answer.status_code != 401) == route.web, (route.method, path)
        assert not path.startswith("/api/") or not route.web, "not for the API"
