"""What services are started with: parsed by supervisor itself, and free of every key."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions  # type: ignore[import-untyped]

from provisioning import contract
from provisioning.contract import GatewayPlan
from provisioning.contract.gateway_options import Options
from provisioning.errors import InstallError
from provisioning.gateway.core import settings as gateway_settings
from provisioning.host import users
from provisioning.install import serve
from provisioning.layout import SOCKET_PATH_LIMIT, Layout
from provisioning.services import comfyui, gateway, health, isolation, prepare, service_spec, start, supervisor
from provisioning.services.isolation import Isolation
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec

CANARY = "canary-pod-key"
ENVIRON = {"RUNPOD_POD_ID": "abc123", "RUNPOD_API_KEY": CANARY, "CUDA_VERSION": '12.8 %(x)s "quoted"', "PATH": "/bin"}


def wanted(front: GatewayService | None = None) -> ServiceSpec:
    service = ComfyUIService("venvs/c/bin/python", "sources/c", ("--cache-lru", "10", "100%"), "r1")
    usual = GatewayService("venvs/g/bin/python", GatewayPlan({}, 0.5), "p" * 32, "client-key", "admin-key")
    return ServiceSpec("digest", service, front or usual)


@pytest.fixture
def parsed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The programs as supervisord would run them."""
    start.make_directories(layout)
    for directory in ("sources/c", "bundle/digest"):
        (layout.local / directory).mkdir(parents=True)
    start.write_configuration(wanted(), layout, ENVIRON)
    monkeypatch.setattr("sys.argv", ["supervisord"])
    options = ServerOptions()
    options.realize(["-n", "-c", str(layout.supervisor_config)])
    return {group.name: group.process_configs[0] for group in options.process_group_configs}


def test_supervisor_parses_the_configuration(parsed: dict[str, Any], layout: Layout) -> None:
    assert set(parsed) == {"comfyui", "gateway", "prepare", "privileged-helper"}
    assert f" -- {layout.local}/venvs/c/bin/python main.py --listen 127.0.0.1" in parsed["comfyui"].command
    assert parsed["comfyui"].command.endswith("--cache-lru 10 100%")
    assert parsed["comfyui"].environment["CUDA_VERSION"] == "12.8 %(x)s quoted"
    assert all(program.autorestart for program in parsed.values())
    assert parsed["prepare"].exitcodes == [0]


@pytest.mark.parametrize(("options", "words"), [({}, "in plain text"), ({"encrypt_at_rest": True}, "are encrypted")])
def test_an_installation_reports_encryption_at_rest(options: dict[str, Any], words: str) -> None:
    read = GatewayPlan(Options.model_validate(options).model_dump(exclude_unset=True), 0.5)
    told = serve.kept(read)
    assert (words in told.partition(";")[0], "encryptAtRest: true" in told) == (True, not options)


def test_the_gateway_can_read_again_what_a_volume_gave_to_root(parsed: dict[str, Any]) -> None:
    """Such a volume may obey modes; ComfyUI's own files stay private."""
    assert (parsed["gateway"].umask, parsed["comfyui"].umask) == (0, 0o77)


def test_no_service_sees_the_pods_key(parsed: dict[str, Any], layout: Layout) -> None:
    assert not [program for program in parsed.values() if CANARY in str(program.environment)]
    assert not [name for name in parsed["comfyui"].environment if name.startswith("RUNPOD")]
    assert "client-key" not in layout.supervisor_config.read_text()


