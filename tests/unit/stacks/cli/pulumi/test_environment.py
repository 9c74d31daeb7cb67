"""Passphrases and the engine's environment: the caller's own settings win, and nothing is overwritten."""

import json
import stat
from pathlib import Path

import pytest

from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, passphrase, passthrough


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  runpod:apiUrl: http://127.0.0.1:9\n")
    (tmp_path / ".cache").mkdir()
    setup = {"engine": {"folder": "/engine/bin"}, "pulumi_home": "/plugins"}
    (tmp_path / ".cache" / "setup.json").write_text(json.dumps(setup))
    return Checkout(tmp_path, "dev")


def test_without_a_passphrase_there_is_none(checkout: Checkout) -> None:
    assert passphrase.settings(checkout, {}) is None
    with pytest.raises(CliError, match="make init ENV=dev"):
        environment.prepared(checkout, {})


def test_the_public_passphrase_serves_the_environment_that_guards_nothing(checkout: Checkout) -> None:
    found = passphrase.settings(Checkout(checkout.root, "local"), {}) or {}
    assert Path(found["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() == "local"


def test_a_made_passphrase_is_private_random_and_never_overwritten(checkout: Checkout) -> None:
    file = passphrase.create(checkout)
    text = file.read_text()
    assert len(text) >= 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(CliError, match="exists already"):
        passphrase.create(checkout)
    assert file.read_text() == text
    assert passphrase.settings(checkout, {}) == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}


@pytest.mark.parametrize("own", [{"PULUMI_CONFIG_PASSPHRASE": ""}, {"PULUMI_CONFIG_PASSPHRASE_FILE": "/my/file"}])
def test_the_callers_own_passphrase_wins(checkout: Checkout, own: dict[str, str]) -> None:
    passphrase.create(checkout)
    assert passphrase.settings(checkout, own) == {}


def test_another_environments_file_from_make_env_does_not_count_as_the_callers(checkout: Checkout) -> None:
    ours = passphrase.create(checkout)
    other = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(ours.parent / "staging")}
    assert passphrase.settings(checkout, other) == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(ours)}


def test_the_engine_gets_plugins_policies_and_a_backend_of_this_checkout(checkout: Checkout) -> None:
    environ = environment.for_engine(checkout, {"PATH": "/usr/bin", "HOME": "/home/me"})
    assert environ["PULUMI_BACKEND_URL"] == f"file://{checkout.root}/.state/pulumi"
    assert environ["PULUMI_OPTION_POLICY_PACK"] == f"{checkout.root}/policies"
    assert environ["PULUMI_HOME"] == "/plugins"
    assert environ["PATH"] == f"/engine/bin:{checkout.root}/.venv/bin:/usr/bin"


def test_state_is_for_its_owner_alone(checkout: Checkout) -> None:
    """The engine writes its files readable for all, and the passphrase of `local` is public."""
    (checkout.state / "pulumi").mkdir(parents=True, mode=0o755)
    environment.settings(checkout, {})
    assert stat.S_IMODE(checkout.state.stat().st_mode) == 0o700


def test_a_backend_and_a_login_of_the_caller_stay(checkout: Checkout) -> None:
    own = {"PULUMI_BACKEND_URL": "s3://bucket", "PULUMI_HOME": "/mine"}
    environ = environment.for_engine(checkout, own)
    assert environ["PULUMI_BACKEND_URL"] == "s3://bucket"
    assert environ["PULUMI_CREDENTIALS_PATH"] == "/mine"


def test_an_unknown_environment_lists_the_known_ones(checkout: Checkout) -> None:
    with pytest.raises(CliError, match=r"no environment 'nope'.*there are dev"):
        environment.prepared(Checkout(checkout.root, "nope"), {})


def test_a_checkout_that_is_not_set_up_says_so(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="make setup"):
        Checkout(tmp_path, "dev").setup()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["up", "-s", "dev"], "dev"),
        (["up", "--stack", "organization/comfyui-runpod/prod"], "prod"),
        (["--stack=staging", "preview"], "staging"),
        (["up"], None),
    ],
)
def test_the_stack_a_plain_command_means(tmp_path: Path, arguments: list[str], name: str | None) -> None:
    assert passthrough.stack_name(arguments, tmp_path, {}) == name


def test_a_selected_stack_is_meant_when_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "pulumi-home" / "workspaces"
    folder.mkdir(parents=True)
    (folder / "comfyui-runpod-0a1b-workspace.json").write_text('{"stack": "organization/comfyui-runpod/dev"}')
    assert passthrough.stack_name(["up"], tmp_path, {}) == "dev"
    assert passthrough.stack_name(["up"], tmp_path, {"PULUMI_STACK": "prod"}) == "prod"


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["up", "-s", "dev"], True),
        (["-s", "dev", "preview"], True),
        (["destroy", "-s", "up"], False),
        (["logs"], False),
    ],
)
def test_plain_up_and_preview_refresh_with_the_key_of_now_and_destroy_needs_no_program(
    words: list[str], runs: bool
) -> None:
    assert bool(passthrough.command_variables(words)) is runs
