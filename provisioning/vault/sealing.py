"""`python -m provisioning.vault.sealing seal|open`: AES-GCM with a key derived from the volume key.

Standard input is one JSON object with `key` and `text`; standard output is the result. It runs with the gateway's
Python, which has `cryptography`, unlike the system's Python that calls it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from provisioning.errors import InstallError
from provisioning.host.environ import SYSTEM_PATH

NONCE_BYTES = 12
LIMIT_SECONDS = 120.0
_PURPOSE = b"comfyui-runpod services.sealed"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def run(python: Path, action: str, key: str, text: str) -> str:
    """Seal or open a text with another interpreter; raises InstallError when it cannot be opened."""
    done = subprocess.run(
        [str(python), "-m", "provisioning.vault.sealing", action],
        input=json.dumps({"key": key, "text": text}), capture_output=True, text=True, check=False,
        timeout=LIMIT_SECONDS, cwd=_PACKAGE_PARENT,
        env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode:
        raise InstallError(f"secrets on the volume cannot be processed ({action}): {done.stderr.strip()[-400:]}")
    return done.stdout


def _seal(key: str, text: str) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, text.encode(), _PURPOSE)).decode()


def _open(key: str, text: str) -> str:
    data = base64.b64decode(text)
    plain: bytes = _cipher(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _PURPOSE)
    return plain.decode()


def _cipher(key: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (only the gateway's Python has the package of its type)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return AESGCM(HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key.encode()))


def main() -> int:
    """Seal or open the text from standard input; return 1 when the key is wrong."""
    given = json.loads(sys.stdin.read())
    try:
        sys.stdout.write({"seal": _seal, "open": _open}[sys.argv[1]](given["key"], given["text"]))
    except Exception as error:  # noqa: BLE001  (only the type: the message could quote the input)
        sys.stderr.write(f"{type(error).__name__}: sealed with another key, or damaged\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
