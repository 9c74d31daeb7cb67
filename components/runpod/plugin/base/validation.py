"""Validation of resource inputs before anything is created."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from components.runpod.api.client import Client
from components.runpod.api.models import GpuType
from components.runpod.plugin.base.property_codec import Values, unknown
from components.runpod.plugin.base.resource import Failure, ProviderOperation
from components.runpod.prices import known_data_centers, price_file

_PORT = re.compile(r"(?P<number>\d{1,5})/(?P<protocol>http|tcp)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CENTER = re.compile(r"[A-Z]{2,4}-[A-Z0-9]+-\d+")
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( [^\r\n]*)?")
_CUDA = re.compile(r"\d+\.\d+")

Rule = Callable[[Any], str]
"""Returns the fault of a value, or "" when it is valid."""


def apply(rules: Mapping[str, Rule], inputs: Values) -> list[Failure]:
    """Return the failures of all rules; unknown values pass."""
    checked = ((name, rule(inputs[name])) for name, rule in rules.items() if not unknown(inputs[name]))
    return [(name, f"{name}: {reason}") for name, reason in checked if reason]


def name(value: object) -> str:
    """Check the base of a physical name."""
    return (
        "" if isinstance(value, str) and _NAME.fullmatch(value) else f"{value!r} is not 1 to 100 of A-Z a-z 0-9 . _ -"
    )


def text(value: object) -> str:
    """Check for a non-empty text."""
    return "" if isinstance(value, str) and value.strip() else f"{value!r} is not a text"


def any_text(value: object) -> str:
    """Check for a text, which may be empty."""
    return "" if isinstance(value, str) else f"{value!r} is not a text"


def flag(value: object) -> str:
    """Check for true or false."""
    return "" if isinstance(value, bool) else f"{value!r} is not true or false"


def integer(lowest: int, highest: int, unit: str) -> Rule:
    """Return a rule for a whole number within bounds."""

    def rule(value: object) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest
        return "" if fits else f"{value!r} is not {lowest} to {highest} {unit}".rstrip()

    return rule


def power_of_two(lowest: int, highest: int, unit: str) -> Rule:
    """Return a rule for a power of two within bounds."""
    bounded = integer(lowest, highest, unit)

    def rule(value: object) -> str:
        is_power = isinstance(value, int) and value.bit_count() == 1
        return bounded(value) or ("" if is_power else f"{value!r} is not a power of two")

    return rule


def one_of(*choices: str) -> Rule:
    """Return a rule for a closed set."""
    return lambda value: "" if value in choices else f"{value!r} is not one of {', '.join(choices)}"


def split_ports(text: str) -> tuple[str, ...]:
    """Split `8189/http,22/tcp` into ports."""
    return tuple(port.strip() for port in text.split(",") if port.strip())


def ports(value: object) -> str:
    """Check a list of ports such as `8189/http,22/tcp`."""
    if not isinstance(value, str):
        return f"{value!r} is not a text such as '8189/http,22/tcp'"
    for port in split_ports(value):
        match = _PORT.fullmatch(port)
        if not match or not 1 <= int(match["number"]) <= 65535:
            return f"{port!r} is not a port such as 8189/http or 22/tcp"
    return ""


def environment(value: object) -> str:
    """Check the variables; RunPod allows 50, including the marker. Messages do not contain values."""
    if not isinstance(value, dict):
        return "not a map of variables"
    if len(value) > 49:
        return f"{len(value)} variables; RunPod allows 50, including the marker"
    wrong = sorted(key for key, entry in value.items() if not isinstance(entry, str))
    return f"the values of {', '.join(wrong)} are not text" if wrong else ""


def cuda_versions(value: object) -> str:
    """Check a list of CUDA versions."""
    wrong = [version for version in value if cuda_version(version)] if isinstance(value, list) else [value]
    return f"{wrong[0]!r} is not a version such as 12.8" if wrong else ""


def cuda_version(value: object) -> str:
    """Check for a CUDA version or an empty text."""
    fits = isinstance(value, str) and (not value or _CUDA.fullmatch(value))
    return "" if fits else f"{value!r} is not a version such as 12.8"


def public_key(value: object) -> str:
    """Check the public half of an SSH key, with or without a comment."""
    fits = isinstance(value, str) and _PUBLIC_KEY.fullmatch(value.strip())
    return "" if fits else "not of the form `ssh-ed25519 AAAA...`; only the public half belongs here"


def data_centers(value: object) -> str:
    """Check the form of data centre ids: RunPod accepts lower case and fails on it later."""
    wrong = [center for center in value if not _is_center(center)] if isinstance(value, list) else [value]
    example = ", ".join(known_data_centers()[:3])
    return f"{wrong[0]!r} is not a data centre id such as {example} (upper case)" if wrong else ""


def gpus(operation: ProviderOperation, value: object, *, needed: bool, accepted: Collection[str] = ()) -> str:
    """Check that the GPU types exist, by the price file and for newer ones by the live catalogue.

    Previously accepted values are not checked again: RunPod may have removed them from its catalogue.
    """
    if not isinstance(value, list) or (needed and not value):
        return "at least one GPU type is needed"
    listed = {gpu.id for gpu in price_file().gpus} | set(accepted)
    strange = [gpu for gpu in value if gpu not in listed]
    if not strange:
        return ""
    known = listed | {gpu.id for gpu in live_gpus(operation, 1, "")}
    wrong = [gpu for gpu in strange if gpu not in known]
    return f"{wrong[0]!r} does not exist at RunPod{_hint(str(wrong[0]), known)}" if wrong else ""


def compute(operation: ProviderOperation, olds: Values, inputs: Values) -> list[Failure]:
    """Check that GPU types or CPU flavours are given and exist.

    An existing pod needs no GPU type that satisfies the requirement today: it may be running on one.
    """
    name = "cpuFlavorIdList" if inputs["computeType"] == "CPU" else "gpuTypeIdList"
    value = inputs[name]
    if unknown(value):
        return []
    if name == "gpuTypeIdList":
        requirement, accepted = inputs["gpuRequirement"], olds.get("gpuTypeIdList") or ()
        reason = gpus(operation, value, needed=not (olds and requirement), accepted=accepted)
        reason = no_gpu_meets(requirement) if requirement and not value and reason else reason
    else:
        reason = "" if isinstance(value, list) and value else "at least one CPU flavour is needed"
    return [(name, f"{name}: {reason}")] if reason else []


def no_gpu_meets(requirement: Mapping[str, Any]) -> str:
    """Return the message that no GPU type satisfies a requirement today, with a remedy."""
    asked = f"{requirement['minMemoryGb']} GB or more for at most ${requirement['maxUsdPerHour']:.2f}/h"
    return f"no GPU type has {asked} now; raise the price, ask for less memory, or widen tiers and data centres"


def placement(operation: ProviderOperation, inputs: Values) -> list[Failure]:
    """Check a placement against RunPod's live catalogue; skipped without an API key."""
    if not operation.settings.api_key or unknown(inputs["computeType"]):
        return []
    is_cpu = inputs["computeType"] == "CPU"
    name, reason = ("cpuFlavorIdList", _strange_cpu(operation, inputs)) if is_cpu else ("dataCenterIds", "")
    reason = reason or ("" if is_cpu else offered(operation, inputs))
    return [(name, f"{name}: {reason}")] if reason else []


