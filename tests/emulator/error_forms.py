"""The error bodies of RunPod and of the network in front of it, for calls that a fault rule fails."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from tests.emulator.problems import SOMETHING_WENT_WRONG, USUAL, USUAL_ERRORS, problem

FORMS = ("problem", "error", "objects", "html", "text", "empty")
"""RFC 9457; `{"error": ...}`; RFC 9457 with errors that are objects; a web page; plain text; nothing."""
EDGE = {
    408: "Request Timeout",
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
    527: "Railgun Listener to origin error",
    530: "The origin has been unregistered from Argo Tunnel",
}
"""Answers of Cloudflare, which stands in front of RunPod and does not know the result of the call."""
PAGE = "<!DOCTYPE html><html><head><title>api.runpod.io | {status}: {words}</title></head><body>{words}</body></html>"


def answer(status: int, form: str = "") -> web.Response:
    """Return an error of a form; without one, a page for Cloudflare's own statuses and RFC 9457 for all others."""
    words = words_of(status)
    match form or ("html" if status in EDGE else "problem"):
        case "error":
            return web.json_response({"error": words, "status": status}, status=status)
        case "objects":
            return objects(status, words)
        case "html":
            return web.Response(text=PAGE.format(status=status, words=words), status=status, content_type="text/html")
        case "text":
            return web.Response(text=f"error code: {status}", status=status)
        case "empty":
            return web.Response(status=status)
    return problem(status, words, USUAL_ERRORS.get(status))


def objects(status: int, words: str) -> web.Response:
    """Return a problem whose errors are objects, not texts."""
    body: dict[str, Any] = {"title": title_of(status), "status": status, "detail": words}
    body["errors"] = [{"path": "$", "message": words, "code": "invalid"}]
    return web.json_response(body, status=status, content_type="application/problem+json")


def words_of(status: int) -> str:
    """Return what is said most often with a status."""
    return EDGE.get(status) or USUAL.get(status, SOMETHING_WENT_WRONG)


def title_of(status: int) -> str:
    """Return a status's name; Cloudflare's own have none in the standard."""
    known = {item.value: item.phrase for item in HTTPStatus}
    return known.get(status) or EDGE.get(status, "Unknown")
