"""The bundle that is uploaded to a pod: this package without the operator's side, in a reproducible archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

OURS_ALONE = ("ssh", "comfyui", "push.py", "boot.sh")
"""Not uploaded: the SSH client, the lock that is in the plan, and the script that is in the environment."""


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file, in a fixed order."""
    for path in sorted(PACKAGE.rglob("*")):
        relative = path.relative_to(PACKAGE)
        hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
        if path.is_file() and not hidden and relative.parts[0] not in OURS_ALONE:
            yield f"{PACKAGE.name}/{relative.as_posix()}", path.read_bytes()


def digest() -> str:
    """Return the SHA-256 of names and contents: 64 hexadecimal digits, equal on every machine."""
    total = hashlib.sha256()
    for name, content in files():
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def pack() -> bytes:
    """Return the bundle as a compressed tar file."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
