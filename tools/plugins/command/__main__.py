"""Entry point of the stand-in, as the engine starts a plugin: `pulumi-resource-command <engine address>`."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from components.runpod.plugin.process.parent_watch import ParentWatch
from tools.plugins.command.engine_log import CommandLog
from tools.plugins.command.servicer import CommandServicer

VERSION = "1.2.1"
ABOUT = f"Using the built-in stand-in for pulumi-command {VERSION} (supports command:local:Command only)."
_LARGE = 400 * 1024 * 1024  # the engine's own limit for one message
_OPTIONS = [("grpc.max_receive_message_length", _LARGE), ("grpc.max_send_message_length", _LARGE)]


def main() -> None:
    """Serve until the engine ends; the port is the first line of standard output, as the engine expects."""
    parser = argparse.ArgumentParser(prog="pulumi-resource-command", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"{VERSION} (stand-in)")
    parser.add_argument("engine", help="address of the engine's gRPC service")
    address = parser.parse_known_args()[0].engine
    server = grpc.server(ThreadPoolExecutor(max_workers=64), options=_OPTIONS)
    servicer = CommandServicer(CommandLog(grpc.insecure_channel(address, options=_OPTIONS)), VERSION, ABOUT)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # The guard of every running command detects the closed pipe and ends its process group.
    ParentWatch(os.getppid()).watch()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
