"""The provider's resource handlers by type token."""

from __future__ import annotations

from collections.abc import Mapping

from components.runpod.plugin.base.resource import ResourceHandler
from components.runpod.plugin.resources.account_ssh_key import AccountSshKeyHandler
from components.runpod.plugin.resources.endpoint import EndpointHandler
from components.runpod.plugin.resources.network_volume import NetworkVolumeHandler
from components.runpod.plugin.resources.pod import PodHandler
from components.runpod.plugin.resources.random_secret import RandomSecretHandler
from components.runpod.plugin.resources.registry_auth import RegistryAuthHandler
from components.runpod.plugin.resources.ssh_key_pair import SshKeyPairHandler
from components.runpod.plugin.resources.stack_guard import StackGuardHandler
from components.runpod.plugin.resources.template import TemplateHandler

_ALL: tuple[ResourceHandler, ...] = (
    PodHandler(),
    NetworkVolumeHandler(),
    TemplateHandler(),
    RegistryAuthHandler(),
    EndpointHandler(),
    AccountSshKeyHandler(),
    StackGuardHandler(),
    SshKeyPairHandler(),
    RandomSecretHandler(),
)

HANDLERS: Mapping[str, ResourceHandler] = {kind.token: kind for kind in _ALL}
