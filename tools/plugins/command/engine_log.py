"""Messages to the engine's output."""

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class CommandLog:
    """Sends lines to the engine; a failure to send is ignored."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._engine = engine_pb2_grpc.EngineStub(channel)

    def line(self, text: str, urn: str = "") -> None:
        """Show one line: beside its resource, or as a separate message without `urn`."""
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=bool(urn))
        try:
            self._engine.Log(request, timeout=5)
        except grpc.RpcError:
            return
