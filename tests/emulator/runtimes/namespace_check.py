"""Whether this machine can run the `namespace` runtime: a trial that leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

_TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}

_SCRIPT = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /tmp
mkdir /tmp/upper /tmp/work /tmp/root
mount -t overlay overlay -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work /tmp/root
ip link add crp0 type veth peer name crp1
nft -f - <<'RULES'
table inet crp_trial {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname != "crp*" masquerade
  }
  chain forward {
    type filter hook forward priority -10;
    ct state established accept
  }
}
RULES
"""

TRIAL = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", _SCRIPT]
"""Does in namespaces of its own what a pod needs; everything is gone with the shell."""


def why_not(trial: Sequence[str] = TRIAL) -> str | None:
    """Return why pods cannot be namespaces here, or None when they can."""
    if sys.platform != "linux":
        return "namespaces need Linux"
    if os.geteuid() != 0:
        return "namespaces need root: run it with sudo"
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"tools are missing: install {', '.join(missing)}"
    return _try(trial)


def _try(trial: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "a trial of namespaces, overlay and packet filter did not end within 20 s"
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"a trial of namespaces, overlay and packet filter failed: {said[-1]}"