def test_secrets_are_readable_by_their_owner_alone(layout: Layout) -> None:
    start.make_directories(layout)
    start.write_configuration(wanted(), layout, ENVIRON)
    service_spec.store(layout, wanted())
    for path, mode in ((layout.gateway_config, 0o400), (layout.service_spec, 0o600), (layout.supervisor_config, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.usefixtures("parsed")
def test_what_root_notes_for_itself_is_readable_by_root_alone(layout: Layout) -> None:
    """Without Landlock, file modes are all that keeps ComfyUI's user from it."""
    isolation.apply(layout, Isolation.LANDLOCK)
    prepare.prepare(layout, wanted(), "key", Isolation.LANDLOCK, lambda _text: None)
    daemon = layout.supervisor_config.read_text().partition("[program:")[0]
    assert f"pidfile={layout.logs}/" in daemon, "its folder is root's alone"
    found = {path for path in layout.run.rglob("*") if path.is_file()}
    assert {layout.isolation, layout.gateway_config, layout.supervisor_config, layout.prepared} <= found
    assert {path for path in found if path.stat().st_mode & 0o077} == set()
    assert stat.S_IMODE(layout.run.stat().st_mode) == 0o711, "who waits for a file there passes, and lists nothing"


def test_other_users_cannot_replace_a_tree(layout: Layout) -> None:
    """Whoever may rename our directory decides what root starts."""
    start.make_directories(layout)
    layout.local.chmod(0o777)
    assert not start.directories_ready(layout)
    start.make_directories(layout)
    assert stat.S_IMODE(layout.local.stat().st_mode) == 0o755
    assert start.directories_ready(layout)


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_no_value_can_add_a_line_to_supervisors_configuration(layout: Layout, end: str) -> None:
    evil = supervisor.Program(
        "comfyui", ["x", f"y{end}user=root"], layout.home, users.COMFYUI, {"A": f"b{end}user=root"}
    )
    assert not [line for line in supervisor.render([evil], layout).splitlines() if line.startswith("user=root")]


def test_what_lies_in_the_images_working_directory_is_not_run(layout: Layout, tmp_path: Path) -> None:
    """`python -m` looks there first, and others than root may write there."""
    for place, says in ((tmp_path / "elsewhere", "evil"), (layout.bundles / "b", "ours")):
        (place / "provisioning" / "services").mkdir(parents=True)
        (place / "provisioning" / "services" / "start.py").write_text(f"print({says!r})")
    script = start.START_SCRIPT.format(local=contract.LOCAL, bundle="b")
    env = {"POD_ROOT": str(layout.root), "PATH": os.environ["PATH"]}
    ran = subprocess.run(["sh", "-c", script], cwd=tmp_path / "elsewhere", env=env, capture_output=True, check=True)
    assert ran.stdout == b"ours\n"


def test_desired_survives_being_written_and_read(layout: Layout) -> None:
    assert service_spec.read(layout) is None
    service_spec.store(layout, wanted())
    assert service_spec.read(layout) == wanted()


def test_the_gateway_takes_its_configuration(layout: Layout) -> None:
    isolation.apply(layout, Isolation.LANDLOCK)
    text = gateway.render(wanted(), layout, ENVIRON)
    read = gateway_settings.GatewaySettings.model_validate_json(text)
    assert read.hosts == ("abc123-8189.proxy.runpod.net",)
    assert read.isolation == "landlock"
    assert [key.name for key in read.seed_keys] == ["client", "admin"]


def test_the_gateways_options_and_a_shared_database_reach_it(layout: Layout) -> None:
    shared = "postgresql+psycopg://gateway:canary@db.example.org/gateway"
    plan = GatewayPlan({"hosts": ["api.example.org"], "max_queued": 7}, 0.5)
    service = GatewayService("venvs/g/bin/python", plan, "p" * 32, "client-key", "admin-key", shared)
    config = json.loads(gateway.render(wanted(service), layout, ENVIRON))
    assert config["hosts"] == ["abc123-8189.proxy.runpod.net", "api.example.org"]
    assert (config["max_queued"], config["database"]) == (7, shared)
    assert "canary" not in repr(service)


def test_a_migrated_pod_gets_its_new_name(layout: Layout) -> None:
    text = gateway.render(wanted(), layout, {"RUNPOD_POD_ID": "moved"})
    assert json.loads(text)["hosts"] == ["moved-8189.proxy.runpod.net"]


def test_ports_of_the_process_runtime_are_used(layout: Layout) -> None:
    environ: Mapping[str, str] = {"POD_PORT_8189": "40001", "POD_PORT_8188": "40002"}
    config = json.loads(gateway.render(wanted(), layout, environ))
    assert (config["port"], config["upstream"]) == (40001, "http://127.0.0.1:40002")
    assert "40002" in comfyui.command(wanted(), layout, environ)


def test_a_changed_key_changes_the_gateways_section_alone(layout: Layout) -> None:
    def sections(state: ServiceSpec) -> tuple[str, str]:
        config = gateway.render(state, layout, ENVIRON)
        text = supervisor.render(supervisor.programs(state, layout, ENVIRON, config), layout)
        head, tail = text.split("[program:gateway]")
        return head, tail

    front = GatewayService("venvs/g/bin/python", GatewayPlan({}, 0.5), "p" * 32, "other", "admin-key")
    before, after = sections(wanted()), sections(wanted(front))
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    "argument", ["--listen=0.0.0.0", "--lis", "--port", "--enable-manager", "--enable-cors-header"]
)
def test_arguments_that_open_comfyui_are_refused(argument: str) -> None:
    with pytest.raises(InstallError, match="set by the installer"):
        comfyui.validate_arguments(["--lowvram", argument])


def test_other_arguments_are_taken() -> None:
    comfyui.validate_arguments(["--lowvram", "--cache-lru", "10", "--cpu"])


def test_a_socket_path_that_is_too_long_is_put_elsewhere(layout: Layout) -> None:
    deep = Layout(layout.root / ("x" * 120))
    assert len(str(deep.supervisor_socket)) <= SOCKET_PATH_LIMIT
    assert deep.supervisor_socket != Layout(layout.root / ("y" * 120)).supervisor_socket


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("failing", "waited", "text"), [(False, 30, "did not answer within 30 s"), (True, 25, "keeps ending")]
)
def test_health_gives_up_with_the_logs_end(layout: Layout, failing: bool, waited: float, text: str) -> None:
    log = layout.home / "comfyui.log"
    log.write_text("first\n" * 100 + "CUDA out of memory\n")
    clock = Clock()
    said: list[str] = []
    service = health.AwaitedService("comfyui", lambda: False, lambda: failing, log, limit=30)
    with pytest.raises(InstallError, match=f"{text}[^$]*CUDA out of memory"):
        health.wait_for(service, said.append, clock.read, clock.sleep)
    assert said[0] == "comfyui is starting (5 s)"
    assert waited <= clock.now <= waited + 1


def test_a_service_that_goes_on_saying_things_is_waited_for(layout: Layout) -> None:
    """The first load of torch and many nodes takes as long as it takes."""
    log = layout.home / "comfyui.log"
    clock = Clock()

    def answers() -> bool:
        if clock.now < 100:
            log.write_text("x" * int(clock.now // 20))
        return clock.now > 105

    health.wait_for(
        health.AwaitedService("comfyui", answers, lambda: False, log, limit=30), lambda _: None, clock.read, clock.sleep
    )
    assert clock.now > 105
