"""Checks of one input of a node: presence, type and range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_CONVERSIONS: dict[str, Callable[[Any], object]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

_LIST_LIMIT = 20
"""Longer lists of choices are not sent back: they may be thousands of model names."""


class InputCheck:
    """One input as the node declares it, against what the prompt gives."""

    def __init__(
        self, name: str, config: tuple[Any, ...], required: bool, inputs: dict[str, Any], checked_by_node: bool
    ) -> None:
        self.name = name
        self.mismatched = False
        """Set when the linked output has another type; ComfyUI then does not look further up."""
        self._type = config[0]
        self._settings: dict[str, Any] = config[1] if len(config) > 1 else {}
        self._required = required
        self._inputs = inputs
        self._checked_by_node = checked_by_node

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever the client sent
        """What the prompt gives."""
        return self._inputs.get(self.name)

    @property
    def link(self) -> str | None:
        """The id of the node that feeds this input, if one does."""
        return self.value[0] if isinstance(self.value, list) and len(self.value) == 2 else None

    def facts(self) -> dict[str, object]:
        """Return what every error about this input tells."""
        return {"input_name": self.name, "input_config": (self._type, self._settings)}

    def reasons(self, return_types: Callable[[str], tuple[str, ...]]) -> Iterator[dict[str, Any]]:
        """Yield the first thing that is wrong, if any; converts the value in place."""
        if self.name not in self._inputs:
            if self._required:
                yield self._reason("required_input_missing", "Required input is missing", {"input_name": self.name})
        elif isinstance(self.value, list):
            yield from self._check_link(return_types)
        else:
            yield from self._check_value()

    def _check_link(self, return_types: Callable[[str], tuple[str, ...]]) -> Iterator[dict[str, Any]]:
        if self.link is None:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            yield self._reason("bad_linked_input", message, self.facts() | {"received_value": self.value})
            return
        received = return_types(self.link)[self.value[1]]
        if not _fits(received, self._type):
            self.mismatched = True
            facts = self.facts() | {"received_type": received, "linked_node": self.value}
            details = f"{self.name}, received_type({received}) mismatch input_type({self._type})"
            yield self._reason("return_type_mismatch", "Return type mismatch between linked nodes", facts, details)

    def _check_value(self) -> Iterator[dict[str, Any]]:
        if isinstance(self.value, dict) and "__value__" in self.value:
            self._inputs[self.name] = self.value["__value__"]
        try:
            convert = _CONVERSIONS.get(self._type) if isinstance(self._type, str) else None
            if convert is not None:
                self._inputs[self.name] = convert(self.value)
        except (TypeError, ValueError, OverflowError) as error:
            facts = self.facts() | {"received_value": self.value, "exception_message": str(error)}
            message = f"Failed to convert an input value to a {self._type} value"
            yield self._reason("invalid_input_type", message, facts, f"{self.name}, {self.value}, {error}")
            return
        if not self._checked_by_node:
            yield from self._check_bounds()

    def _check_bounds(self) -> Iterator[dict[str, Any]]:
        value, settings = self.value, self._settings
        facts = self.facts() | {"received_value": value}
        if "min" in settings and value < settings["min"]:
            yield self._reason("value_smaller_than_min", f"Value {value} smaller than min of {settings['min']}", facts)
        elif "max" in settings and value > settings["max"]:
            yield self._reason("value_bigger_than_max", f"Value {value} bigger than max of {settings['max']}", facts)
        elif isinstance(self._type, list) and value not in self._type:
            short = len(self._type) <= _LIST_LIMIT
            shown = str(self._type) if short else f"(list of length {len(self._type)})"
            facts |= {} if short else {"input_config": None}
            yield self._reason(
                "value_not_in_list", "Value not in list", facts, f"{self.name}: {value!r} not in {shown}"
            )

    def _reason(self, kind: str, message: str, facts: dict[str, object], details: str | None = None) -> dict[str, Any]:
        return {"type": kind, "message": message, "details": details or self.name, "extra_info": facts}


def _fits(received: object, wanted: object) -> bool:
    if not isinstance(received, str) or not isinstance(wanted, str):
        return received == wanted
    return "*" in (received, wanted) or bool(_names(received) & _names(wanted))


def _names(types: str) -> set[str]:
    return {name.strip() for name in types.split(",")}
