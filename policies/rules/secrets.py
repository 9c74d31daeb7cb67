"""Secrets: inputs that hold keys are marked as secret, so that the state file holds them encrypted.

The engine passes the secret markings to remediations only, not to validations. So the remediation records the faults,
and the validation, which the engine calls next for the same resource, reports them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Secret,
)

CARRIERS: Mapping[str, tuple[str, ...]] = {
    "runpod:index:Pod": ("env",),
    "command:local:Command": ("stdin",),
}
"""Inputs that hold keys, by resource type."""

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's placeholder for a value that is unknown during a preview; it may or may not be secret."""


def in_clear(resource_type: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of inputs that hold keys and are not marked as secret."""
    for name in CARRIERS.get(resource_type, ()):
        if not _is_covered(inputs.get(name)):
            yield name


def _is_covered(value: Any) -> bool:  # noqa: ANN401 - any property value
    """Return whether a value is secret, absent, unknown, or a map of such values."""
    if isinstance(value, dict):
        return all(_is_covered(item) for item in value.values())
    return value is None or isinstance(value, Secret) or value == UNKNOWN


class SecretsAreSecret:
    """Finds plain-text keys in the remediation and reports them in the validation."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def look(self, args: ResourceValidationArgs) -> None:
        """Record the inputs that are in plain text; change nothing."""
        self._found[args.urn] = list(in_clear(args.resource_type, _raw(args.props)))

    def refuse(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        """Report the recorded inputs."""
        for name in self._found.pop(args.urn, []):
            report(f"{name} holds keys and would be in the state in plain text; pass it as Output.secret", None)


def _raw(props: Any) -> dict[str, Any]:  # noqa: ANN401 - nested proxies of the policy SDK
    """Return a resource's inputs with Secret wrappers; the SDK's proxies show them only under this key."""
    while not isinstance(props, dict):
        props = props["__target"]
    return props


_SECRETS = SecretsAreSecret()

POLICIES = [
    ResourceValidationPolicy(
        name="secrets-are-secret",
        description="Refuse keys that would be in the state file in plain text.",
        validate=_SECRETS.refuse,
        remediate=_SECRETS.look,
        enforcement_level=EnforcementLevel.REMEDIATE,
    )
]
