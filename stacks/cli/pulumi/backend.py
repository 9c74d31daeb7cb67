"""The backend of the state, and the encryption of its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stacks.cli.checkout import Checkout

_PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind of encryption


def is_service(environ: Mapping[str, str]) -> bool:
    """Return whether the backend is Pulumi Cloud or a compatible service."""
    return urlsplit(environ.get("PULUMI_BACKEND_URL", "")).scheme in {"http", "https"}


def is_files(environ: Mapping[str, str]) -> bool:
    """Return whether the backend is a local folder, which is the default."""
    return urlsplit(environ.get("PULUMI_BACKEND_URL", "file://")).scheme == "file"


def secrets_provider(checkout: Checkout) -> str:
    """Return the key service that the stack file names, such as `awskms://...`; empty when it names none."""
    named = str(_content(checkout).get("secretsprovider") or "")
    return "" if named in {_PASSPHRASE, "default"} else named


def needs_passphrase(checkout: Checkout, environ: Mapping[str, str]) -> bool:
    """Return whether the stack's secrets are encrypted with a passphrase: not by a key service, not by Pulumi Cloud."""
    content = _content(checkout)
    if secrets_provider(checkout) or content.get("encryptedkey"):
        return False
    chosen = content.get("encryptionsalt") or content.get("secretsprovider") == _PASSPHRASE
    return bool(chosen) or not is_service(environ)


def _content(checkout: Checkout) -> dict[str, Any]:
    return checkout.stack_yaml() if checkout.stack_file.exists() else {}
