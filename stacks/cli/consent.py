"""Confirmation before data is lost: by a prompt on a terminal, or by YES=."""

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
    """Whether YES= confirms in advance."""
    answer: Callable[[str], str] | None = None
    """Prompts on the terminal; None without one."""
    confirms: bool = True
    """Whether `up` and `destroy` need a confirmation; `comfyui-runpod:confirm` in the stack file."""

    def require(self, what: str, losses: Iterable[str]) -> None:
        """Return when the action and its losses are confirmed.

        Raises:
            CliError: Not confirmed; nothing was done.
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
        """Return whether the listed action is confirmed, by YES= or on the terminal."""
        return self.given or (self.answer is not None and self._agrees(f"{question} type {self.env} to continue: "))

    def _agrees(self, prompt: str) -> bool:
        try:
            return self.answer is not None and self.answer(prompt).strip() == self.env
        except EOFError:
            return False


def from_option(checkout: Checkout, word: str | None) -> Consent:
    """Return the confirmation by YES= or by the terminal."""
    there = sys.stdin is not None and sys.stdin.isatty()
    confirm = (checkout.stack_yaml().get("config") or {}).get(f"{PROJECT}:confirm")
    # `pulumi config set` rewrites every value of the file as text.
    confirms = str(confirm).lower() != "false"
    return Consent(checkout.env, says_yes(word, checkout.env), input if there else None, confirms)
