"""`python -m provisioning.push`: reads a PushRequest from standard input and installs it on the pod.

Standard output is the result, one JSON object; standard error is the progress. Exit status: 0 when ComfyUI and the
gateway answer on the pod, 1 when they do not, 2 when the request cannot be parsed, 130 when interrupted. If this client
is killed, the installer continues on the pod, and the next push follows it.
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
    parser.add_argument("--bundle-hash", action="store_true", help="print the hash of the bundle and exit")
    parser.add_argument(
        "--timeout", type=float, default=PushTimeouts.stalled, help="seconds without progress before it fails"
    )
    parser.add_argument(
        "--unreachable", type=float, default=PushTimeouts.unreachable, help="seconds without SSH before it fails"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read_request() -> PushRequest | None:
    try:
        return PushRequest.from_json(sys.stdin.read())
    except (ValueError, KeyError, TypeError) as error:
        # Only the error's type: its message could quote the request, which contains secrets.
        _say(f"push: standard input is not a valid request ({type(error).__name__})")
        return None


def remedy(fault: str) -> str:
    """Return a remedy when a tool on the pod reported a full disk; empty otherwise."""
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
        _say("push: interrupted; the installer continues on the pod, run the command again to follow it")
        return 130
    print(json.dumps(result, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
