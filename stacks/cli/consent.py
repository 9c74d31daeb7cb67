"""Asks before something is lost: a person answers on a terminal, YES= answers elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from components.naming import PROJECT
from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.options import says_yes


@dataclass(frozen=True)
class Consent:
    """How a deletion in one environment is confirmed."""

    env: str
    given: bool = False
    """YES= has said it already."""
    answer: Callable[[str], str] | None = None
    """Asks a person; None where there is no terminal."""
    confirms: bool = True
    """Whether `up` and `destroy` need a yes at all; `comfyui-runpod:confirm` in the stack file."""

    def require(self, what: str, losses: Iterable[str]) -> None:
        """Return when the action and its losses are confirmed.

        Raises:
            CliError: Nobody agreed; nothing was done.
        """
        messages = [f"{what}:", *(f"  {loss}" for loss in losses)]
        if self.given or not self.confirms:
            print("\n".join(messages), flush=True)
            return
        if self.answer is None:
            word = f"nothing was done; run it again with YES=1 or YES={self.env}"
            raise CliError("\n".join([*messages, word]))
        print("\n".join(messages), flush=True)
        if not self._agrees(f"type {self.env} to continue: "):
            raise CliError("not confirmed; nothing was done")

    def offer(self, question: str) -> bool:
        """Return whether to act on what was listed: YES= said so, or a person on the terminal agrees."""
        return self.given or (self.answer is not None and self._agrees(f"{question} type {self.env} to do it: "))

    def _agrees(self, prompt: str) -> bool:
        try:
            return self.answer is not None and self.answer(prompt).strip() == self.env
        except EOFError:
            return False


def from_option(checkout: Checkout, word: str | None) -> Consent:
    """Return who may agree: YES=, or the person at the terminal."""
    there = sys.stdin is not None and sys.stdin.isatty()
    confirm = (checkout.stack_yaml().get("config") or {}).get(f"{PROJECT}:confirm")
    # `pulumi config set` writes every value of the file anew, as text.
    confirms = str(confirm).lower() != "false"
    return Consent(checkout.env, says_yes(word, checkout.env), input if there else None, confirms)
