from __future__ import annotations

import hmac
import io
import json
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.gateway.__main__ import main
from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.settings import SeedKey, SettingsError, load
from provisioning.gateway.keys import seeding
from tests.unit.gateway.conftest import PEPPER, Keys, ManualClock


def seed(name: str, token: str, *scopes: Scope) -> SeedKey:
    return SeedKey.model_validate({"name": name, "key": token, "scopes": scopes or (Scope.CLIENT,)})


@pytest.fixture
def store(database: Database) -> Keys:
    return Keys(database, PEPPER, ManualClock())


def test_a_key_has_the_documented_format() -> None:
    token = key_format.mint()
    assert re.fullmatch(r"cgw_live_[0-9A-Za-z]{46}", token)
    assert key_format.key_id(token) == token[9:17]
    assert len({key_format.mint() for _ in range(100)}) == 100


@given(st.text(alphabet=key_format.ALPHABET, min_size=40, max_size=40))
def test_the_checksum_is_the_crc_in_base_62(body: str) -> None:
    text = key_format.PREFIX + body
    value = 0
    for digit in key_format.checksum(text):
        value = value * 62 + key_format.ALPHABET.index(digit)
    assert value == zlib.crc32(text.encode())
    assert key_format.key_id(text + key_format.checksum(text)) == body[:8]


@given(st.text(max_size=80))
def test_other_text_is_not_a_key(text: str) -> None:
    assert key_format.key_id(text) is None
    assert key_format.key_id(key_format.PREFIX + text) is None


@given(st.text(alphabet=key_format.ALPHABET, min_size=40, max_size=40), st.integers(0, 54), st.characters())
def test_a_key_with_one_wrong_character_is_malformed(body: str, place: int, other: str) -> None:
    text = key_format.PREFIX + body
    token = text + key_format.checksum(text)
    changed = token[:place] + other + token[place + 1 :]
    assert key_format.key_id(changed) == (body[:8] if changed == token else None)


@given(st.text(alphabet=key_format.ALPHABET, min_size=8, max_size=8))
def test_a_new_secret_keeps_the_id_and_a_hint_hides_the_secret(key_id: str) -> None:
    token = key_format.mint(key_id)
    assert key_format.key_id(token) == key_id
    assert key_format.hint(token) == f"cgw_live_{key_id}...{token[-4:]}"
    assert token[17:-4] not in key_format.hint(token)


