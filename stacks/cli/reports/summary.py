"""The summary after `make up`: address, key and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks.cli.errors import CliError

_ISOLATION = {
    "landlock": "isolation landlock: ComfyUI and its nodes read the models on the volume and nothing else there",
    "folder": "isolation folder: ComfyUI and its nodes cannot reach the volume; they run on copies of the models",
    "none": "isolation none: custom nodes can read and delete the volume and the gateway's files",
}
_NOT_KNOWN = "isolation not known: the installation is of an earlier release"
_HORIZONS = ("24h", "7d", "30d")


def after_up(env: str, default_env: str, outputs: Mapping[str, Any], *, changed: bool) -> str:
    """Return the summary; its `make` commands work as printed, in the checkout.

    Raises:
        CliError: the stack has no gateway, so `up` did not finish.
    """
    url = outputs.get("gatewayUrl")
    if not url:
        raise CliError(f"the stack {env} has no output gatewayUrl; run `make up ENV={env}` and read its messages")
    make = "make -s key" if env == default_env else f"make -s key ENV={env}"
    projection = outputs.get("costProjection") or {}
    costs = [f"${float(outputs.get('costPerHour') or 0):.4f} per hour"]
    costs += [f"${float(projection[name]):.2f} in {name}" for name in _HORIZONS if name in projection]
    return "\n".join(
        (
            f"{env} is up." if changed else f"{env} is up; nothing changed.",
            f"  gateway  {url}",
            f"  pod      {outputs.get('podId')} ({outputs.get('gpu')}, {outputs.get('dataCenter')})",
            f"  nodes    {_ISOLATION.get(str(outputs.get('isolation')), _NOT_KNOWN)}",
            f"  key      {make}",
            f"  cost     {', '.join(costs)}",
            f'  try      curl -fsS -H "Authorization: Bearer $({make})" {str(url).rstrip("/")}/queue',
        )
    )


def changed(history: list[Mapping[str, Any]]) -> bool:
    """Return whether the newest update of the stack changed anything; `same` counts unchanged resources."""
    counts = (history[0].get("resourceChanges") or {}) if history else {}
    return any(count for kind, count in counts.items() if kind != "same")
