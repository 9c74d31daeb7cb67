"""The operation that signs URLs of files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import parse_qsl, urlsplit

from provisioning.gateway.auth.schemas import NewSignedUrl, SignedUrl
from provisioning.gateway.auth.signed_urls import UrlSigner
from provisioning.gateway.core.http.operation import Answer, Body, Operation, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.request_checks import decoded_path
from provisioning.gateway.core.http.schemas import timestamp
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.scopes import Scope

FILE = "/api/v2/assets/5f1f0a52-1d2a-4f0c-8c52-9f0c3f7b2a11/content"
SIGNED = {"url": f"{FILE}?by=4fPq9sZ1&expires=1795338000&signature=AbC", "expires_at": "2026-11-22T08:05:00Z"}


class SignedUrlRoutes:
    """Signs URLs of files for callers."""

    def __init__(self, signer: UrlSigner, hosts: Collection[str], takes_signatures: Callable[[str], bool]) -> None:
        """`hosts`: host names of this gateway; `takes_signatures`: whether a signed URL may open a path."""
        self._signer = signer
        self._hosts = frozenset(hosts)
        self._takes_signatures = takes_signatures

    @Operation(
        method="POST",
        path="/api/gateway/signed-urls",
        access=Scope.READ,
        tag=Tag.ACCESS,
        summary="Sign a file's URL",
        text="For `<img>` and for sharing an image. The URL expires early when the key that signed it ends.",
        body=Body(NewSignedUrl, {"url": FILE, "seconds": 300}, invalid=Code.INVALID_REQUEST),
        answers=(Answer("A URL that opens the file without a key, for at most an hour.", SignedUrl, SIGNED, 201),),
    )
    async def create(self, request: GatewayRequest, body: NewSignedUrl) -> SignedUrl:
        """Sign the URL of a file."""
        parts = urlsplit(body.url)
        path, pairs = decoded_path(parts.path), parse_qsl(parts.query, keep_blank_values=True)
        base = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        ours = not base or parts.netloc.lower() in self._hosts | {request.header("host")}
        if not ours or not self._takes_signatures(path) or len(dict(pairs)) != len(pairs):
            message = (
                "url: must be a file of this gateway, such as /api/v2/assets/{id}/content or /view?filename=..., "
                "with each parameter once."
            )
            raise Problem(Code.INVALID_REQUEST, message, members=fault("/url", "not the URL of a file"))
        signed, expires_at = self._signer.sign(request.who, path, dict(pairs), body.seconds)
        return SignedUrl(url=base + signed, expires_at=timestamp(expires_at))