def offered(operation: ProviderOperation, inputs: Values) -> str:
    """Check that a requested data centre offers a requested GPU, in stock or not."""
    asked = [inputs[key] for key in ("gpuTypeIdList", "dataCenterIds", "gpuCount", "cloudType")]
    wanted_gpus, centers, count, cloud = asked
    if unknown(asked) or not centers or not wanted_gpus:
        return ""
    catalogue = [gpu for gpu in live_gpus(operation, count, cloud) if gpu.id in wanted_gpus]
    if not catalogue or any(gpu.stock_in(center) is not None for gpu in catalogue for center in centers):
        return ""
    return f"none of {', '.join(centers)} offers {_either(wanted_gpus)}; {_where(catalogue)}"


def live_gpus(operation: ProviderOperation, count: int, cloud: str) -> list[GpuType]:
    """Return the live catalogue; empty without an API key."""
    if not operation.settings.api_key:
        return []
    client: Client = operation.client()
    return client.list_gpu_types(count=count, cloud=cloud)


def _strange_cpu(operation: ProviderOperation, inputs: Values) -> str:
    known = {cpu.id: cpu for cpu in operation.client().list_cpu_types()}
    for flavor in inputs["cpuFlavorIdList"]:
        if flavor not in known:
            return f"{flavor!r} does not exist at RunPod{_hint(flavor, known)}"
        bounds = known[flavor].vcpu
        if not unknown(inputs["vcpuCount"]) and not bounds.min <= inputs["vcpuCount"] <= bounds.max:
            return f"{flavor} has {bounds.min} to {bounds.max} vCPUs, not {inputs['vcpuCount']}"
    return ""


def _is_center(center: object) -> bool:
    return isinstance(center, str) and _CENTER.fullmatch(center) is not None


def _where(catalogue: Sequence[GpuType]) -> str:
    places = {gpu.id: sorted(entry.id for entry in gpu.data_centers) for gpu in catalogue}
    return "; ".join(f"{gpu} is offered in {', '.join(at) or 'no data centre'}" for gpu, at in places.items())


def _either(choices: Iterable[str]) -> str:
    return " or ".join(choices)


def _hint(wrong: str, known: Iterable[str]) -> str:
    words, choices = wrong.lower().split(), sorted(known)
    fuller = [choice for choice in choices if all(word in choice.lower() for word in words)]
    close = [*fuller, *difflib.get_close_matches(wrong, choices, n=3, cutoff=0.4)]
    return f"; did you mean {_either(map(repr, dict.fromkeys(close[:3])))}?" if close else ""
