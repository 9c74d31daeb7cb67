"""A checkout under test, and what every refusal has to be: one clear sentence, no traceback, an exit code."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.e2e.checkout import LOCAL_MODELS, LOCAL_SETTINGS, Checkout, Result
from tests.integration.faults.account import Account

PULUMI = ".venv/bin/pulumi"
COMMIT = ("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam")


@dataclass(frozen=True)
class Bench:
    """A clone whose local environment is used, and the RunPod it talks to."""

    checkout: Checkout
    account: Account
    key: str
    """The account's key: a text that occurs nowhere else."""

    def pulumi(self, *words: str) -> Result:
        """Run plain `pulumi`, as someone does who has activated the environment."""
        return self.checkout.run(PULUMI, *words, "-s", "local", "--non-interactive")

    def set_key(self, key: str) -> None:
        assert self.pulumi("config", "set", "--secret", "runpod:apiKey", key).code == 0

    def edit(self, old: str, new: str, name: str = LOCAL_SETTINGS) -> None:
        """Replace what a regular expression finds first in a settings file."""
        file = self.checkout.path / name
        text, count = re.subn(old, new, file.read_text(encoding="utf-8"), count=1)
        assert count, f"{name} does not hold {old!r}"
        file.write_text(text, encoding="utf-8")

    def edit_models(self, old: str, new: str) -> None:
        self.edit(old, new, LOCAL_MODELS)

    @contextmanager
    def untouched_afterwards(self) -> Iterator[None]:
        """Take back every change of the checkout's files, and every fault."""
        try:
            yield
        finally:
            self.checkout.run("git", "checkout", "-q", "-f", "work")
            if self.answers():
                self.account.tell("faults", [])
                self.account.conditions(ssh_refused="", volume_megabytes=0, revoked_keys="")

    def answers(self) -> bool:
        try:
            return bool(self.account.ask("health"))
        except OSError:
            return False

    def billed(self) -> list[dict[str, Any]]:
        """Return what `make pods` reports; it must be all there is, and what a pod costs."""
        reported: list[dict[str, Any]] = self.checkout.json("pods")
        assert sorted(entry["id"] for entry in reported) == self.account.holds()
        return reported

    def state(self) -> dict[str, Any]:
        """Return the state with its secrets in clear."""
        exported = self.pulumi("stack", "export", "--show-secrets")
        assert exported.code == 0, exported.text
        return dict(json.loads(exported.out)["deployment"])

    def plan(self) -> dict[str, str]:
        """Return what a preview would do, as operation by resource name; what stays the same is left out."""
        preview = self.pulumi("preview", "--json")
        assert preview.code == 0, preview.text
        steps = json.loads(preview.out)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] not in ("same", "refresh")}


def new_bench(checkout: Checkout) -> Bench:
    """Set a clone up with a key of its own."""
    port = re.search(r"apiUrl: http://127\.0\.0\.1:(\d+)", checkout.settings())
    assert port
    bench = Bench(checkout, Account(int(port[1])), f"canary{secrets.token_hex(12)}")
    checkout.made("setup")
    assert bench.pulumi("stack", "init").code == 0
    bench.set_key(bench.key)
    assert checkout.run(*COMMIT, "A key of its own").code == 0
    return bench


def refusal(result: Result) -> str:
    """Return what a command said, in one line; it must have failed and be meant for a person."""
    assert result.code not in (0, -signal.SIGKILL), result.text
    assert "Traceback" not in result.text
    assert "panic" not in result.text
    return " ".join(result.text.split())


def stop_when(bench: Bench, line: str, number: signal.Signals) -> Result:
    """Run `make up` and send a signal to all that a terminal's Ctrl-C would reach once a line was printed."""
    process = bench.checkout.start("make", "up")
    assert process.stdout
    said = ""
    while line not in said:
        text = process.stdout.readline()
        assert text, f"`make up` ended without {line!r}:\n{said}"
        said += text
    return end(process, number, said)


def end(process: subprocess.Popen[str], number: signal.Signals, said: str = "") -> Result:
    """Interrupt `make` as a terminal does, or kill it with everything it started."""
    if number == signal.SIGKILL:
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):  # plugins end by themselves as soon as their engine is gone
                os.kill(pid, number)
    else:
        os.killpg(process.pid, number)
    out, err = process.communicate(timeout=300)
    return Result(process.returncode, said + out, err)


def descendants(pid: int) -> list[int]:
    """Return a process and all it started that still belongs to it, the eldest first."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents: dict[int, int] = {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found
