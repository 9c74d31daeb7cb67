"""The lock file: hashes and sizes of downloads and commits of tags, recorded by `make lock` and enforced afterwards.

All environments share one file, because a file's hash and a tag's commit do not depend on the environment:
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
    """Hash and size of the file at a URL."""

    sha256: str
    sizeBytes: int  # noqa: N815 - the file's spelling, which is that of the settings


@dataclass(frozen=True)
class Lock:
    """The content of the lock file."""

    models: Mapping[str, LockedModel] = field(default_factory=dict)
    """Models by URL."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Commit by `repository@ref`."""

    def pin_model(self, model: ModelPin) -> ModelPin:
        """Return the model with the recorded hash and size; raises LockError when the settings contradict them."""
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
        """Raise LockError when a tag has another commit than the recorded one: tags do not move."""
        locked = self.sources.get(f"{source.repository}@{source.ref}", source.commit)
        if locked != source.commit:
            raise LockError(
                f"{source.name}: {source.ref} was {locked[:12]}... in the lock file and is "
                f"{source.commit[:12]}... in the settings; find out why before you change {PATH.name}"
            )

    def record(self, sources: Iterable[SourcePin], models: Iterable[ModelPin]) -> Lock:
        """Return a lock with the sources and models that a pod reported; models without a hash are left out."""
        found = [model for model in models if model.sha256 and _is_of_the_world(model.url)]
        named = [source for source in sources if source.ref and _is_of_the_world(source.repository)]
        return Lock(
            {**self.models, **{model.url: LockedModel(model.sha256, model.size_bytes) for model in found}},
            {**self.sources, **{f"{source.repository}@{source.ref}": source.commit for source in named}},
        )


def _is_of_the_world(url: str) -> bool:
    """Return whether an address is public; files on the loopback address are pinned in their stack file only."""
    return url.startswith("https://")


def load(path: Path = PATH) -> Lock:
    """Read the lock file; an absent one is empty. Raises LockError when it cannot be parsed."""
    if not path.exists():
        return Lock()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Lock({url: LockedModel(**entry) for url, entry in raw["models"].items()}, dict(raw["sources"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path.name} is damaged; restore it from git and run `make lock` again") from error


def save(lock: Lock, path: Path = PATH) -> None:
    """Write the lock file, sorted, so that a change is one line in a diff."""
    path.write_text(json.dumps(asdict(lock), indent=2, sort_keys=True) + "\n", encoding="utf-8")
