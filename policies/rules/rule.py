"""Base of the rules: check the inputs of one resource type and report each violation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy

Properties = Mapping[str, Any]
Rule = Callable[[Properties], Iterable[str]]
"""Yields one message for each violation in a resource's inputs; no message means that the rule is satisfied."""


def policy(
    name: str, resource_type: str, rule: Rule, level: EnforcementLevel = EnforcementLevel.MANDATORY
) -> ResourceValidationPolicy:
    """Return a policy that applies `rule` to every resource of a type; the rule's docstring is the description."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == resource_type:
            for fault in rule(args.props):
                report(fault, None)

    description = (rule.__doc__ or name).partition("\n")[0]
    return ResourceValidationPolicy(name=name, description=description, validate=validate, enforcement_level=level)
