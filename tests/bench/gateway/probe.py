"""A health probe of its own process, so that what loads the gateway does not slow down what times it.

`python -m tests.bench.gateway.probe PORT SECONDS` prints a JSON list of seconds that `/livez` took, each on a new
connection, as RunPod's probes come.
"""

from __future__ import annotations

import json
import socket
import sys
import time

PAUSE_SECONDS = 0.02
REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def probe(port: int) -> float:
    """Return how long one answer took; raises RuntimeError for any but 200."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode("latin-1"))
    return time.perf_counter() - began


def main(port: int, seconds: float) -> None:
    """Probe for so long."""
    end, took = time.monotonic() + seconds, []
    while time.monotonic() < end:
        took.append(probe(port))
        time.sleep(PAUSE_SECONDS)
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
