"""RunPod's side of a test: the emulator's control plane, asked directly and never through the product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests


@dataclass(frozen=True)
class Account:
    """What the emulator on a port really holds."""

    port: int

    def tell(self, path: str, body: object) -> None:
        requests.post(f"http://127.0.0.1:{self.port}/_emulator/{path}", json=body, timeout=60).raise_for_status()

    def ask(self, path: str) -> Any:  # noqa: ANN401  (JSON)
        return requests.get(f"http://127.0.0.1:{self.port}/_emulator/{path}", timeout=60).json()

    def pods(self) -> list[dict[str, Any]]:
        return list(self.ask("pods")["pods"])

    def holds(self) -> list[str]:
        """Return the ids of all that exists and bills, of every account."""
        found = self.ask("pods")
        return sorted(thing["id"] for kind in ("pods", "volumes") for thing in found[kind])

    def made(self, what: str) -> int:
        """Return how many creations of `pods` or `network-volumes` had an effect since the requests were forgotten."""
        calls = (call for call in self.ask("requests") if (call["method"], call["path"]) == ("POST", f"/v2/{what}"))
        return sum(1 for call in calls if call.get("status") == 201)

    def forget_requests(self) -> None:
        requests.delete(f"http://127.0.0.1:{self.port}/_emulator/requests", timeout=60).raise_for_status()

    def conditions(self, **changes: object) -> None:
        self.tell("conditions", changes)


def wait_until(happened: Callable[[], bool], what: str, seconds: float = 240) -> None:
    """Wait for something outside of this process; AssertionError names it when it does not come."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)
