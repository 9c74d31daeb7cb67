"""The provider's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from components.runpod.api.client import DEFAULT_URL
from components.runpod.api.errors import RunPodError
from components.runpod.plugin.base.property_codec import unknown

DEFAULT_PROXY = "https://{podId}-{port}.proxy.runpod.net"
DEFAULT_LATE_EFFECT_SECONDS = 60.0
DEFAULT_GPU_MISSING_SECONDS = 180.0
_LONGEST_SECONDS = {"lateEffectSeconds": 600, "gpuMissingSeconds": 3600}
KEYS = ("apiKey", "apiUrl", "proxyUrlTemplate", *_LONGEST_SECONDS)


class NoKeyError(RunPodError):
    """An operation needs an API key and none is configured."""


@dataclass(frozen=True)
class ProviderSettings:
    """The `runpod:` configuration."""

    api_key: str = field(default="", repr=False)
    api_url: str = DEFAULT_URL
    proxy_url_template: str = DEFAULT_PROXY
    late_effect_seconds: float = DEFAULT_LATE_EFFECT_SECONDS
    """Seconds in which a POST with a lost answer may still take effect."""
    gpu_missing_seconds: float = DEFAULT_GPU_MISSING_SECONDS
    """Seconds for which RunPod has to show fewer GPUs than requested before the pod is replaced."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> ProviderSettings:
        """Parse validated configuration; an unknown value counts as unset."""
        given = {name: str(value) for name, value in values.items() if value and not unknown(value)}
        return cls(
            api_key=given.get("apiKey", ""),
            api_url=given.get("apiUrl", DEFAULT_URL),
            proxy_url_template=given.get("proxyUrlTemplate", DEFAULT_PROXY),
            late_effect_seconds=float(given.get("lateEffectSeconds", DEFAULT_LATE_EFFECT_SECONDS)),
            gpu_missing_seconds=float(given.get("gpuMissingSeconds", DEFAULT_GPU_MISSING_SECONDS)),
        )

    def key(self) -> str:
        """Return the API key; raises NoKeyError with a remedy."""
        if not self.api_key:
            raise NoKeyError(_no_key())
        return self.api_key

    def url(self, pod_id: str, port: int, public_port: int | None) -> str:
        """Return the public address of a pod's HTTP port; empty while RunPod has not mapped it."""
        if "{publicPort}" in self.proxy_url_template and public_port is None:
            return ""
        public = "" if public_port is None else str(public_port)
        form = self.proxy_url_template.replace("{podId}", pod_id).replace("{port}", str(port))
        return form.replace("{publicPort}", public)


def failures(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the faults of the configuration, as pairs of key and reason."""
    wrong = [
        (name, f"runpod:{name} is unknown; valid keys are {', '.join(KEYS)}") for name in values if name not in KEYS
    ]
    url = values.get("apiUrl")
    if url and not unknown(url) and not _is_url(str(url)):
        wrong.append(("apiUrl", f"runpod:apiUrl {url!r} is not an http(s) address"))
    template = values.get("proxyUrlTemplate")
    if template and not unknown(template) and not _is_url(str(template)):
        wrong.append(("proxyUrlTemplate", f"runpod:proxyUrlTemplate {template!r} is not an http(s) address"))
    for name, longest in _LONGEST_SECONDS.items():
        seconds = values.get(name)
        if seconds and not unknown(seconds) and not _is_seconds(str(seconds), longest):
            wrong.append((name, f"runpod:{name} {seconds!r} is not 0 to {longest} seconds"))
    return wrong


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _is_seconds(text: str, longest: float) -> bool:
    try:
        return 0 <= float(text) <= longest
    except ValueError:
        return False


def _no_key() -> str:
    text = "no RunPod API key is configured: run `pulumi config set --secret runpod:apiKey` (or `make init`)"
    if os.environ.get("RUNPOD_API_KEY"):
        text += "; RUNPOD_API_KEY in the environment is not used, because it would be in the state in plain text"
    return text
