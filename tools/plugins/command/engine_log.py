"""Lines for the person who watches the engine."""

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """Sends lines to the engine; a line that cannot be sent is dropped, for the work matters more."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._engine = engine_pb2_grpc.EngineStub(channel)

    def line(self, text: str, urn: str = "") -> None:
        """Show one line: beside its resource while that is worked on, or as a message of its own without `urn`."""
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=bool(urn))
        try:
            self._engine.Log(request, timeout=5)
        except grpc.RpcError:
            return
