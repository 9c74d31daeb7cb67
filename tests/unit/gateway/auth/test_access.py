"""Access to every route with every kind of key, and requests that try to bypass authentication."""

from __future__ import annotations

import string

import pytest

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.http.operation import Access, Operation
from provisioning.gateway.core.scopes import ROLES, Role, Scope, expand
from provisioning.gateway.editor.routes import DEPTH, editor_operations
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.asgi_requests import bearer, raw_request
from tests.unit.gateway.conftest import HOST, UNKNOWN_KEY, Gate, submit
from tests.unit.gateway.route_paths import CLOSED, EVERY, NAMES, concrete

TYPO = UNKNOWN_KEY[:-7] + "1" + UNKNOWN_KEY[-6:]


def ids(pair: tuple[Operation, str]) -> str:
    return f"{pair[0].method} {pair[1]}"


@pytest.mark.parametrize("token", [None, TYPO, UNKNOWN_KEY], ids=["none", "typo", "unknown"])
async def test_requests_without_a_valid_key_are_refused(gate: Gate, token: str | None) -> None:
    for route, path in CLOSED:
        answer = await gate.client(token).request(route.method, concrete(path), json={})
        assert answer.status_code == 401, (route.method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    assert gate.comfy.seen == []


@pytest.mark.parametrize("scope", sorted(Scope))
async def test_a_route_accepts_its_scope_only(gate: Gate, scope: Scope) -> None:
    client = gate.client(await gate.store.create("one scope", frozenset({scope})))
    for route, path in CLOSED:
        answer = await client.request(route.method, concrete(path), json={})
        if route.access is Access.ANY or route.access in expand({scope}):
            assert answer.status_code not in {401, 403}, (route.method, path)
            continue
        body = answer.json()
        assert (answer.status_code, body["code"]) == (403, "insufficient_scope"), (route.method, path)
        assert body["needed_scope"] == str(route.access.value)
        assert str(route.access.value) in body["detail"]


def test_higher_roles_include_lower_ones_and_bundles_expand() -> None:
    assert ROLES[Role.MEMBER] < ROLES[Role.OPERATOR] < ROLES[Role.ADMIN]
    assert ROLES[Role.VIEWER] < ROLES[Role.OPERATOR]
    assert expand({Scope.CLIENT}) == {Scope.READ, Scope.JOBS, Scope.ASSETS}
    assert expand({Scope.ADMIN}) == set(Scope) - {Scope.CLIENT}


@pytest.mark.parametrize("pair", EVERY, ids=ids)
async def test_no_route_returns_a_server_error(gate: Gate, pair: tuple[Operation, str]) -> None:
    for client in (gate.alice, gate.admin):
        answer = await client.request(pair[0].method, concrete(pair[1]), json={})
        assert answer.status_code < 500
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"].startswith("req_")
    answer = await gate.alice.request("PUT", concrete(pair[1]))
    assert (answer.status_code, pair[0].method in answer.headers["allow"]) == (405, True)


async def test_another_users_job_and_files_are_not_found(gate: Gate) -> None:
    job = await submit(gate.alice)
    await gate.comfy.begin(job)
    await gate.comfy.end(job)
    entry = (await gate.alice.get(f"/history/{job}")).json()[job]
    image = entry["outputs"]["9"]["images"][0]
    root = gate.comfy.submitted(job)["prompt"]["9"]["inputs"]["filename_prefix"].partition(f"/{job}")[0]
    for folder in (image["subfolder"], f"{root}/{image['subfolder']}"):
        answer = await gate.bob.get("/view", params=image | {"subfolder": folder})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await gate.bob.get(f"/history/{job}")).json() == {}
    assert (await gate.bob.get("/history")).json() == {}
    assert job in (await gate.admin.get("/history")).json()
    absent = await gate.bob.get("/view", params=image | {"filename": "never.png"})
    theirs = await gate.bob.get("/view", params=image)
    assert {**absent.json(), "instance": "", "request_id": ""} == {**theirs.json(), "instance": "", "request_id": ""}
    answer = await gate.admin.get("/view", params=image | {"subfolder": f"{root}/{image['subfolder']}"})
    assert answer.status_code == 200


