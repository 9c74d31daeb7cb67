"""`python -m provisioning.push`: reads a PushRequest from standard input and brings that pod to it.

Standard output carries the result, one JSON object; standard error carries lines for people. Exit status: 0 when
ComfyUI and the gateway answer on the pod, 1 when they do not, 2 when the request cannot be read, 130 when interrupted.
Killed at any moment, the installer goes on by itself, and the next push follows it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys

from provisioning import contract
from provisioning.contract import PushRequest, bundle
from provisioning.errors import ProvisioningError
from provisioning.host.files import FULL
from provisioning.ssh.console import Console
from provisioning.ssh.pusher import Pusher, PushTimeouts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m provisioning.push", description=__doc__)
    parser.add_argument("--bundle-hash", action="store_true", help="print the hash of what would be uploaded, and end")
    parser.add_argument(
        "--timeout", type=float, default=PushTimeouts.stalled, help="bound without progress, in seconds"
    )
    parser.add_argument(
        "--unreachable", type=float, default=PushTimeouts.unreachable, help="bound without SSH, in seconds"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read_request() -> PushRequest | None:
    try:
        return PushRequest.from_json(sys.stdin.read())
    except (ValueError, KeyError, TypeError) as error:
        # The kind of error alone: its text could quote the request, which holds secrets.
        _say(f"push: standard input is not a request ({type(error).__name__})")
        return None


def remedy(fault: str) -> str:
    """Return what to change when a tool on the pod only said that a disk is full; empty otherwise."""
    if not any(os.strerror(number) in fault for number in FULL):
        return ""
    where = f"volume.sizeGb (for paths below {contract.VOLUME_MOUNT}) or pod.diskGb"
    return f"\nThe disk is full: raise {where} in the stack file"


def main() -> int:
    """Return the exit status."""
    arguments = _arguments()
    if arguments.bundle_hash:
        print(bundle.digest())
        return 0
    request = _read_request()
    if request is None:
        return 2
    bounds = PushTimeouts(arguments.timeout, arguments.unreachable)
    try:
        result = asyncio.run(Pusher(request, Console(_say), bounds).push())
    except ProvisioningError as error:
        _say(f"push: {error}{remedy(str(error))}")
        return 1
    except KeyboardInterrupt:
        _say("push: interrupted; the installer goes on, run the command again to follow it")
        return 130
    print(json.dumps(result, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
