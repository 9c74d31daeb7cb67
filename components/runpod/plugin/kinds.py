"""All kinds of resources the provider knows, by type."""

from __future__ import annotations

from collections.abc import Mapping

from components.runpod.plugin.account_ssh_key import AccountSshKeyKind
from components.runpod.plugin.endpoint import EndpointKind
from components.runpod.plugin.kind import Kind
from components.runpod.plugin.network_volume import NetworkVolumeKind
from components.runpod.plugin.pod import PodKind
from components.runpod.plugin.random_secret import RandomSecretKind
from components.runpod.plugin.registry_auth import RegistryAuthKind
from components.runpod.plugin.ssh_key_pair import SshKeyPairKind
from components.runpod.plugin.stack_guard import StackGuardKind
from components.runpod.plugin.template import TemplateKind

_ALL: tuple[Kind, ...] = (
    PodKind(),
    NetworkVolumeKind(),
    TemplateKind(),
    RegistryAuthKind(),
    EndpointKind(),
    AccountSshKeyKind(),
    StackGuardKind(),
    SshKeyPairKind(),
    RandomSecretKind(),
)

KINDS: Mapping[str, Kind] = {kind.token: kind for kind in _ALL}
