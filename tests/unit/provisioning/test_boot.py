"""The start script, run as the emulator's process runtime runs it: what it keeps, what it starts, how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from provisioning import contract
from provisioning.host import environ
from provisioning.layout import Layout
from provisioning.vault import signed

Boot = Callable[[], "subprocess.Popen[str]"]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def boot(layout: Layout, tmp_path: Path) -> Iterator[Boot]:
    """Start the script with the environment the contract gives it; ended afterwards with all it started."""
    env = contract.PodEnv(contract.boot_script(), "HOST-KEY-CANARY", "ssh-ed25519 AAAA", "VOLUME-KEY").to_env()
    pod = {"POD_ROOT": str(layout.root), "PATH": os.environ["PATH"], "RUNPOD_API_KEY": "pod-key", "MULTI": "a\nb"}
    children: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = ["bash", "-c", 'eval "$COMFYUI_BOOT_SCRIPT"']
        child = subprocess.Popen(
            command, env=env | pod, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=60)


def install(layout: Layout, text: str) -> None:
    layout.start.parent.mkdir(parents=True, exist_ok=True)
    staged = layout.start.with_name("staged")
    staged.write_text(f"#!/bin/sh\n{text}\n")
    staged.chmod(0o755)
    staged.rename(layout.start)


def test_the_environment_is_kept_for_root_alone_and_without_the_host_key(boot: Boot, layout: Layout) -> None:
    boot()
    until(lambda: layout.environ.exists() and b"MULTI" in layout.environ.read_bytes())
    assert stat.S_IMODE(layout.environ.stat().st_mode) == 0o600
    kept = environ.read(layout)
    assert (kept["RUNPOD_API_KEY"], kept["MULTI"]) == ("pod-key", "a\nb")
    assert [name for name in kept if name.startswith("COMFYUI_")] == [
        contract.BOOT_REVISION_VARIABLE,
        contract.VOLUME_KEY_VARIABLE,
    ]


def test_it_starts_what_the_installer_puts_there_and_starts_it_again(boot: Boot, layout: Layout) -> None:
    boot()
    install(layout, 'echo started >>"$POD_ROOT/count"; env >"$POD_ROOT/env"; exit 3')
    count = layout.root / "count"
    until(lambda: count.exists() and count.read_text().count("started") >= 2)
    assert "HOST-KEY-CANARY" not in (layout.root / "env").read_text()


def test_a_stop_reaches_what_it_started(boot: Boot, layout: Layout) -> None:
    install(layout, 'trap "echo stopped >\\"$POD_ROOT/end\\"; exit 0" TERM; touch "$POD_ROOT/up"; sleep 60 & wait')
    child = boot()
    until((layout.root / "up").exists)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 0
    until((layout.root / "end").exists)


@pytest.mark.parametrize("limit", ["unlimited", "4"])
def test_what_could_not_be_read_to_its_end_counts_as_unchecked(tmp_path: Path, limit: str) -> None:
    """A disk that fails half-way, here by a limit in kilobytes, must not leave the half for use."""
    text = contract.boot_script()
    function = text[text.index("verified() {") : text.index("install_sshd()")]
    signed.write(tmp_path / "a.tar", "KEY", b"x" * 20_000)
    # Python looks for modules in the working directory, unless it is told not to.
    (tmp_path / "hashlib.py").write_text("raise SystemExit('not this one')")
    script = f"home={tmp_path}; key=KEY; {function}\nulimit -f {limit}; verified a.tar {tmp_path}/copy"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (limit == "unlimited"), done.stdout
    assert (tmp_path / "copy").exists() is (limit == "unlimited")
    assert not (tmp_path / "copy.unchecked").exists()


# It wants its folder even to print its settings; where it never ran, one is made that only this process sees.
ALONE = ["unshare", "--mount"] if os.geteuid() == 0 and shutil.which("unshare") else []
RUN = "test -d /run/sshd || { mount -t tmpfs none /run && mkdir -m 0755 /run/sshd; }; exec /usr/sbin/sshd -T -f"


@pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="OpenSSH's server is not installed")
@pytest.mark.skipif(
    not (ALONE or Path("/run/sshd").is_dir()),
    reason="OpenSSH's server never ran here and wants /run/sshd, which only root can make out of others' sight",
)
def test_sshd_accepts_the_settings_and_they_are_strict(tmp_path: Path) -> None:
    text = contract.boot_script()
    config = text[text.index("Port ${") : text.index("\nEOF")]
    for name, value in (("${POD_PORT_22:-22}", "22"), ("$run", str(tmp_path))):
        config = config.replace(name, value)
    key = tmp_path / "ssh/host_key"
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "config").write_text(config + "\n")
    command = [*ALONE, "sh", "-c", f'{RUN} "$1"', "sh", str(tmp_path / "config")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in (
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "x11forwarding no",
        "allowagentforwarding no",
        "allowtcpforwarding local",
        "permitopen 127.0.0.1:8188 127.0.0.1:8189",
        "maxauthtries 3",
        "hostkeyalgorithms ssh-ed25519",
        "pubkeyacceptedalgorithms ssh-ed25519",
    ):
        assert line in shown.splitlines()