async def test_unknown_ids_take_the_same_comparisons_as_known_ones(
    store: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts comparisons instead of measuring time: each refusal compares two digests in constant time."""
    known = await store.create("name", frozenset({Scope.CLIENT}))
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(len(other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for token in (key_format.mint(key_format.key_id(known)), key_format.mint()):
        with pytest.raises(Problem) as refused:
            await store.find(token)
        assert refused.value.code is Code.INVALID_KEY
    assert compared == [32] * 4


async def test_malformed_keys_never_reach_the_database(store: Keys, database: Database) -> None:
    token = key_format.mint()
    database.close()
    for place in range(9, len(token)):
        wrong = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
        with pytest.raises(Problem) as refused:
            await store.find(wrong)
        assert refused.value.code is Code.INVALID_KEY


async def test_stored_digests_are_not_accepted_as_keys(tmp_path: Path) -> None:
    database = Database(tmp_path / "keys.db")
    token = await Keys(database, PEPPER, ManualClock()).create("name", frozenset({Scope.CLIENT}))
    database.close()
    stored = (tmp_path / "keys.db").read_bytes()
    assert token[17:].encode() not in stored
    assert token.encode() not in stored


async def test_cached_hashes_are_not_accepted_as_keys(store: Keys) -> None:
    token = await store.create("name", frozenset({Scope.CLIENT}))
    assert await store.find(token) == await store.find(token)
    assert token[17:49] not in repr(vars(store))


async def test_the_same_id_with_another_secret_is_refused(store: Keys) -> None:
    token = await store.create("name", frozenset({Scope.CLIENT}))
    await store.find(token)
    forged = token[:17] + "0" * 32
    with pytest.raises(Problem) as refused:
        await store.find(forged + key_format.checksum(forged))
    assert refused.value.code is Code.INVALID_KEY


async def test_a_revoked_seed_key_stays_revoked(store: Keys) -> None:
    token = key_format.mint()
    await seeding.seed(store, [seed("client", token)])
    assert (await store.find(token)).owner == "client"
    await store.revoke(key_format.key_id(token) or "")
    await seeding.seed(store, [seed("client", token)])
    with pytest.raises(Problem) as refused:
        await store.find(token)
    assert refused.value.code is Code.KEY_REVOKED


async def test_a_rotated_seed_key_revokes_its_predecessor_and_keeps_the_owner(store: Keys) -> None:
    old, new = key_format.mint(), key_format.mint()
    await seeding.seed(store, [seed("client", old)])
    await seeding.seed(store, [seed("client", new)])
    assert (await store.find(new)).owner == "client"
    with pytest.raises(Problem) as refused:
        await store.find(old)
    assert refused.value.code is Code.KEY_REVOKED


async def test_a_malformed_seed_key_prevents_the_start(store: Keys) -> None:
    with pytest.raises(SettingsError, match="client") as error:
        await seeding.seed(store, [seed("client", "hunter2hunter2")])
    assert "hunter2" not in str(error.value)


async def test_a_key_revoked_by_another_process_is_refused_within_a_second(database: Database) -> None:
    clock = ManualClock()
    store = Keys(database, PEPPER, clock)
    token = await store.create("name", frozenset({Scope.CLIENT}))
    await store.find(token)
    other = Database(database.url)
    await Keys(other, PEPPER, clock).revoke(key_format.key_id(token) or "")
    other.close()
    clock.advance(1)
    with pytest.raises(Problem) as refused:
        await store.find(token)
    assert refused.value.code is Code.KEY_REVOKED


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.json"
    settings = {"upstream": "http://127.0.0.1:8188", "database": str(tmp_path / "keys.db"), "pepper": PEPPER}
    path.write_text(json.dumps(settings))
    return path


def test_the_commands_create_list_and_revoke_keys(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--config", str(config), "--name", "bot"]) == 0
    token = capsys.readouterr().out.strip()
    key_id = key_format.key_id(token)
    assert key_id is not None
    assert main(["keys", "revoke", "--config", str(config), key_id]) == 0
    assert main(["keys", "revoke", "--config", str(config), key_id]) == 1
    assert main(["keys", "list", "--config", str(config)]) == 0
    listing = capsys.readouterr().out
    assert key_id in listing
    assert "revoked" in listing
    assert token not in listing


def command(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command and return its exit code, output and errors."""
    code = main([*arguments[:2], "--config", str(config), *arguments[2:]])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_commands_manage_users_and_their_keys(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert command(config, capsys, "users", "create", "--name", "ada", "--role", "operator", "--password")[0] == 0
    order = ("--name", "my bot", "--owner", "ada", "--scope", "read", "--scope", "jobs", "--expires", "30d")
    limits = ("--limits", '{"max_queued": 3}', "--label", "team=red")
    code, token, _ = command(config, capsys, "keys", "create", *order, *limits)
    assert code == 0
    key_id = key_format.key_id(token.strip()) or ""
    assert command(config, capsys, "keys", "update", key_id, "--name", "other", "--expires", "never")[0] == 0
    code, rotated, said = command(config, capsys, "keys", "rotate", key_id, "--overlap", "0")
    assert (code, key_format.key_id(rotated.strip())) == (0, key_id)
    assert rotated.strip() not in said
    listing = command(config, capsys, "keys", "list")[1].splitlines()
    cells = re.split(r"\s{2,}", listing[1])
    assert (cells[:4], cells[5:]) == ([key_id, "other", "ada", "jobs,read"], ["-", "-", "active"])
    assert command(config, capsys, "users", "update", "ada", "--disabled", "yes")[0] == 0
    assert "disabled" in command(config, capsys, "users", "list")[1]
    assert command(config, capsys, "users", "delete", "ada")[0] == 0
    assert "revoked" in command(config, capsys, "keys", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "revoke", "00000000"), "there is no key 00000000"),
        (("keys", "rotate", "00000000"), "there is no key 00000000"),
        (("users", "delete", "nobody"), "there is no user nobody"),
        (("keys", "create", "--name", "x", "--owner", "nobody"), "no such user"),
        (("keys", "create", "--name", "x", "--expires", "soon"), "not an expiry time"),
        (("keys", "create", "--name", "x", "--limits", "{"), "Expecting"),
        (("keys", "create", "--name", "x", "--limits", '{"speed": 1}'), "limits.speed"),
        (("keys", "create", "--name", "x", "--label", "red"), "NAME=VALUE"),
        (("users", "create", "--name", "a/b"), "name"),
    ],
)
def test_the_commands_refuse_invalid_options(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, said = command(config, capsys, *arguments)
    assert (code, out) == (1, "")
    assert words in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pepper": "short"}, "pepper"),
        ({"nonsense": 1}, "nonsense"),
        ({"rate_limit_per_minute": 0}, "rate_limit_per_minute"),
        ({"upstream": "http://127.0.0.1:8188/x"}, "upstream"),
        ({"seed_keys": [{"name": "a", "key": "sesame-open", "scopes": ["root"]}]}, "seed_keys.0.scopes"),
        ({"seed_keys": [{"name": "a", "key": 5, "scopes": []}]}, "seed_keys.0"),
    ],
)
def test_invalid_settings_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], words: str
) -> None:
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    assert main(["serve", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert str(config) in said
    assert not any(secret in said for secret in ("sesame", PEPPER, "'short'"))


def test_a_missing_settings_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list", "--config", str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_host_is_derived_from_the_pod(config: Path) -> None:
    raw = json.loads(config.read_text())
    config.write_text(json.dumps(raw | {"pod_id": "AbC"}))
    assert load(config).allowed_hosts == {"abc-8189.proxy.runpod.net"}
    config.write_text(json.dumps(raw | {"pod_id": "AbC", "hosts": ["Own.Test"]}))
    assert load(config).allowed_hosts == {"abc-8189.proxy.runpod.net", "own.test"}
    assert PEPPER not in repr(load(config))