UNKNOWN_PATHS = [
    "/", "/internal/logs", "/internal/logs/raw", "/internal/folder_paths", "/manager/reboot", "/customnode/install",
    "/api/api/prompt", "/api/assets", "/api/assets/download",
    "/api/v2/userdata", "/docs/", "/openapi.yaml", "/api/metrics",
    "/PROMPT", "/prompt/", "/queue/x", "/api",
    "/api/livez", "/{code}", "/errors/{code}/x",
]  # fmt: skip


async def test_undeclared_paths_are_not_found(gate: Gate) -> None:
    nobody, admin = gate.client(None), gate.admin
    for path in UNKNOWN_PATHS:
        for method in ("GET", "POST", "DELETE"):
            assert (await nobody.request(method, path)).status_code == 401, path
            assert (await admin.request(method, path)).status_code == 404, path
    assert gate.comfy.seen == []


PATH_TRICKS = [
    "//prompt", "/api//prompt", "/./prompt", "/x/../prompt", "/%2e%2e/prompt", "/livez/../prompt",
    "/livez/%2e%2e/prompt",
    "/livez%2f..%2fprompt", "/livez;/prompt", "/prompt;a=b", "/livez%3b", "/livez%00", "/livez%0d%0a", "/livez%23",
    "/livez%3f",
    "/%70rompt%2f", "/livez\\..\\prompt", "/livez%5c..%5cprompt", "/livez%252f", "/livez%", "/livez%z1", "/livez%ff",
    "/livez%c0%af", "/livez/.", "/livez/..", "/livez ", "/livez%09", "/livez\u00e9",
]  # fmt: skip


NAME = (b"host", HOST.encode())


async def test_ambiguous_paths_are_refused(gate: Gate) -> None:
    for path in PATH_TRICKS:
        raw = path.encode("latin-1")
        assert await raw_request(gate, raw, [NAME]) in {400, 401}, path
        assert await raw_request(gate, raw, [NAME, bearer(gate)]) == 400, path
    assert gate.comfy.seen == []


HOST_TRICKS = [
    b"", b"evil.test", b"gateway.test.evil.test", b"evil.test#gateway.test", b"gateway.test#@evil.test",
    b"gateway.test@evil.test", b"gateway.test/", b"gateway.test, evil.test", b"gateway.test\r\nX: y",
    b"gateway.test:1:2",
    b"gateway.test:abc", b" gateway.test", b"gateway.test.", b"127.0.0.1", b"localhost:8189", b"[::1]", b"0.0.0.0",
    b"gateway.test\x00", b"gateway.test\xff", b"http://gateway.test",
]  # fmt: skip


async def test_unknown_hosts_are_refused(gate: Gate) -> None:
    for host in HOST_TRICKS:
        assert await raw_request(gate, b"/queue", [(b"host", host), bearer(gate)]) in {400, 421}, host
    assert gate.comfy.seen == []


async def test_own_hosts_are_accepted(gate: Gate) -> None:
    for host in (b"gateway.test", b"GATEWAY.test", b"gateway.test:443"):
        assert await raw_request(gate, b"/queue", [(b"host", host), bearer(gate)]) == 200
    assert await raw_request(gate, b"/queue", [NAME, NAME, bearer(gate)]) == 400
    assert await raw_request(gate, b"/queue", [bearer(gate)]) == 400
    assert await raw_request(gate, b"/livez", [(b"host", b"some.probe")]) == 200


