"""Credentials that were never any, are none any more, or stand where none counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from provisioning.gateway.accounts import key_format
from tests.unit.gateway.conftest import PEPPER, UNKNOWN_KEY
from tests.unit.gateway.raw.material import Material
from tests.unit.gateway.raw.requests import EITHER, MALFORMED, Raw, all_of, head, posted

NAMES = (
    "Api-Key", "ApiKey", "X_API_KEY", "X-Api_Key", "X-API-Key2", "X-Auth-Token", "X-Access-Token", "X-Token", "Token",
    "Key", "Auth", "Authorisation", "X-Authorization", "X-Forwarded-Authorization", "Proxy-Authorization", "Api_Key",
    "X-Original-Authorization", "HTTP_AUTHORIZATION", "Authorization2", "X-Gateway-Key", "X-Comfy-Api-Key",
    "User-Agent",
    "Sec-WebSocket-Protocol", "Referer", "From", "Idempotency-Key", "X-Runpod-Authorization", "Cookie2",
    "WWW-Authenticate",
)  # fmt: skip
"""Headers that are not read, whatever is in them."""

SCHEMES = (
    "{key}", "Basic {key}", "Token {key}", "Bearer  {key}", "Bearer\t{key}", "Bearer{key}", "Bearer:{key}",
    "Bearer={key}",
    "Bearer {key} x", "Bearer {key}, Bearer {key}", 'Bearer "{key}"', "Bearer {key}\x0b", "Bearer \xa0{key}",
    "Bearer,{key}",
    "Bearer token={key}", "ApiKey {key}", "Key {key}", "Digest username={key}", "Negotiate {key}",
    "AWS4-HMAC-SHA256 {key}",
    "Bearer Bearer {key}", "Basic Bearer {key}", "null {key}", "Bearer {key};", "Bearer {key}'", "Bearer %20{key}",
)  # fmt: skip

SPOILT: Mapping[str, Callable[[str], str]] = {
    "typing error": lambda key: key[:-7] + ("1" if key[-7] != "1" else "2") + key[-6:],
    "cut by one": lambda key: key[:-1], "cut to its id": lambda key: key[:17], "prefix alone": lambda key: key[:9],
    "longer by one": lambda key: key + "0", "with a suffix": lambda key: key + "-admin",
    "padded": lambda key: key + "=",
    "lower case": lambda key: key.lower(), "upper case": lambda key: key.upper(), "backwards": lambda key: key[::-1],
    "doubled": lambda key: key + key, "of another environment": lambda key: key.replace("_live_", "_test_"),
    "right sum, other secret": lambda key: _summed(key[:17] + "0" * 32),
    "right sum, secret cut": lambda key: _summed(key[:-7]), "wildcard": lambda key: key[:17] + "*",
    "sql": lambda key: key[:17] + "' OR '1'='1", "null": lambda _: "null", "star": lambda _: "*",
    "empty pair": lambda _: "{}",
    "undefined": lambda _: "undefined", "admin": lambda _: "admin", "pepper": lambda _: PEPPER, "zero": lambda _: "0",
    "unknown": lambda _: UNKNOWN_KEY, "made elsewhere": lambda _: key_format.mint(), "like": lambda key: key[:17] + "%",
    "a stranger's id": lambda key: key_format.mint(key[9:17]), "escaped": lambda key: quote(key).replace("_", "%5f"),
}  # fmt: skip
"""What can become of a key that lives."""


def _summed(body: str) -> str:
    return body + key_format.checksum(body)


def requests(material: Material) -> list[Raw]:
    """Return each of them where it would be read, and what lives where it must not be."""
    key = material.key
    spoilt = {name: spoil(key) for name, spoil in SPOILT.items()} | material.dead
    bearers = {
        name: head("/queue", f"Authorization: Bearer {token}") for name, token in (spoilt | material.tokens).items()
    }
    single = {name: head("/metrics", f"X-API-Key: {token}") for name, token in (spoilt | material.tokens).items()}
    placed = {name: head("/queue", f"{name}: {value}") for name in NAMES for value in (key,)}
    placed |= {f"{name} as bearer": head("/prompt", f"{name}: Bearer {key}") for name in NAMES}
    schemes = {form: head("/queue", f"Authorization: {form.format(key=key)}") for form in SCHEMES}
    return [
        *all_of("bearer", bearers, EITHER),
        *all_of("X-API-Key", single, EITHER),
        *all_of("unread header", placed),
        *all_of("scheme", schemes, EITHER),
        *all_of("ticket", {name: head(f"/queue?ticket={text}") for name, text in material.tickets.items()}),
        *all_of(
            "ticket posted", {name: posted(f"/queue?ticket={text}", "{}") for name, text in material.tickets.items()}
        ),
        *all_of("signed", {name: head(url) for name, url in material.signed.items()}, EITHER),
        *all_of(
            "cookie",
            {
                f"{name} {path}": head(path, f"Cookie: {text}")
                for name, text in material.cookies.items()
                for path in ("/queue", "/api/gateway/keys", "/metrics")
            },
        ),
        *_pages(material),
        *_several(key),
        *_addresses(key),
    ]


def _pages(material: Material) -> list[Raw]:
    """Return requests for pages with cookies that are none."""
    dead = {name: text for name, text in material.cookies.items() if name != "alive"}
    alive = f"Cookie: {material.cookies['alive']}"
    foreign = {
        "cross-site": head("/docs", alive, "Sec-Fetch-Site: cross-site"), "same-site": head("/docs", alive,
        "Sec-Fetch-Site: same-site"),
        "logout without an origin": posted("/logout", "", alive), "logout of another's": posted("/logout", "", alive,
        "Origin: https://evil.test"),
        "logout of null": posted("/logout", "", alive, "Origin: null"),
        "prompt of another's": posted("/comfy/api/prompt", "{}", alive, "Origin: https://evil.test"),
        "prompt without an origin": posted("/comfy/api/prompt", "{}", alive),
    }  # fmt: skip
    return [
        *all_of(
            "page",
            {
                f"{name} {path}": head(path, f"Cookie: {text}")
                for name, text in dead.items()
                for path in ("/docs", "/comfy/")
            },
        ),
        *all_of("page from elsewhere", foreign, {403}),
    ]


def _several(key: str) -> list[Raw]:
    """Return requests with more than one credential, of which two readers could believe different ones."""
    bearer, own = f"Authorization: Bearer {key}", f"X-API-Key: {key}"
    named = {
        "the same twice": (bearer, bearer), "both headers": (bearer, own), "good, then bad": (bearer,
        "Authorization: Bearer x"),
        "bad, then good": ("X-API-Key: x", bearer), "good, then empty": (own, "Authorization:"), "two keys": (own, own),
        "two cases": (bearer, f"AUTHORIZATION: bearer {key}"),
        "basic, then good": ("Authorization: Basic eDp5", bearer),
    }  # fmt: skip
    ticketed = head("/queue?ticket=cgt_x", bearer)
    return all_of(
        "several", {**{name: head("/queue", *lines) for name, lines in named.items()}, "ticket": ticketed}, MALFORMED
    )


def _addresses(key: str) -> list[Raw]:
    """Return requests with a key in their address, with and without one in a header."""
    names = (
        "token",
        "key",
        "api_key",
        "apikey",
        "api-key",
        "x-api-key",
        "access_token",
        "authorization",
        "TOKEN",
        "q",
        "ticket",
        "code",
    )
    targets = {name: f"/queue?{name}={key}" for name in names} | {
        "escaped": f"/queue?a={key.replace('_', '%5f')}", "bearer": f"/queue?a=Bearer%20{key}",
        "second": f"/queue?a=b&c={key}",
    }  # fmt: skip
    own = f"X-API-Key: {key}"
    paths = {"path": f"/queue/{key}", "user": f"/{key}@queue", "front": f"/{key}/queue"}
    return [
        *all_of("key in the query", {name: head(target) for name, target in targets.items()}, MALFORMED),
        *all_of("key in the query and right", {name: head(target, own) for name, target in targets.items()}, MALFORMED),
        *all_of("key in the path", {name: head(target) for name, target in paths.items()}),
    ]
