from __future__ import annotations

import re
import zlib

import asyncssh
import pytest

from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.resources.random_secret import ALPHABET, RandomSecretHandler, checksum
from components.runpod.plugin.resources.ssh_key_pair import SshKeyPairHandler


def test_the_halves_of_a_key_pair_belong_together(operation: ProviderOperation) -> None:
    _, outputs = SshKeyPairHandler().create(operation, {"comment": "dev host"})
    private = asyncssh.import_private_key(outputs["privateKey"])
    assert private.export_public_key("openssh").decode().split()[:2] == outputs["publicKey"].split()[:2]
    assert outputs["publicKey"].endswith(" dev host")
    assert private.get_algorithm() == "ssh-ed25519"


def test_a_new_comment_keeps_the_key(operation: ProviderOperation) -> None:
    kind = SshKeyPairHandler()
    resource_id, before = kind.create(operation, {"comment": "a"})
    after = kind.update(operation, resource_id, before, {"comment": "b"})
    assert after["privateKey"] == before["privateKey"]
    assert after["publicKey"] == before["publicKey"][:-1] + "b"


@pytest.mark.parametrize("length", [16, 40, 128])
def test_a_secret_has_prefix_body_and_checksum(operation: ProviderOperation, length: int) -> None:
    kind = RandomSecretHandler()
    _, outputs = kind.create(operation, {"prefix": "cgw_live_", "length": length, "checksum": True})
    value = outputs["value"]
    assert re.fullmatch(rf"cgw_live_[0-9A-Za-z]{{{length + 6}}}", value)
    assert checksum(value[:-6]) == value[-6:]


def test_the_checksum_is_crc32_in_base62() -> None:
    digits = checksum("cgw_live_x")
    number = 0
    for digit in digits:
        number = number * 62 + ALPHABET.index(digit)
    assert number == zlib.crc32(b"cgw_live_x")
    assert ALPHABET[:11] == "0123456789A"


def test_every_secret_is_different(operation: ProviderOperation) -> None:
    inputs = {"prefix": "", "length": 40, "checksum": False}
    values = {RandomSecretHandler().create(operation, inputs)[1]["value"] for _ in range(20)}
    assert len(values) == 20


@pytest.mark.parametrize("change", [{"length": 15}, {"length": 129}, {"checksum": "yes"}])
def test_bad_input_is_named(operation: ProviderOperation, change: dict[str, object]) -> None:
    _, failures = RandomSecretHandler().check(operation, {}, change)
    assert [name for name, _ in failures] == list(change)


def test_an_input_that_a_later_version_adds_replaces_no_secret(operation: ProviderOperation) -> None:
    kind = RandomSecretHandler()
    inputs = {"prefix": "p", "length": 20, "checksum": True}
    _, state = kind.create(operation, inputs)
    assert not kind.diff({name: value for name, value in state.items() if name != "checksum"}, inputs)
    assert kind.diff(state, {**inputs, "checksum": False}).replaces == ("checksum",)
