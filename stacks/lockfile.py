"""The lock file: what downloads turned out to be, recorded by `make lock` and enforced from then on.

One file for all environments, because a file's hash and a tag's commit are facts about the world:
`{"models": {url: {"sha256", "sizeBytes"}}, "sources": {"repository@ref": commit}}`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from components.errors import LockError
from provisioning.contract import ModelPin, SourcePin

PATH = Path(__file__).with_name("pins.lock.json")


@dataclass(frozen=True)
class LockedModel:
    """What a URL delivered."""

    sha256: str
    sizeBytes: int  # noqa: N815 - the file's spelling, which is that of the settings


@dataclass(frozen=True)
class Lock:
    """The whole file."""

    models: Mapping[str, LockedModel] = field(default_factory=dict)
    """By URL."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Commit by `repository@ref`."""

    def pin_model(self, model: ModelPin) -> ModelPin:
        """Return the model with what is known about its URL; raises LockError when the settings contradict it."""
        locked = self.models.get(model.url)
        if locked is None:
            return model
        if model.sha256 not in ("", locked.sha256):
            raise LockError(
                f"models: {model.name}: sha256 {model.sha256[:12]}... differs from {locked.sha256[:12]}... "
                f"in {PATH.name}; correct the settings, or remove the entry and run `make lock` again"
            )
        return dataclasses.replace(model, sha256=locked.sha256, size_bytes=locked.sizeBytes)

    def check_source(self, source: SourcePin) -> None:
        """Raise LockError when a tag is said to be another commit than the one it was: tags do not move."""
        locked = self.sources.get(f"{source.repository}@{source.ref}", source.commit)
        if locked != source.commit:
            raise LockError(
                f"{source.name}: {source.ref} was {locked[:12]}... in the lock file and is "
                f"{source.commit[:12]}... in the settings; find out why before you change {PATH.name}"
            )

    def record(self, sources: Iterable[SourcePin], models: Iterable[ModelPin]) -> Lock:
        """Return a lock that also holds what a pod reported; models without a hash say nothing and are left out."""
        found = [model for model in models if model.sha256 and _is_of_the_world(model.url)]
        named = [source for source in sources if source.ref and _is_of_the_world(source.repository)]
        return Lock(
            {**self.models, **{model.url: LockedModel(model.sha256, model.size_bytes) for model in found}},
            {**self.sources, **{f"{source.repository}@{source.ref}": source.commit for source in named}},
        )


def _is_of_the_world(url: str) -> bool:
    """Tell whether an address means the same everywhere; what this machine serves is pinned in its own stack file."""
    return url.startswith("https://")


def load(path: Path = PATH) -> Lock:
    """Read the lock file; an absent one is empty. Raises LockError when it cannot be understood."""
    if not path.exists():
        return Lock()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Lock({url: LockedModel(**entry) for url, entry in raw["models"].items()}, dict(raw["sources"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path.name} is damaged; restore it from git and run `make lock` again") from error


def save(lock: Lock, path: Path = PATH) -> None:
    """Write the lock file: sorted, so that a change shows as one line."""
    path.write_text(json.dumps(asdict(lock), indent=2, sort_keys=True) + "\n", encoding="utf-8")
