"""The example bot against the stand-in: every order is answered once, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.clients.site import ROOT, Site, opened, until, workflow

pytestmark = pytest.mark.slow

PROMPTS = ("a fox [stand-in: slow 3]", "an owl", "a heron", "a marten", "[stand-in: fail] a wolf")


@dataclass
class Running:
    """The bot as a process, restarted over the same folder."""

    site: Site
    folder: Path
    process: subprocess.Popen[str] | None = None
    said: list[Path] = field(default_factory=list)

    def start(self, *prompts: str) -> None:
        command = [sys.executable, "-m", "examples.discord_bot", str(self.folder / "workflow.json"), str(self.folder)]
        environ = {"PATH": os.environ["PATH"], "COMFY_BASE_URL": self.site.url, "COMFY_API_KEY": self.site.alice}
        self.said.append(self.folder / f"said-{len(self.said)}.jsonl")
        with self.said[-1].open("w") as said:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, text=True
            )
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{prompt}\n" for prompt in prompts))
        self.process.stdin.close()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def end(self) -> None:
        assert self.process is not None
        assert self.process.wait(120) == 0, self.said[-1].read_text()

    def heard(self) -> list[str]:
        lines = "".join(path.read_text() for path in self.said).splitlines()
        return [json.loads(line)["text"] for line in lines if line.startswith("{")]

    def pictures(self) -> list[str]:
        return sorted(path.name[:36] for path in self.folder.glob("*.png"))

    def orders(self) -> list[dict[str, str | None]]:
        path = self.folder / "orders.json"
        return list(json.loads(path.read_text())) if path.exists() else []


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Running]:
    # So few places that the bot's orders do not all fit: the rest are told 429.
    with opened(tmp_path / "site", max_queued_per_owner=2) as site:
        running = Running(site, tmp_path)
        (tmp_path / "workflow.json").write_text(json.dumps(workflow()), encoding="utf-8")
        yield running
        if running.process is not None and running.process.poll() is None:
            running.kill()


def jobs(site: Site) -> dict[str, str]:
    with site.client(site.alice) as client:
        return {job["id"]: job["status"] for job in client.get("/api/v2/jobs", params={"limit": 100}).json()["jobs"]}


def test_every_order_is_answered_once_whatever_is_killed(bot: Running) -> None:
    bot.start(*PROMPTS)
    until(lambda: any(text.startswith("drawing") for text in bot.heard()), "progress")
    until(lambda: len(bot.orders()) == len(PROMPTS), "all orders written down")
    bot.kill()
    ids = {order["id"] for order in bot.orders()}
    assert len(jobs(bot.site)) <= 2, "the others were told to wait"
    bot.site.gateway.stop()
    bot.start()
    bot.site.gateway.start()
    until(bot.pictures, "the first picture")
    bot.site.gateway.stop()
    bot.site.gateway.start()
    bot.end()
    assert bot.orders() == []
    states = list(jobs(bot.site).values())
    assert sorted(states) == ["failed"] + ["succeeded"] * 4, "no order became two jobs"
    assert len(set(bot.pictures()) & ids) == len(bot.pictures()) == 4
    sorry = [text for text in bot.heard() if text.startswith("sorry")]
    assert len(sorry) == 1
    assert "failed" in sorry[0]
