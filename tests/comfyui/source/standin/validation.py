"""Validation of a prompt before it is queued; errors have ComfyUI's form and text."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .graph import Prompt
from .input_checks import InputCheck
from .registry import NodeClass, Registry, is_output

_LOG = logging.getLogger(__name__)

Reason = dict[str, Any]
"""One error: type, message, details, extra_info."""


@dataclass
class Verdict:
    """What became of a prompt: `error` is None when at least one of its outputs can be made."""

    error: Reason | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Finding:
    valid: bool
    reasons: list[Reason]


def validate(prompt: Prompt, targets: list[str] | None, registry: Registry) -> Verdict:
    """Check `prompt`; `targets` limits which outputs are made. Values are converted in place, as ComfyUI does."""
    outputs = []
    for node_id, node in prompt.items():
        if (missing := _missing_class(node_id, node, registry)) is not None:
            return Verdict(missing)
        if is_output(registry.classes[node["class_type"]]) and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(reason("prompt_no_outputs", "Prompt has no outputs", ""))
    return _Validation(prompt, registry).judge(outputs)


def reason(kind: str, message: str, details: str, **extra_info: object) -> Reason:
    """Return an error in ComfyUI's form."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


class _Validation:
    def __init__(self, prompt: Prompt, registry: Registry) -> None:
        self._prompt = prompt
        self._registry = registry
        self._findings: dict[str, _Finding] = {}
        self._path: list[str] = []

    def judge(self, outputs: list[str]) -> Verdict:
        verdict = Verdict()
        told: list[str] = []
        for output in outputs:
            finding = self._check_output(output)
            if finding.valid:
                verdict.outputs.append(output)
                continue
            told += [f"{one['message']}: {one['details']}" for one in finding.reasons]
            self._collect(output, verdict.node_errors)
            _LOG.error("Failed to validate prompt for output %s:\nOutput will be ignored", output)
        if not verdict.outputs:
            message = "Prompt outputs failed validation"
            verdict.error = reason("prompt_outputs_failed_validation", message, "\n".join(told))
        return verdict

    def _check_output(self, output: str) -> _Finding:
        try:
            return self._check(output)
        except Exception as error:  # noqa: BLE001 - a broken node class is the prompt's error, not the server's
            facts = _exception_facts(error)
            message = "Exception when validating node"
            why = reason("exception_during_validation", message, str(error), **facts)
            self._findings[output] = _Finding(valid=False, reasons=[why])
            return self._findings[output]

    def _collect(self, output: str, node_errors: dict[str, Any]) -> None:
        for node_id, finding in self._findings.items():
            if not finding.valid and finding.reasons:
                empty = {
                    "errors": finding.reasons,
                    "dependent_outputs": [],
                    "class_type": self._prompt[node_id]["class_type"],
                }
                node_errors.setdefault(node_id, empty)["dependent_outputs"].append(output)

    def _check(self, node_id: str) -> _Finding:
        if node_id in self._findings:
            return self._findings[node_id]
        if node_id in self._path:
            return self._blame_cycle(node_id)
        node = self._prompt[node_id]
        found = _Finding(valid=True, reasons=[])
        self._path.append(node_id)
        try:
            for check in self._checks(node):
                found.reasons += check.reasons(self._return_types)
                found.valid &= check.link is None or bool(check.mismatched) or self._check_source(check)
        finally:
            self._path.pop()
        found.reasons += _custom_reasons(self._registry.classes[node["class_type"]], node["inputs"])
        cycle = self._findings.get(node_id, _Finding(valid=True, reasons=[]))
        reasons = [*cycle.reasons, *found.reasons]
        self._findings[node_id] = _Finding(valid=cycle.valid and found.valid and not reasons, reasons=reasons)
        return self._findings[node_id]

    def _checks(self, node: dict[str, Any]) -> Iterator[InputCheck]:
        node_class = self._registry.classes[node["class_type"]]
        inputs = node_class.INPUT_TYPES()
        own = _custom_names(node_class)
        for section in ("required", "optional"):
            for name, config in inputs.get(section, {}).items():
                yield InputCheck(name, config, section == "required", node["inputs"], name in own)

    def _return_types(self, node_id: str) -> tuple[str, ...]:
        types: tuple[str, ...] = self._registry.classes[self._prompt[node_id]["class_type"]].RETURN_TYPES
        return types

    def _check_source(self, check: InputCheck) -> bool:
        source = str(check.link)
        try:
            return self._check(source).valid
        except Exception as error:  # noqa: BLE001 - as above, for a node further up
            facts = check.facts() | _exception_facts(error) | {"exception_message": str(error)}
            message = "Exception when validating inner node"
            why = reason("exception_during_inner_validation", message, str(error), **facts, linked_node=check.value)
            self._findings[source] = _Finding(valid=False, reasons=[why])
            return False

    def _blame_cycle(self, node_id: str) -> _Finding:
        around = [*self._path[self._path.index(node_id) :], node_id]
        nodes = list(dict.fromkeys(around))
        details = " -> ".join(f"{one} ({self._prompt[one]['class_type']})" for one in around)
        for one in nodes:
            facts = {"node_id": one, "cycle_nodes": nodes}
            why = reason("dependency_cycle", "Dependency cycle detected", details, **facts)
            self._findings[one] = _Finding(valid=False, reasons=[why])
        return self._findings[node_id]


def _missing_class(node_id: str, node: dict[str, Any], registry: Registry) -> Reason | None:
    class_type = node.get("class_type")
    if class_type in registry.classes:
        return None
    title = node.get("_meta", {}).get("title", class_type)
    message = f"Node '{title}' not found. The custom node may not be installed."
    if class_type is None:
        name = title or f"ID #{node_id}"
        message = f"Node '{name}' has no class_type. The workflow may be corrupted or a custom node is missing."
    facts = {"node_id": node_id, "class_type": class_type, "node_title": title}
    return reason("missing_node_type", message, f"Node ID '#{node_id}'", **facts)


def _custom_names(node_class: NodeClass) -> list[str]:
    function = getattr(node_class, "VALIDATE_INPUTS", None)
    return [] if function is None else list(inspect.signature(function).parameters)


def _custom_reasons(node_class: NodeClass, inputs: dict[str, Any]) -> Iterator[Reason]:
    names = [name for name in _custom_names(node_class) if name in inputs and not isinstance(inputs[name], list)]
    if not names:
        return
    answer = node_class.VALIDATE_INPUTS(**{name: inputs[name] for name in names})
    if answer is not True:
        for name in names:
            details = name if answer is False else f"{name} - {answer}"
            message = "Custom validation failed for node"
            yield reason("custom_validation_failed", message, details, input_name=name)


def _exception_facts(error: Exception) -> dict[str, object]:
    return {"exception_type": full_name(type(error)), "traceback": traceback.format_tb(error.__traceback__)}


def full_name(kind: type[BaseException]) -> str:
    """Return an exception's name as ComfyUI tells it: with its module, unless it is Python's own."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
