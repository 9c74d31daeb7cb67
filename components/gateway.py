"""The gateway's secrets and public address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import runpod
from components.component import Component
from provisioning import contract

KEY_PREFIX = "cgw_live_"
"""Prefix of every API key, so that secret scanners recognise a leaked one."""

KEY_LENGTH = 40
"""Eight characters that identify the key and thirty-two that are secret."""


@dataclass(frozen=True)
class GatewayArgs:
    """Inputs of Gateway."""

    urls: pulumi.Input[Mapping[str, str]] | None
    """The pod's public addresses by port; None while there is no pod."""
    options: Mapping[str, Any]
    """Options by their names in `provisioning.contract.gateway_options`."""


class Gateway(Component):
    """First keys, pepper and public address of the gateway."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # The address depends on the pod, so it is an output of this component.
        super().__init__(name, {"options": dict(args.options)}, opts)
        self.pepper = runpod.RandomSecret(self.child("pepper"), length=64, opts=self.under()).value
        self.client_key = self._key("client-key")
        self.admin_key = self._key("admin-key")
        self.url = pulumi.Output.from_input(args.urls).apply(_gateway_url)
        self.register_outputs({"url": self.url})

    def _key(self, suffix: str) -> pulumi.Output[str]:
        key = runpod.RandomSecret(
            self.child(suffix), prefix=KEY_PREFIX, length=KEY_LENGTH, checksum=True, opts=self.under()
        )
        return key.value


def _gateway_url(urls: Mapping[str, str] | None) -> str:
    return "" if urls is None else urls[str(contract.GATEWAY_PORT)]
