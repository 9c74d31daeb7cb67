"""Methods and headers by which somebody without a key says that they are somebody, or asks for something else."""

from __future__ import annotations

from tests.unit.gateway.raw.requests import EITHER, MALFORMED, REFUSED, Raw, all_of, head, posted

METHODS = (
    "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "MKCOL", "COPY", "MOVE", "LOCK", "SEARCH",
    "PURGE",
    "REPORT", "M-SEARCH", "SUBSCRIBE", "LINK", "BIND", "ACL", "SOURCE", "QUERY",
)  # fmt: skip
NO_METHODS = ("get", "Get", "pOST", "GETT", "FOO", "G ET", "GET\x00", "", "PRI", "DESCRIBE ", "\tGET", "GET:")

OVERRIDES = (
    "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET", "X-HTTP-Method-Override: OPTIONS",
    "X-Original-Method: HEAD",
)  # fmt: skip

ADDRESSES = ("127.0.0.1", "::1", "localhost", "10.0.0.1", "127.0.0.1, 127.0.0.1")
ADDRESS_HEADERS = (
    "X-Forwarded-For", "X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP",
    "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "X-Cluster-Client-IP", "X-Custom-IP-Authorization",
)  # fmt: skip
CLAIMS = (
    "Forwarded: for=127.0.0.1;host=127.0.0.1;proto=https", "Via: 1.1 127.0.0.1", "X-Forwarded-Host: 127.0.0.1",
    "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Forwarded-Scheme: https", "Front-End-Https: on",
    "X-Original-URL: /livez", "X-Rewrite-URL: /livez", "X-Forwarded-Uri: /livez", "X-Forwarded-Path: /livez",
    "X-Forwarded-Prefix: /livez", "X-Original-URI: /livez", "X-Proxy-Url: /livez", "Request-Uri: /livez",
    "X-Accel-Redirect: /prompt", "X-Sendfile: /etc/passwd", "Destination: /livez", "Referer: http://gateway.test/livez",
    "X-Forwarded-User: admin", "X-Remote-User: admin", "Remote-User: admin", "X-User: admin", "X-WebAuth-User: admin",
    "X-Authenticated-User: admin", "X-Forwarded-Email: admin@gateway.test", "X-Auth-Request-User: admin", "From: admin",
    "X-Admin: true", "X-Role: admin", "X-Scope: admin", "X-Internal: 1", "X-Debug: 1", "Comfy-User: admin",
    "X-SSL-Client-Verify: SUCCESS", "X-Client-Cert: admin", "X-Amzn-Oidc-Identity: admin", "Authorization:",
    "X-API-Key:", "Authorization: Bearer", "X-Api-Version: 1", "Connection: Authorization", "Connection: X-API-Key",
    "Connection: close, Host", "Connection: keep-alive, X-Forwarded-For", "TE: trailers", "Expect: 100-continue",
    "Accept: text/event-stream", "Cache-Control: only-if-cached", "If-None-Match: *", "Range: bytes=0-", "DNT: 1",
    "Origin: http://gateway.test", "Origin: null", "Sec-Fetch-Site: same-origin", "Service-Worker: script",
    "Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true", "Purpose: prefetch",
    "Cookie: __Host-comfyui-session=admin", "Cookie: comfyui-session=admin", "Cookie: authenticated=1; admin=true",
)  # fmt: skip

ODD_HOSTS = (
    "Host:", "Host: ", "Host: gateway.test#", "Host: gateway.test/livez", "Host: gateway.test@evil.test",
    "Host: evil.test@gateway.test", "Host: gateway.test, evil.test", "Host: gateway.test:1:2", "Host: gateway.test:x",
    "Host: gateway.test:", "Host: gateway.test.", "Host: .gateway.test", "Host: [::1", "Host: gateway\\.test",
    "Host: -",
    "Host: http://gateway.test", "Host: gateway.test evil.test", "Host: gateway.test\xe9", "Host: *", "Host: %67ateway",
    "Host: [::ffff:127.0.0.1]",
)  # fmt: skip
OTHER_HOSTS = (
    "Host: evil.test", "Host: gateway.test.evil.test", "Host: xgateway.test", "Host: livez", "Host: 169.254.169.254",
    "Host: 0.0.0.0", "Host: localhost.evil.test", "Host: 127.0.0.1.nip.io", "Host: gateway",
)  # fmt: skip

UPGRADES = (
    "Upgrade: h2c", "Upgrade: TLS/1.0", "Upgrade: HTTP/2.0", "Upgrade: websocket, h2c", "Upgrade: h2c, websocket",
    "Upgrade: websocket13", "Upgrade: \x20", "Upgrade: connect-udp",
)  # fmt: skip


def requests(key: str) -> list[Raw]:
    """Return them; `key` lives, and must not count where the host is not ours."""
    named = {f"X-API-Key: {key}", f"Authorization: Bearer {key}"}
    hosts = {f"{host!r} {name[:4]}": head("/queue", name, host=host) for host in ODD_HOSTS for name in sorted(named)}
    others = {f"{host!r} {name[:4]}": head("/queue", name, host=host) for host in OTHER_HOSTS for name in sorted(named)}
    twice = head("/queue", "Host: gateway.test", f"X-API-Key: {key}")
    missing = head("/queue", f"X-API-Key: {key}", host="")
    upgrades = {line: head("/ws", line, "Connection: Upgrade", f"X-API-Key: {key}") for line in UPGRADES[:6]}
    return [
        *_methods(),
        *all_of("header", {line: head("/queue", line) for line in CLAIMS}, REFUSED),
        *all_of("header on POST", {line: posted("/free", "{}", line) for line in CLAIMS}, REFUSED),
        *_addresses(),
        *all_of("host", hosts | {"twice": twice, "none": missing}, MALFORMED),
        *all_of("host", others, {421}),
        *all_of("upgrade", upgrades, MALFORMED),
        *_preflights(),
    ]


def _methods() -> list[Raw]:
    known = {f"{method} {path}": head(path, method=method) for method in METHODS for path in ("/queue", "/livez")}
    del known["HEAD /livez"]
    unknown = {repr(method): head("/queue", method=method) for method in NO_METHODS}
    changed = {
        f"{line} {method}": head(path, line, method=method)
        for line in OVERRIDES
        for method, path in (("POST", "/queue"), ("POST", "/livez"), ("GET", "/prompt"))
    }
    tunnels = {target: head(target, method="CONNECT") for target in ("gateway.test:443", "/queue", "127.0.0.1:8188")}
    return [
        *all_of("method", known, EITHER),
        *all_of("no method", unknown, EITHER),
        *all_of("override", changed, REFUSED),
        *all_of("tunnel", tunnels, MALFORMED, cut=True),
    ]


def _addresses() -> list[Raw]:
    named = {f"{name}: {address}": f"{name}: {address}" for name in ADDRESS_HEADERS for address in ADDRESSES}
    return all_of("address", {name: head("/metrics", line) for name, line in named.items()}, REFUSED)


def _preflights() -> list[Raw]:
    asked = (
        "Origin: https://evil.test",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: x-api-key",
    )
    paths = ("/prompt", "/api/v2/jobs", "/livez", "/login", "*")
    return all_of("preflight", {path: head(path, *asked, method="OPTIONS") for path in paths}, EITHER)
