"""Messages that `pulumi up` shows beside a resource."""

from __future__ import annotations

from contextvars import ContextVar

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

CURRENT_URN: ContextVar[str] = ContextVar("current_urn", default="")
"""URN of the resource that the current thread works on."""


class EngineLog:
    """Sends messages to the engine; a failure to send is ignored."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def info(self, text: str) -> None:
        """Show a line that stays in the output."""
        self._send(engine_pb2.INFO, text, ephemeral=False)

    def status(self, text: str) -> None:
        """Show what is being waited for, until the next line."""
        self._send(engine_pb2.INFO, text, ephemeral=True)

    def warning(self, text: str) -> None:
        """Show a warning."""
        self._send(engine_pb2.WARNING, text, ephemeral=False)

    def _send(self, severity: engine_pb2.LogSeverity.ValueType, text: str, *, ephemeral: bool) -> None:
        request = engine_pb2.LogRequest(
            severity=severity, message=text, urn=CURRENT_URN.get(), streamId=0, ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=2.0)
        except grpc.RpcError:
            return
