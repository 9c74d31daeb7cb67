"""Dodges of the path: each aims at something behind the door past something in front of it."""

from __future__ import annotations

from tests.unit.gateway.raw.requests import EITHER, MALFORMED, REFUSED, Raw, head

AIMS = ("prompt", "queue", "metrics", "docs", "api/gateway/keys", "api/v2/jobs", "comfy/api/userdata")
"""Of each kind one: ComfyUI's, the gateway's own, the operator's, pages, and what no table has."""

IN_FRONT = ("livez", "readyz", "login", "errors", "docs", "comfy", "api", "x")

NOT_PLAIN = (
    "//{aim}", "///{aim}", "/./{aim}", "/../{aim}", "/x/../{aim}", "/{aim}/..", "/{aim}/.", "/{aim}/../{aim}",
    "/%2e/{aim}", "/%2e%2e/{aim}", "/.%2e/{aim}", "/%2E%2E/{aim}", "/x%2f..%2f{aim}", "/x%2F..%2F{aim}", "/%2f{aim}",
    "/%5c{aim}", "/x%5c..%5c{aim}", "/x\\..\\{aim}", "/\\{aim}", "/{aim}%00", "/%00/{aim}", "/{aim}%0d%0aX:%20y",
    "/{aim}%0a", "/{aim}%09", "/{aim}%7f", "/%252e%252e/{aim}", "/x%252f..%252f{aim}", "/{aim}%25", "/{aim}%3f",
    "/{aim}%23", "/{aim}%3b", "/;/{aim}", "/x;/{aim}", "/x/..;/{aim}", "/{aim};a=b", "/{aim};.json",
    "/%c0%af{aim}", "/..%c0%af{aim}", "/%c0%ae%c0%ae/{aim}", "/%e0%80%af{aim}", "/%f0%80%80%af{aim}", "/%ff/{aim}",
    "/{aim}%ff", "/%ed%a0%80/{aim}", "/%u002f{aim}", "/%%32%66{aim}", "/%2/{aim}", "/{aim}%", "/{aim}%zz", "/{aim}|",
    "/{aim}^", "/{{aim}}/{aim}", "/<{aim}>", '/"{aim}"', "/`{aim}`", "/api//{aim}", "/api/../{aim}", "/api/./{aim}",
    "/api/%2e%2e/{aim}", "/api%2f{aim}", "/comfy//{aim}", "/comfy/api/../../{aim}",
)  # fmt: skip
"""Paths with more than one reading."""

PLAIN = (
    "/{aim}", "/{aim}/", "/{aim}.", "/{aim}.json", "/{aim}.html", "/{aim}~", "/{aim}*", "/{aim},", "/{aim}:80",
    "/{aim}@gateway.test", "/@{aim}", "/{aim}%20", "/%20{aim}", "/{AIM}", "/{escaped}", "/%ef%bc%8f{aim}",
    "/%e2%80%ae{aim}", "/{aim}%c2%a0", "/v1/{aim}", "/api/api/{aim}", "/comfy/{aim}", "/internal/{aim}",
    "/{aim}?a=/livez", "/{aim}?/../livez", "/{aim}?livez", "/{aim}??", "/{aim}?%00", "/{aim}?a=1&a=2", "/{aim}?{aim}",
    "/{aim}?_method=GET", "/{aim}?path=/livez",
)  # fmt: skip
"""Paths with one reading, which is not a door."""

NO_TARGETS = (
    "http://gateway.test/{aim}", "HTTP://gateway.test/{aim}", "https://gateway.test/{aim}", "http://livez/{aim}",
    "http://127.0.0.1/{aim}", "ws://gateway.test/{aim}", "file:///{aim}", "gopher://x/{aim}", "http:/{aim}",
    "http:{aim}",
    "{aim}", "?/{aim}", "#/{aim}", "*", "*/{aim}", "gateway.test/{aim}", "gateway.test:443", "@gateway.test/{aim}",
    "/{aim} /livez", "/{aim}\t/livez", "/{aim}\x00", "/\x80{aim}", "/\xc0\xaf{aim}", "/{aim}\x0b", "/{aim}\x7f",
    "/livez /{aim}", "/{aim}\rX: y", "/{aim}#/livez", "/{aim}#", "/{aim}\x1f",
)  # fmt: skip
"""What is no target at all, or has more than one reading."""


def requests() -> list[Raw]:
    """Return every dodge with several aims."""
    tried: dict[str, Raw] = {}
    for forms, statuses, aims in (
        (NOT_PLAIN, MALFORMED, AIMS[:3]), (PLAIN, EITHER, AIMS[1:4]), (NO_TARGETS, EITHER, AIMS[1:3]),
    ):  # fmt: skip
        for form in forms:
            for aim in aims:
                _add(tried, _filled(form, aim), statuses)
    for front in IN_FRONT:
        for aim in AIMS:
            for form in ("/{front}/../{aim}", "/{front}%2f..%2f{aim}", "/{front};/../{aim}"):
                _add(tried, form.format(front=front, aim=aim), MALFORMED)
    # Longer than every public path, so that a comparison of beginnings would let it in.
    for target in (
        "/livez/",
        "/livezx",
        "/livez.",
        "/readyz/prompt",
        "/login/x",
        "/login.html",
        "/api/livez",
        "/LIVEZ",
    ):
        _add(tried, target, REFUSED)
    return list(tried.values())


def _filled(form: str, aim: str) -> str:
    escaped = "".join(f"%{ord(character):02x}" if character.isalpha() else character for character in aim)
    words = {"{aim}": aim, "{AIM}": aim.upper(), "{escaped}": escaped}
    for word, value in words.items():
        form = form.replace(word, value)
    return form


def _add(tried: dict[str, Raw], target: str, statuses: frozenset[int]) -> None:
    for method in ("GET", "POST"):
        tried.setdefault(f"{method} {target}", Raw(f"path: {method} {target!r}", head(target, method=method), statuses))
