"""The SDK's gRPC server with readable errors, partial state, and cancellation."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from components.runpod.api.errors import RunPodError
from components.runpod.plugin.base.property_codec import encode
from components.runpod.plugin.base.resource import NotReadyError, token_of
from components.runpod.plugin.process.provider import RunPodProvider
from components.runpod.plugin.resources.registry import HANDLERS

VERSION = "0.1.0"

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""The largest message that the server receives, as Pulumi's own servers do; gRPC's default is 4 MiB."""

Answer = TypeVar("Answer")
Context = grpc.aio.ServicerContext[Any, Any]


class Servicer(ProviderServicer):
    """Serves all engine requests."""

    def __init__(self, provider: RunPodProvider, engine: str) -> None:
        super().__init__([engine], VERSION, provider, engine)
        self._runpod = provider

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """End all waits; the interrupted calls report the existing resources to the engine."""
        self._runpod.stop.request()
        return empty_pb2.Empty()

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Call a function."""
        return await _translate_errors(super().Invoke(request, context), context)

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Check inputs."""
        return await _translate_errors(super().Check(request, context), context)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Compare."""
        return await _translate_errors(super().Diff(request, context), context)

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Create."""
        return await _translate_errors(super().Create(request, context), context, request.urn)  # type: ignore[no-untyped-call]

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Read."""
        return await _translate_errors(super().Read(request, context), context)  # type: ignore[no-untyped-call]

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Update."""
        return await _translate_errors(super().Update(request, context), context, request.urn)  # type: ignore[no-untyped-call]

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> Any:  # noqa: ANN401, N802
        """Delete."""
        return await _translate_errors(super().Delete(request, context), context)  # type: ignore[no-untyped-call]


async def serve(provider: RunPodProvider, engine: str) -> None:
    """Serve until the engine ends the process; the port goes to standard output, as the engine expects."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider, engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


async def _translate_errors(work: Awaitable[Answer], context: Context, urn: str = "") -> Answer:
    """Await the work, and convert its errors to gRPC errors."""
    try:
        return await work
    except NotReadyError as error:
        await context.abort_with_status(_partial(error, urn))
    except RunPodError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold an input and so a secret
        await context.abort(grpc.StatusCode.INTERNAL, f"internal error in the runpod provider: {_where(error)}")
    raise AssertionError("abort raises")


def _partial(error: NotReadyError, urn: str) -> Any:  # noqa: ANN401 - a status in the form grpc wants
    """Return the gRPC status with which the engine records a partially created resource."""
    kind = HANDLERS[token_of(urn)]
    inputs = {name: value for name, value in error.outputs.items() if name in kind.defaults}
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=PropertyValue.marshal_map(encode(error.outputs, kind.secrets)),
        inputs=PropertyValue.marshal_map(encode(inputs, kind.secrets)),
        reasons=[str(error)],
    )
    message = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    message.details.add().Pack(detail)
    status = grpc.Status()
    status.code = grpc.StatusCode.UNKNOWN
    status.details = str(error)
    status.trailing_metadata = (("grpc-status-details-bin", message.SerializeToString()),)
    return status


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno} in {frame.name}"
