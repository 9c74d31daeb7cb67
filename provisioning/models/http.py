"""HTTP(S) GET with a Range; redirects are followed, and tokens are sent to their own host only."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

from provisioning.errors import ModelError

USER_AGENT = "comfyui-runpod/0.1 (model downloader)"
STALL_SECONDS = 30.0
"""Seconds without a received byte after which a connection is closed and resumed."""
LIMITED_SECONDS = 60.0
"""Seconds to wait after a 429 without Retry-After."""
LONGEST_WAIT_SECONDS = 900.0
"""Longest single wait that a server may request, in seconds."""


class TransientError(Exception):
    """A failure that may go away with a retry."""


class RateLimitError(TransientError):
    """The server applies a rate limit, with an explicit or assumed wait."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(f"{display_url(url)}: HTTP 429, too many requests")
        self.seconds = seconds
        """Seconds to wait."""


class RangeError(TransientError):
    """The server has no bytes after those that were downloaded."""

    def __init__(self, url: str, total: int) -> None:
        super().__init__(f"{display_url(url)}: HTTP 416")
        self.total = total
        """Size of the server's file; 0 when unknown."""


@dataclass(frozen=True)
class DownloadTokens:
    """Access tokens by host; each is sent to its own host only."""

    by_host: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers(self, url: str) -> dict[str, str]:
        """Return the Authorization header for a URL, if there is a token for its host."""
        token = self.by_host.get(urlsplit(url).hostname or "")
        return {"Authorization": f"Bearer {token}"} if token else {}


@dataclass(frozen=True)
class RangeResponse:
    """An open response, whose body begins at byte `start`."""

    body: IO[bytes]
    start: int
    total: int
    """Size of the whole file; 0 when unknown."""
    tag: str
    """Strong entity tag; empty when there is none."""


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """Drops the token on redirects to another host, and refuses redirects from HTTPS to HTTP."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        follow = super().redirect_request(req, fp, code, msg, headers, newurl)
        if follow is None:
            return None
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise ModelError(f"{display_url(req.full_url)} redirects to an address without TLS, which is refused")
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            follow.remove_header("Authorization")
        return follow


def display_url(url: str) -> str:
    """Return a URL without its query, which may hold a credential."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def get(url: str, tokens: DownloadTokens, start: int = 0, tag: str = "") -> RangeResponse:
    """Open a URL from byte `start` on.

    Args:
        url: Where the file is.
        tokens: Access tokens by host.
        start: First requested byte; the response's `start` is 0 when the server sends the whole file instead.
        tag: Entity tag of the earlier bytes; the server then sends a changed file from its beginning.

    Raises:
        TransientError: A retry may succeed.
        ModelError: A retry cannot succeed; the message contains a remedy.
    """
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, **tokens.headers(url)})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
        if tag:
            request.add_header("If-Range", tag)
    try:
        response = urllib.request.build_opener(_SameHostOnly()).open(request, timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
                raise RangeError(url, int(total.group(1)) if total else 0) from None
            raise _refusal(url, error, bool(tokens.headers(url))) from None
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"{display_url(url)}: {error}") from error
    return _answer(url, response, start)


def _answer(url: str, response: http.client.HTTPResponse, start: int) -> RangeResponse:
    tag = response.headers.get("ETag", "")
    tag = "" if tag.startswith("W/") else tag
    length = int(response.headers.get("Content-Length") or 0)
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise ModelError(f"{display_url(url)}: a web page, not a model; {_address_advice(url)}")
    if response.status != 206:
        return RangeResponse(response, 0, length, tag)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found or int(found.group(1)) != start:
        response.close()
        raise TransientError(f"{display_url(url)}: the server sent another range than requested")
    return RangeResponse(response, start, int(found.group(2)) if found.group(2) != "*" else start + length, tag)


def _address_advice(url: str) -> str:
    if "/blob/" in url:
        return "write /resolve/ in place of /blob/ in its URL"
    return "give the URL of the file itself, and set the host's token (tokens.huggingFace, tokens.civitai) if required"


def _refusal(url: str, error: urllib.error.HTTPError, with_token: bool) -> Exception:  # noqa: FBT001
    code = error.code
    if code == 429:
        return RateLimitError(url, _retry_after(error.headers.get("Retry-After", "")))
    if code in {408, 425} or code >= 500:
        return TransientError(f"{display_url(url)}: HTTP {code}")
    if code in {401, 403}:
        return _denied(url, error, with_token)
    return ModelError(f"{display_url(url)}: HTTP {code}; check the model's URL in the stack file")


def _denied(url: str, error: urllib.error.HTTPError, with_token: bool) -> Exception:  # noqa: FBT001
    if urlsplit(error.url).netloc != urlsplit(url).netloc:
        # The storage host of a redirect: its signed URL is valid for minutes, and the next redirect gives a new one.
        return TransientError(f"{display_url(url)}: HTTP {error.code} from {urlsplit(error.url).hostname}")
    setting = _setting(url)
    if error.headers.get("X-Error-Code") == "GatedRepo":
        page = display_url(url).split("/resolve/")[0]
        what = "with the account of this token" if with_token else f"and set {setting} to a token of that account"
        return ModelError(f"{display_url(url)}: the licence is not accepted yet; accept it at {page} {what}")
    if with_token:
        return ModelError(f"{display_url(url)}: HTTP {error.code}, the access token was rejected; correct {setting}")
    return ModelError(f"{display_url(url)}: HTTP {error.code}, an access token is required; set {setting}")


def _setting(url: str) -> str:
    host = urlsplit(url).hostname or ""
    if host.endswith("huggingface.co"):
        return "tokens.huggingFace"
    return "tokens.civitai" if "civitai" in host else "tokens.huggingFace or tokens.civitai"


def _retry_after(text: str) -> float:
    seconds = float(text) if text.isdigit() else LIMITED_SECONDS
    return min(max(seconds, 1.0), LONGEST_WAIT_SECONDS)
