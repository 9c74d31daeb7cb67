"""A checkout with the tiny program: plain `pulumi` and the commands behind `make` work on it as on the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.cli.checkout import Checkout
from stacks.cli.commands import destroy, emulator
from stacks.cli.consent import Consent
from stacks.cli.pulumi import environment, stack, state_locks
from tests.integration.provider import bench

PROGRAM = Path(__file__).with_name("program.py")
PLUGIN = bench.CHECKOUT / "components" / "runpod" / "plugin"
KEY = "rpa_canary_proof_1"
BOUND = 240.0
"""Seconds for one command of the engine; a loaded machine needs many times what an idle one does."""
POD_URN = "urn:pulumi:local::comfyui-runpod::runpod:index:Pod::pod"


@dataclass
class Site:
    """One environment with a file backend of its own."""

    checkout: Checkout
    environ: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, fails: bool = False) -> str:
        process = self.start(*arguments)
        try:
            output = process.communicate(timeout=BOUND)[0].decode()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # Its plugins end when they lose it.
            raise
        assert (process.returncode != 0) == fails, output
        return output

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start plain `pulumi` as the leader of a session of its own, so that a test can end its whole tree."""
        return subprocess.Popen(
            [
                f"{self.checkout.setup()['engine']['folder']}/pulumi",
                *arguments,
                "--stack",
                self.checkout.env,
                "--non-interactive",
            ],
            cwd=self.checkout.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def up(self, *arguments: str, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", *arguments, fails=fails)

    def pulumi_destroy(self, *arguments: str, fails: bool = False) -> str:
        return self.run("destroy", "--yes", "--skip-preview", *arguments, fails=fails)

    def make_destroy(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Do what `make destroy` does, but for starting the stand-in: the one of these tests runs already."""
        with monkeypatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.setattr(emulator, "start", lambda _place: None)
            return destroy.run(self.checkout, Consent("local", given=True))

    def break_lock(self) -> None:
        """Remove what a killed engine left, by the rules of `make up`."""
        folder = state_locks.folder(self.checkout, self.environ)
        assert folder is not None
        state_locks.break_stale(folder)
        assert not list(folder.glob("*.json"))

    def settings(self, **values: str) -> None:
        """Change plain settings; the program's own are called `proof:<name>`."""
        document = self.checkout.stack_yaml()
        document["config"] |= {name.replace("__", ":"): value for name, value in values.items()}
        self.checkout.stack_file.write_text(yaml.safe_dump(document))

    def resources(self) -> list[dict[str, Any]]:
        """What the engine has saved last."""
        file = self.checkout.state / "pulumi" / ".pulumi" / "stacks" / "comfyui-runpod" / "local.json"
        if not file.exists():
            return []
        return json.loads(file.read_text())["checkpoint"]["latest"].get("resources") or []

    def ids(self, kind: str = stack.POD) -> list[str]:
        return [item["id"] for item in self.resources() if item["type"] == kind]

    def intents(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted((self.checkout.state / "intents").glob("*.json"))]


def new_site(folder: Path, engine: Path, url: str, *, plugin: Path = PLUGIN, **settings: str) -> Site:
    """Lay out a checkout of its own; `settings` are the program's."""
    checkout = lay_out(folder, engine, plugin)
    site = Site(checkout, prepared_environ(checkout))
    site.run("stack", "init")
    site.run("config", "set-all", *plain_settings(url, settings))
    return site


def lay_out(folder: Path, engine: Path, plugin: Path = PLUGIN) -> Checkout:
    """Write the files of a checkout."""
    for name in ("stacks", "program", ".cache", ".state"):
        (folder / name).mkdir(parents=True)
    shutil.copy(PROGRAM, folder / "program" / "__main__.py")
    project = {"name": "comfyui-runpod", "runtime": "python", "main": "program", "stackConfigDir": "stacks"}
    plugins = {"providers": [{"name": "runpod", "path": str(plugin)}]}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({**project, "plugins": plugins}))
    setup = {"engine": {"folder": str(engine)}, "pulumi_home": str(folder / "home")}
    (folder / ".cache" / "setup.json").write_text(json.dumps(setup))
    (folder / "stacks" / "Pulumi.local.yaml").write_text("config: {}\n")
    return Checkout(folder, "local")


def plain_settings(url: str, settings: dict[str, str]) -> Iterable[str]:
    """Return the arguments of `config set-all` for the API, its key and the program's settings."""
    runpod = {"runpod:apiUrl": url, "runpod:proxyUrlTemplate": "http://127.0.0.1:{publicPort}"}
    values = runpod | {"runpod:lateEffectSeconds": "4"} | {f"proof:{name}": value for name, value in settings.items()}
    plain = [part for name, value in values.items() for part in ("--plaintext", f"{name}={value}")]
    return ["--secret", f"runpod:apiKey={KEY}", *plain]


def prepared_environ(checkout: Checkout) -> dict[str, str]:
    """Return the environment of an engine, with a passphrase, without policies, and with the stack's own records."""
    # Without cached bytecode every start of a plugin would compile the whole SDK again.
    left_out = ("PULUMI_", "RUNPOD_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    own = {
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_OPTION_POLICY_PACK": "",
        "COMFYUI_RUNPOD_STATE": str(checkout.state),
        "PATH": f"{bench.CHECKOUT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    return environment.for_engine(checkout, {**kept, **own})
