"""What every rule does alike: look at one type of resource and report sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy

Properties = Mapping[str, Any]
Rule = Callable[[Properties], Iterable[str]]
"""From a resource's inputs to sentences, one for each fault; nothing means all is well."""


def policy(
    name: str, resource_type: str, rule: Rule, level: EnforcementLevel = EnforcementLevel.MANDATORY
) -> ResourceValidationPolicy:
    """Return the policy that holds `rule` against every resource of a type; its docstring becomes the description."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == resource_type:
            for fault in rule(args.props):
                report(fault, None)

    description = (rule.__doc__ or name).partition("\n")[0]
    return ResourceValidationPolicy(name=name, description=description, validate=validate, enforcement_level=level)
