"""Which engine this machine gets: the first source, in a fixed order, that has a usable one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import SetupError
from tools.progress import say


@dataclass(frozen=True)
class Engine:
    """An engine ready to run: the folder with `pulumi` and its language host, its version and where it came from."""

    folder: str
    version: str
    origin: str


class UnavailableError(Exception):
    """This source has no usable engine here; the message says why, in a few words."""


@dataclass(frozen=True)
class Source:
    """One way to get an engine. `get` raises UnavailableError to pass on to the next; a `silent` one needs no word."""

    name: str
    get: Callable[[], Engine]
    silent: bool = False


def choose(sources: Sequence[Source]) -> Engine:
    """The first engine a source yields.

    Raises:
        SetupError: none does; the message lists every source with its reason.
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
        "No Pulumi engine could be had (" + "; ".join(reasons) + "). "
        "Install Pulumi 3.217 from https://www.pulumi.com/docs/install/versions/ and run the same command again."
    )


def program(folder: Path) -> Path:
    """The engine's program in its folder."""
    return folder / "pulumi"
