"""The receivers of the gateway's address, what they get, and what a failure does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack_settings
from stacks.cli.pulumi.engine import Engine
from stacks.cli.reports import notification
from stacks.cli.reports.notification import AddressChange
from stacks.sections import NotifySection, TokensSection
from stacks.settings import Settings, parse
from tests.unit.stacks.stack_file import raw

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
EVENT = AddressChange(notification.UP, "dev", "https://p1-8189.proxy.runpod.net", "p1")
OUTPUTS = {"gatewayUrl": "https://p1-8189.proxy.runpod.net", "podId": "p1"}


def chosen_settings(secret: str = SECRET, **wanted: str) -> Settings:
    changes = {"notify": NotifySection(**wanted), "tokens": TokensSection(notify=SecretStr(secret))}
    return parse("dev", raw(), set()).model_copy(update=changes)


class Receiver(BaseHTTPRequestHandler):
    """Takes what is posted and answers as it is told."""

    got: list[tuple[dict[str, str], str]] = []  # noqa: RUF012 - a test's
    answers: list[int] = []  # noqa: RUF012 - a test's

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Receiver.got, Receiver.answers = [], []
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/canary-in-the-path"
        server.shutdown()
        thread.join()


def tell(
    settings: Settings, root: Path, event: AddressChange = EVENT, command_seconds: float = notification.COMMAND_SECONDS
) -> tuple[list[str], list[float]]:
    slept: list[float] = []
    return notification.send(settings, event, root, slept.append, command_seconds), slept


def test_a_server_gets_a_post_that_a_standard_webhooks_library_verifies(url: str, tmp_path: Path) -> None:
    messages, _ = tell(chosen_settings(url=url), tmp_path)
    assert messages == [f"notify: {urlsplit(url).netloc} was notified"]
    ((headers, body),) = Receiver.got
    content = Webhook(SECRET).verify(body, headers)
    data = {"environment": "dev", "gatewayUrl": OUTPUTS["gatewayUrl"], "podId": "p1"}
    assert (content["type"], content["data"]) == ("environment.up", data)


def test_a_server_that_fails_is_tried_again_under_the_same_id(url: str, tmp_path: Path) -> None:
    Receiver.answers = [503, 500]
    messages, slept = tell(chosen_settings(url=url), tmp_path)
    assert messages == [f"notify: {urlsplit(url).netloc} was notified"]
    assert slept == [0.0, 1.0, 5.0]
    assert len({headers["webhook-id"] for headers, _ in Receiver.got}) == 1


@pytest.mark.parametrize("answers", [[500, 500, 500], [302, 302, 302]])
def test_an_unreachable_server_is_reported_with_a_remedy(url: str, tmp_path: Path, answers: list[int]) -> None:
    Receiver.answers = list(answers)
    (line,), _ = tell(chosen_settings(url=url), tmp_path)
    assert (
        line == f"notify: {urlsplit(url).netloc} was not notified: HTTP {answers[0]}; `make up ENV=dev` sends it again"
    )


@pytest.mark.parametrize("secret", ["", "whsec_", "x"])
def test_nothing_is_sent_unsigned_and_no_secret_is_quoted(url: str, tmp_path: Path, secret: str) -> None:
    (line,), _ = tell(chosen_settings(secret, url=url), tmp_path)
    assert "tokens.notify is missing or not a secret" in line
    assert Receiver.got == []


def test_a_command_gets_the_address_by_variables_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary")
    monkeypatch.setenv("RUNPOD_API_KEY", "canary")
    messages, _ = tell(chosen_settings(command="env > told"), tmp_path)
    assert messages == ["notify: the command ran"]
    seen = (tmp_path / "told").read_text()
    for line in ("EVENT=environment.up", "ENVIRONMENT=dev", f"GATEWAY_URL={OUTPUTS['gatewayUrl']}", "POD_ID=p1"):
        assert f"COMFYUI_{line}\n" in seen
    assert "canary" not in seen


@pytest.mark.parametrize(
    ("command", "seconds", "fault"), [("exit 3", 60.0, "exit code 3"), ("sleep 9", 0.2, "did not end within 0.2 s")]
)
def test_a_failed_command_is_reported(tmp_path: Path, command: str, seconds: float, fault: str) -> None:
    (line,), _ = tell(chosen_settings(command=command), tmp_path, command_seconds=seconds)
    assert fault in line


def test_without_receivers_nothing_is_sent(tmp_path: Path) -> None:
    assert tell(chosen_settings(), tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("kind", "outputs"), [(notification.UP, OUTPUTS), (notification.PAUSED, {"gatewayUrl": "", "podId": ""})]
)
def test_the_settings_are_read_and_a_fault_there_is_no_fault_of_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    outputs: dict[str, str],
) -> None:
    engine = Engine(Checkout(tmp_path, "dev"), {})
    monkeypatch.setattr(
        stack_settings, "read", lambda _: chosen_settings(command="echo $COMFYUI_EVENT:$COMFYUI_POD_ID > told")
    )
    notification.run(engine, kind, outputs)
    assert (tmp_path / "told").read_text() == f"{kind}:{outputs['podId']}\n"

    def refuse(_: Engine) -> Settings:
        raise CliError("no passphrase")

    monkeypatch.setattr(stack_settings, "read", refuse)
    notification.run(engine, kind, outputs)
    assert "not sent, the settings cannot be read: no passphrase" in capsys.readouterr().out


def test_an_address_without_encryption_is_refused_in_the_stack_file() -> None:
    with pytest.raises(ValueError, match="https"):
        NotifySection(url="http://example.org/services/canary-in-the-path")
    assert json.dumps(NotifySection().model_dump()) == '{"command": "", "url": ""}'
