"""Settings of one environment, read from Pulumi's configuration.

All faults are reported together, each with the file, the key and the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Self

import pulumi
import yaml
from pulumi.runtime.config import CONFIG, get_config_env, get_config_secret_keys_env, is_config_secret
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from components.errors import StackSettingsError
from components.naming import PROJECT
from stacks.sections import (
    BudgetSection,
    ComfySection,
    DataCenter,
    GatewaySection,
    GpuSection,
    ModelSection,
    NodeSection,
    NotifySection,
    PodSection,
    Section,
    TokensSection,
    UnknownHashes,
    VolumeSection,
)

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; paths in stack files are relative to it."""

SECRET_KEYS = frozenset({"tokens"})
"""Keys that must be encrypted in the stack file."""


class Settings(Section):
    """A validated stack file."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    """Name of the Pulumi stack: local, dev, staging or prod; never written in the file."""
    pod: PodSection
    """The pod."""
    gpu: GpuSection
    """The GPU."""
    data_centers: tuple[DataCenter, ...] = ()
    """Data centre ids, best first; empty means any with stock."""
    volume: VolumeSection = VolumeSection()
    """The network volume."""
    comfyui: ComfySection
    """ComfyUI's source."""
    nodes: tuple[NodeSection, ...] = ()
    """Custom nodes."""
    models: tuple[ModelSection, ...] = ()
    """Models, as a list or as the path of a YAML file with a list."""
    unknown_hashes: UnknownHashes = UnknownHashes.REFUSE
    """Whether a model without a recorded SHA-256 is refused or only reported."""
    gateway: GatewaySection = GatewaySection()
    """The gateway."""
    budget: BudgetSection
    """Limit on the environment's cost."""
    tokens: TokensSection = TokensSection()
    """Secrets, encrypted in the file."""
    notify: NotifySection = NotifySection()
    """Receivers of the gateway's address."""
    confirm: bool = True
    """Whether `make up` asks before it deletes a pod or a volume with data, and `make destroy` before it deletes
    all."""

    @property
    def file(self) -> str:
        """The stack file, for messages."""
        return stack_file(self.environment)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, names in (("nodes", [n.name for n in self.nodes]), ("models", [m.name for m in self.models])):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            if twice:
                raise ValueError(f"{kind}: {', '.join(twice)} listed twice")
        return self

    @model_validator(mode="after")
    def _kept_volume_has_a_place(self) -> Self:
        if self.volume.id and (len(self.data_centers) != 1 or self.volume.size_gb is None):
            raise ValueError("volume.id: also give volume.sizeGb and, in dataCenters, the one data centre it is in")
        return self


def stack_file(stack: str) -> str:
    """Return the path of a stack's file from the checkout's root."""
    return f"stacks/Pulumi.{stack}.yaml"


def load() -> Settings:
    """Read the current stack's settings; raises StackSettingsError naming every fault."""
    everything = get_config_env() | CONFIG.get()
    secret = {key for key in everything if is_config_secret(key)} | set(get_config_secret_keys_env())
    prefix = f"{PROJECT}:"
    raw = {key.removeprefix(prefix): value for key, value in everything.items() if key.startswith(prefix)}
    return parse(pulumi.get_stack(), raw, {key.removeprefix(prefix) for key in secret})


def parse(stack: str, raw: Mapping[str, str], secret_keys: Collection[str], root: Path = ROOT) -> Settings:
    """Return the settings that a stack file's keys (without namespace) describe.

    Raises:
        StackSettingsError: With all faults; none of them quotes a value that is secret.
    """
    where = stack_file(stack)
    values = {key: _value(text) for key, text in raw.items()}
    faults = [
        f"{where}: {key}: set it with `pulumi config set --secret --path`, not in plain text"
        for key in sorted(SECRET_KEYS & values.keys() - set(secret_keys))
    ]
    faults += (
        [f"{where}: environment: unknown key; it follows from the stack's name"] if "environment" in values else []
    )
    manifest = values.get("models")
    if isinstance(manifest, str):
        values["models"] = _manifest(root, manifest, where)
    try:
        settings = Settings.model_validate(values | {"environment": stack})
    except ValidationError as error:
        places = (where, manifest if isinstance(manifest, str) else where)
        raise StackSettingsError(faults + [_fault(detail, *places) for detail in error.errors()]) from None
    faults += list(_missing_files(settings, root, where))
    if faults:
        raise StackSettingsError(faults)
    return settings


def _value(text: str) -> object:
    """Parse a structured value; Pulumi passes objects and lists as JSON, and scalars as plain text."""
    return json.loads(text) if text.startswith(("{", "[")) else text


def _manifest(root: Path, name: str, where: str) -> object:
    try:
        return yaml.safe_load((root / name).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not YAML"
        raise StackSettingsError([f"{where}: models: cannot read {name}: {reason}"]) from None


def _fault(detail: ErrorDetails, where: str, models_file: str) -> str:
    """Return one fault as `file: key: what is wrong`."""
    path = [part for part in detail["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    file = models_file if path[:1] == ["models"] else where
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    elif detail["type"] == "missing":
        message = "missing; add it"
    elif not _is_private(path) and isinstance(detail["input"], str | int | float):
        message = f"{message} (found {detail['input']!r})"
    return f"{file}: {key}: {message}" if key else f"{file}: {message}"


def _is_private(path: list[int | str]) -> bool:
    """Return whether messages must not quote a value: tokens, and addresses, which may contain one by mistake."""
    return path[:1] == ["tokens"] or path[-1:] in (["url"], ["repository"])


def _missing_files(settings: Settings, root: Path, where: str) -> Iterable[str]:
    """Yield a fault for each requirements file that is absent or not locked by hashes."""
    named = [("comfyui.requirements", settings.comfyui.requirements)]
    named += [(f"nodes.{node.name}.requirements", node.requirements) for node in settings.nodes if node.requirements]
    for key, name in named:
        if not (root / name).is_file():
            yield f"{where}: {key}: the file {name} does not exist"
        elif "--hash=" not in (root / name).read_text(encoding="utf-8"):
            yield f"{where}: {key}: {name} has no hashes; compile it with `uv pip compile --generate-hashes`"
