"""ComfyUI's WebSocket protocol, served by the gateway."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from starlette.responses import Response

from provisioning.gateway.core.http.operation import Answer, CredentialPolicy, Operation, Parameter, Tag
from provisioning.gateway.core.http.request import GatewayRequest, GatewaySocket
from provisioning.gateway.core.http.socket_route import SocketOperation
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.events.open_streams import STREAMING, Check, OpenStreams
from provisioning.gateway.events.socket_hub import Hub, Listener
from provisioning.gateway.events.sockets import Socket
from provisioning.gateway.events.subscription import DRAINING
from provisioning.gateway.jobs.job_factory import CLIENT_ID
from provisioning.gateway.upstream import messages


class NativeSocketRoutes:
    """Sends callers ComfyUI's messages about their jobs."""

    def __init__(self, streams: OpenStreams, hub: Hub, queue_length: Callable[[Listener], int]) -> None:
        """`queue_length`: returns the number of unfinished jobs that a listener may see."""
        self._streams = streams
        self._hub = hub
        self._queue_length = queue_length

    @Operation(
        method="GET",
        path="/ws",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Open the WebSocket",
        text="ComfyUI's messages about the caller's own jobs: `status`, `execution_start`, `executing`, `progress`, "
        "`executed`, previews, and images that nodes send instead of saving them. Only previews are skipped for a slow "
        "reader. The gateway closes the socket with 1008 when the key ends, and with 1013 when the reader is 64 MiB "
        "or 512 messages behind.",
        parameters=(
            Parameter("clientId", "Selects jobs with this `client_id`, in addition to jobs without one.", "my-bot"),
        ),
        answers=(Answer("The connection becomes a WebSocket.", status=101, media=None),),
        problems=(Code.UPGRADE_REQUIRED, Code.ORIGIN_NOT_ALLOWED, *STREAMING),
        lasting=True,
        native=True,
    )
    async def refuse(self, request: GatewayRequest) -> Response:  # noqa: ARG002 - the form of a handler
        """Refuse a request that does not ask for a WebSocket; raises Problem."""
        raise Problem(Code.UPGRADE_REQUIRED)

    @SocketOperation(path="/ws", also=("/api/ws",))
    async def serve(self, request: GatewaySocket, socket: Socket, check: Check) -> None:
        """Send the messages about the caller's jobs; raises Problem before the socket is accepted."""
        label = request.query.get("clientId", "")
        listener = Listener(request.who, label if CLIENT_ID.fullmatch(label) else uuid.uuid4().hex)

        def receive(text: str) -> None:
            name, data = messages.read_event(text)
            if name == "feature_flags":
                listener.previews_with_metadata = data.get("supports_preview_metadata") is True

        async def write() -> str:
            while (message := await listener.next()) is not None:
                await socket.send(message)
            return listener.reason or DRAINING

        with self._streams.registered(request.who, check, listener.end), self._hub.joined(listener):
            await socket.accept()
            listener.put(messages.status_event(self._queue_length(listener), listener.client_id))
            await socket.run(write(), receive)

    @SocketOperation(path="/comfy/ws", scope=Scope.ADMIN, credentials=CredentialPolicy(web=True))
    async def serve_editor(self, request: GatewaySocket, socket: Socket, check: Check) -> None:
        """Serve the same WebSocket to the editor's page."""
        await self.serve(request, socket, check)
