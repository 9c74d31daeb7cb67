"""Asks before something is lost: on a terminal a person answers, elsewhere YES= has to say it in advance."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stacks.cli.errors import CliError
from stacks.cli.options import says_yes
from stacks.cli.place import PROJECT, Place


@dataclass(frozen=True)
class Consent:
    """Who may say yes for one environment, and how."""

    env: str
    given: bool = False
    """YES= has said it already."""
    answer: Callable[[str], str] | None = None
    """Asks a person; None where there is no terminal."""
    confirms: bool = True
    """Whether `up` and `destroy` need a yes at all; `comfyui-runpod:confirm` in the stack file."""

    def require(self, what: str, losses: Iterable[str]) -> None:
        """Return once somebody has agreed to an act and to what it loses.

        Raises:
            CliError: Nobody agreed; nothing was done.
        """
        told = [f"{what}:", *(f"  {loss}" for loss in losses)]
        if self.given or not self.confirms:
            print("\n".join(told), flush=True)
            return
        if self.answer is None:
            word = f"say YES=1 or YES={self.env} to do it; nothing was done"
            raise CliError("\n".join([*told, word]))
        print("\n".join(told), flush=True)
        if not self._agrees(f"type {self.env} to go on: "):
            raise CliError("not confirmed; nothing was done")

    def offer(self, question: str) -> bool:
        """Return whether to act on what was listed: YES= said so, or a person on the terminal agrees."""
        return self.given or (self.answer is not None and self._agrees(f"{question} type {self.env} to do it: "))

    def _agrees(self, prompt: str) -> bool:
        try:
            return self.answer is not None and self.answer(prompt).strip() == self.env
        except EOFError:
            return False


def of(place: Place, word: str | None) -> Consent:
    """Return who may agree: YES=, or the person at the terminal."""
    there = sys.stdin is not None and sys.stdin.isatty()
    confirm = (place.stack_yaml().get("config") or {}).get(f"{PROJECT}:confirm")
    # `pulumi config set` writes every value of the file anew, as text.
    confirms = str(confirm).lower() != "false"
    return Consent(place.env, says_yes(word, place.env), input if there else None, confirms)
