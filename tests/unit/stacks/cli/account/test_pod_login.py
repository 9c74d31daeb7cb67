"""How `make ssh`, `backup` and `restore` find the pod: its address of now, and the pair that belongs to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.runpod.api import Pod
from components.runpod.api.errors import NotFoundError, UnreachableError
from stacks.cli.account import pod_login
from stacks.cli.account.pod_login import PodLogin
from stacks.cli.commands import pod
from stacks.cli.errors import CliError
from tests.unit.stacks.cli.listed_resources import a_pod

KNOWN = PodLogin("p1", "1.2.3.4", 2200, "PRIVATE", "ssh-ed25519 H")


def a_state(env: str = "local", **outputs: Any) -> dict[str, Any]:  # noqa: ANN401
    secret = {"plaintext": json.dumps("PRIVATE")}
    pairs = [
        {"type": "runpod:index:SshKeyPair", "urn": f"a::{env}-gpu-{role}-key",
         "outputs": {"privateKey": secret, "publicKey": f"ssh-ed25519 {role[0].upper()}"}}
        for role in ("host", "login")
    ]  # fmt: skip
    return {"resources": [*pairs, {"type": "runpod:index:Pod", "id": "p1", "urn": "a::pod", "outputs": outputs}]}


class Account:
    """The API, as far as one pod goes."""

    def __init__(self, found: Pod | Exception) -> None:
        self.found = found

    def get_pod(self, pod_id: str) -> Pod:
        assert pod_id == "p1"
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def now(found: Pod | Exception) -> PodLogin:
    return pod_login.current_login(Account(found), KNOWN, "dev")  # type: ignore[arg-type]


@pytest.mark.parametrize("env", ["local", "hosted", "login-test"])
def test_the_login_pins_the_hosts_key_whatever_the_environment_is_called(env: str) -> None:
    assert pod_login.login_in_state(a_state(env, sshHost="1.2.3.4", sshPort=2200.0), env) == KNOWN


def test_a_pod_that_waits_for_its_deletion_is_not_the_one() -> None:
    state = a_state(sshHost="1.2.3.4", sshPort=2200)
    old = {"type": "runpod:index:Pod", "id": "old", "delete": True, "outputs": {"sshHost": "9", "sshPort": 9}}
    state["resources"].append(old)
    assert pod_login.login_in_state(state, "local") == KNOWN


def test_without_a_pod_there_is_no_login() -> None:
    with pytest.raises(CliError, match="make up ENV=local"):
        pod_login.login_in_state(a_state(), "local")


def test_the_address_is_the_one_of_now() -> None:
    found = now(a_pod("p1", ssh={"direct": {"host": "5.6.7.8", "port": 4711}}))
    assert (found.host, found.port, found.host_key) == ("5.6.7.8", 4711, "ssh-ed25519 H")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (a_pod("p1", status="EXITED", cost=0.0), "p1 is EXITED.*make up ENV=dev"),
        (NotFoundError("GET", "no"), "p1 no longer exists.*make up ENV=dev"),
    ],
)
def test_a_stopped_pod_is_an_error_without_a_connection(found: Pod | Exception, words: str) -> None:
    with pytest.raises(CliError, match=words):
        now(found)


def test_without_an_answer_the_known_address_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert now(UnreachableError("GET", "nothing answers")) == KNOWN
    assert "last `make up`" in capsys.readouterr().err


def test_a_failure_of_ssh_itself_names_the_pod_and_what_to_do() -> None:
    text = pod.unreachable(KNOWN, "dev")
    assert "pod p1 is at 1.2.3.4:2200" in text
    assert "Host key verification failed" in text
    assert "make doctor ENV=dev" in text