def credential_tricks() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (name, headers) pairs; {key} stands for a key that works."""
    key = "{key}"
    single = {
        "no scheme": key, "basic": f"Basic {key}", "token": f"Token {key}", "made up": f"Whatever {key}", "empty": "",
        "scheme alone": "Bearer", "scheme and space": "Bearer ", "two spaces": f"Bearer  {key}",
        "tab": f"Bearer\t{key}",
        "trailing": f"Bearer {key} x", "comma": f"Bearer {key}, Bearer {key}", "quoted": f'Bearer "{key}"',
        "quote": f"Bearer {key}'", "sql": f"Bearer {key}' OR '1'='1", "null": "Bearer null",
        "undefined": "Bearer undefined",
        "star": "Bearer *", "percent": "Bearer %", "lowercased": "Bearer {lower}", "cut": "Bearer {cut}",
        "padded": f"Bearer {key}=",
        "negotiate": "Negotiate x", "digest": 'Digest username="admin"', "json": 'Bearer {{"$ne":null}}',
    }  # fmt: skip
    tricks = [(f"authorization {name}", [("authorization", value)]) for name, value in single.items()]
    tricks += [(f"x-api-key {name}", [("x-api-key", value)]) for name, value in single.items() if name != "no scheme"]
    tricks += [
        (f"x-api-key byte {byte:02x}", [("x-api-key", key + chr(byte))]) for byte in (0, 9, 32, 39, 34, 127, 200)
    ]
    for character in string.punctuation:
        tricks.append((f"inside {character}", [("authorization", "Bearer {cut}" + character)]))
    tricks += [
        ("twice", [("authorization", f"Bearer {key}")] * 2),
        ("both", [("authorization", f"Bearer {key}"), ("x-api-key", key)]),
        ("good then bad", [("authorization", f"Bearer {key}"), ("authorization", "Bearer x")]),
        ("bad then good", [("x-api-key", "x"), ("authorization", f"Bearer {key}")]),
        ("cookie", [("cookie", f"authorization={key}; api_key={key}")]),
        ("proxy", [("proxy-authorization", f"Bearer {key}")]),
        ("underscore", [("x_api_key", key)]),
        ("forwarded", [("x-forwarded-authorization", f"Bearer {key}"), ("x-original-url", "/livez")]),
        ("override", [("x-http-method-override", "GET"), ("x-rewrite-url", "/livez"), ("x-user", "admin")]),
    ]
    return tricks


async def test_malformed_credentials_are_refused(gate: Gate) -> None:
    key = gate.keyring.admin
    words = {"{key}": key, "{lower}": key.lower(), "{cut}": key[:-1], "{{": "{", "}}": "}"}
    for name, headers in credential_tricks():
        raw = [(header.encode(), replaced(text, words).encode("latin-1")) for header, text in headers]
        for path in (b"/queue", b"/api/queue", b"/system_stats"):
            assert await raw_request(gate, path, [NAME, *raw]) in {400, 401}, name
    assert gate.comfy.seen == []


def replaced(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


async def test_both_headers_for_keys_are_accepted(gate: Gate) -> None:
    key = gate.keyring.alice.encode()
    for header in ((b"authorization", b"Bearer " + key), (b"authorization", b"bearer " + key), (b"x-api-key", key)):
        assert await raw_request(gate, b"/queue", [NAME, header]) == 200


async def test_a_key_in_the_url_is_refused(gate: Gate) -> None:
    key = gate.keyring.admin
    for name in ("token", "api_key", "key", "access_token", "ticket"):
        for client in (gate.client(None), gate.alice):
            answer = await client.get("/queue", params={name: key})
            assert (answer.status_code, answer.json()["code"]) == (400, "key_in_url")
    assert (await gate.client(None).get("/queue", params={"ticket": "x"})).json()["code"] == "invalid_ticket"
    assert gate.comfy.seen == []


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.test", "https://gateway.test.evil.test", "gateway.test", "file://"]
)
async def test_requests_from_other_origins_are_refused(gate: Gate, origin: str) -> None:
    client = gate.client(gate.keyring.alice, Origin=origin)
    answer = await client.post("/prompt", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    own = gate.client(gate.keyring.alice, Origin=f"http://{HOST}")
    assert (await own.post("/queue", json={})).status_code == 200


async def test_client_headers_are_not_forwarded_to_comfyui(gate: Gate) -> None:
    noise = {
        "Origin": f"http://{HOST}", "Cookie": "a=b", "Comfy-User": "admin", "X-Forwarded-For": "1.1.1.1",
        "Range": "bytes=0-1",
        "Connection": "x-secret", "X-Secret": "s", "Comfy-Usage-Source": "x", "Forwarded": "for=1.1.1.1",
    }  # fmt: skip
    client = gate.client(gate.keyring.alice, **noise)
    await client.get("/models")
    await client.get("/view?filename=a.png&type=input")
    await client.post("/prompt", json={"prompt": {"1": {"class_type": "X", "inputs": {}}}})
    for seen in gate.comfy.seen:
        names = {name.lower() for name in seen.headers}
        assert not names & {
            "origin",
            "cookie",
            "comfy-user",
            "x-forwarded-for",
            "x-secret",
            "authorization",
            "x-api-key",
        }
    assert gate.comfy.asked("GET", "/view")[0].headers["Range"] == "bytes=0-1"
    assert "Range" not in gate.comfy.asked("GET", "/models")[0].headers


async def test_a_revoked_key_is_refused(gate: Gate) -> None:
    token = await gate.store.create("short", frozenset({Scope.CLIENT}))
    assert (await gate.client(token).get("/queue")).status_code == 200
    await gate.store.revoke(key_format.key_id(token) or "")
    answer = await gate.client(token).get("/queue")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")


async def test_requests_are_refused_while_the_database_is_unavailable(gate: Gate) -> None:
    assert (await gate.alice.get("/queue")).status_code == 200
    gate.rows("SELECT 1")
    gate.database.run_now(lambda connection: connection.exec_driver_sql("DROP TABLE keys").rowcount)
    gate.store._checked_at = float("-inf")  # as if time had passed
    answer = await gate.alice.get("/queue")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


async def test_repeated_query_parameters_are_refused(gate: Gate) -> None:
    answer = await gate.alice.get("/view?filename=a.png&filename=b.png")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


WITHOUT_A_KEY = {
    ("GET", "/livez"): Access.PUBLIC,
    ("GET", "/readyz"): Access.PUBLIC,
    ("GET", "/login"): Access.LOGIN,
    ("POST", "/login"): Access.LOGIN,
    ("POST", "/api/gateway/login"): Access.LOGIN,
}
"""All routes that need no key, WebSockets and the editor's routes included."""


