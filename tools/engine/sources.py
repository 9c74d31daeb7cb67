"""Selection of the engine: the first source, in a fixed order, with a usable one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import SetupError
from tools.progress import say


@dataclass(frozen=True)
class InstalledEngine:
    """An installed engine: the folder with `pulumi` and its language host, version and origin."""

    folder: str
    version: str
    origin: str


class UnavailableError(Exception):
    """This source has no usable engine; the message gives the reason."""


@dataclass(frozen=True)
class Source:
    """A source of an engine; `get` raises UnavailableError if it has none, and `silent` suppresses the message."""

    name: str
    get: Callable[[], InstalledEngine]
    silent: bool = False


def choose(sources: Sequence[Source]) -> InstalledEngine:
    """Return the engine of the first source that has one.

    Raises:
        SetupError: no source has one; the message lists every source with its reason.
    """
    reasons: list[str] = []
    for source in sources:
        try:
            return source.get()
        except UnavailableError as error:
            if not source.silent:
                say(f"  engine: {source.name}: {error}")
                reasons.append(f"{source.name}: {error}")
    raise SetupError(
        "No Pulumi engine is available (" + "; ".join(reasons) + "). "
        "Install Pulumi 3.217 from https://www.pulumi.com/docs/install/versions/ and run the same command again."
    )


def program(folder: Path) -> Path:
    """Return the engine's program in its folder."""
    return folder / "pulumi"