async def test_only_listed_routes_need_no_key(gate: Gate) -> None:
    everything = [(route, path) for route in (*OPERATIONS, *editor_operations(OPERATIONS)) for path in route.paths]
    opened = {(route.method, path): route.access for route, path in everything if not route.needs_key}
    assert opened == WITHOUT_A_KEY
    parts = NAMES | {f"part{number}": "a" for number in range(DEPTH)}
    nobody = gate.client(None)
    for route, path in everything:
        for method in {route.method, "HEAD" if route.method == "GET" else route.method}:
            answer = await nobody.request(method, path.format(**parts), headers={"Origin": f"http://{HOST}"})
            refused = answer.headers.get("www-authenticate", "").startswith("Bearer") and answer.status_code == 401
            assert refused is ((route.method, path) not in WITHOUT_A_KEY), (method, path)
    assert gate.comfy.seen == []


async def test_empty_logins_are_refused(gate: Gate) -> None:
    """Both count as a failed login; see test_logins."""
    for path, body in (
        ("/login", {"data": {"user": "", "password": "", "key": ""}}),
        ("/api/gateway/login", {"json": {}}),
    ):
        answer = await gate.client(None, Origin=f"http://{HOST}").request("POST", path, **body)
        assert answer.status_code in {400, 401}, path
        assert "set-cookie" not in answer.headers
    assert gate.rows("SELECT count(*) FROM sessions") == [(0,)]


async def test_readyz_gives_no_reason(gate: Gate) -> None:
    nobody = gate.client(None)
    assert (await nobody.get("/readyz")).json() == {"status": "ready"}
    gate.app.drain()
    answer = await nobody.get("/readyz")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_ready", "2")
    assert "draining" not in answer.text
    assert (await gate.alice.get("/api/gateway/ready")).json()["code"] == "draining"


async def test_probes_without_a_key_write_at_most_once_a_second(gate: Gate) -> None:
    nobody = gate.client(None)
    assert (await nobody.get("/readyz")).status_code == 200
    gate.database.run_now(lambda connection: connection.exec_driver_sql("DROP TABLE meta").rowcount)
    assert (await nobody.get("/readyz")).status_code == 200
    gate.clock.advance(1)
    assert (await nobody.get("/readyz")).status_code == 503
