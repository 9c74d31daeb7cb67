"""Logins of people: passwords and tokens."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from provisioning.gateway.core.scopes import ROLES, Role
from provisioning.gateway.sessions import tokens
from tests.unit.gateway.accounts import add_user, issue
from tests.unit.gateway.conftest import PEPPER, Gate, submit
from tests.unit.gateway.logins import PASSWORD, forged, log_in, person
from tests.unit.gateway.problems import code


async def test_a_session_and_a_key_of_a_user_see_the_same_jobs(gate: Gate) -> None:
    client = gate.client(await person(gate))
    me = (await client.get("/api/gateway/me")).json()
    assert (me["owner"], me["is_person"], me["scopes"]) == ("ada", True, sorted(ROLES[Role.OPERATOR]))
    job = await submit(client)
    key = await issue(client, name="mine")
    assert job in (await gate.client(key["key"]).get("/queue")).text
    assert code(await client.get("/api/gateway/users")) == (403, "insufficient_scope")


async def test_a_token_can_be_renewed_during_the_session(gate: Gate) -> None:
    token = await person(gate)
    for _ in range(3):
        gate.clock.advance(tokens.SECONDS - 1)
        answer = await gate.client(token).post("/api/gateway/refresh")
        assert answer.json()["expires_in"] == tokens.SECONDS
        assert answer.json()["access_token"] != token
        token = answer.json()["access_token"]
    gate.clock.advance(tokens.SECONDS)
    assert code(await gate.client(token).get("/queue")) == (401, "token_expired")
    assert code(await gate.alice.post("/api/gateway/refresh")) == (409, "no_session")


@pytest.mark.parametrize("overrides", [{"session_hours": 0.1}])
async def test_a_token_expires_with_its_session(gate: Gate) -> None:
    token = await person(gate)
    gate.clock.advance(359)
    renewed = (await gate.client(token).post("/api/gateway/refresh")).json()
    assert renewed["expires_in"] == 1
    gate.clock.advance(1)
    assert code(await gate.client(renewed["access_token"]).get("/queue")) == (401, "token_expired")


async def test_logging_out_invalidates_all_tokens_of_that_session_only(gate: Gate) -> None:
    first = await person(gate)
    other = (await log_in(gate, "ada")).json()["access_token"]
    second = (await gate.client(first).post("/api/gateway/refresh")).json()["access_token"]
    assert (await gate.client(first).post("/api/gateway/logout")).status_code == 204
    for token in (first, second):
        assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert (await gate.client(other).get("/queue")).status_code == 200
    assert code(await gate.alice.post("/api/gateway/logout")) == (409, "no_session")


async def test_disabling_a_user_ends_sessions_and_refuses_keys_at_once(gate: Gate) -> None:
    token = await person(gate)
    key = (await issue(gate.admin, owner="ada"))["key"]
    await gate.admin.patch("/api/gateway/users/ada", json={"disabled": True})
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert code(await gate.client(key).get("/queue")) == (401, "user_disabled")
    assert code(await log_in(gate, "ada")) == (401, "invalid_login")
    await gate.admin.patch("/api/gateway/users/ada", json={"disabled": False})
    assert (await gate.client(key).get("/queue")).status_code == 200
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended"), "the session stays ended"


async def test_deleting_a_user_keeps_its_jobs_and_reserves_its_name(gate: Gate) -> None:
    token = await person(gate)
    key = (await issue(gate.admin, owner="ada"))["key"]
    await submit(gate.client(key))
    assert (await gate.admin.delete("/api/gateway/users/ada")).status_code == 204
    for credential in (token, key):
        assert (await gate.client(credential).get("/queue")).status_code == 401
    assert gate.rows("SELECT owner FROM jobs") == [("ada",)]
    assert code(await gate.admin.get("/api/gateway/users/ada")) == (404, "not_found")
    assert code(await gate.admin.post("/api/gateway/users", json={"name": "ada"})) == (409, "state_conflict")


async def test_a_user_cannot_have_the_id_of_a_key_without_user(gate: Gate) -> None:
    lonely = await issue(gate.admin)
    assert code(await gate.admin.post("/api/gateway/users", json={"name": lonely["id"]})) == (409, "state_conflict")


async def test_an_admin_cannot_disable_or_delete_itself(gate: Gate) -> None:
    for body in ({"disabled": True}, {"role": "viewer"}):
        assert code(await gate.admin.patch("/api/gateway/users/admin", json=body)) == (409, "state_conflict")
    assert code(await gate.admin.delete("/api/gateway/users/admin")) == (409, "state_conflict")


async def test_changing_a_password_requires_the_current_one(gate: Gate) -> None:
    token = await person(gate)
    path, new = "/api/gateway/me/password", "another long password"
    wrong = await gate.client(token).post(path, json={"current": "not this one at all", "new": new})
    assert code(wrong) == (401, "invalid_login")
    gate.clock.advance(1)
    assert (await gate.client(token).post(path, json={"current": PASSWORD, "new": new})).status_code == 204
    assert code(await gate.client(token).get("/queue")) == (401, "session_ended")
    assert (await log_in(gate, "ada")).status_code == 401
    assert (await log_in(gate, "ada", new)).status_code == 200
    key = gate.client((await issue(gate.admin, owner="ada"))["key"])
    assert code(await key.post(path, json={"current": new, "new": PASSWORD})) == (401, "invalid_login"), (
        "keys cannot change passwords"
    )
    assert code(await gate.admin.post("/api/gateway/users", json={"name": "x", "password": "short"}))[0] == 400


async def test_failed_logins_do_not_reveal_which_users_exist(gate: Gate) -> None:
    await add_user(gate, "ada", password=PASSWORD)
    await add_user(gate, "keys-only")
    answers = [await log_in(gate, name, "wrong password 1") for name in ("ada", "keys-only", "nobody", "", "x" * 64)]
    bodies = [{**answer.json(), "instance": "", "request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * 5
    assert bodies[0]["code"] == "invalid_login"


async def test_a_password_is_hashed_also_for_unknown_users(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each login takes the time of one hash; counted, since a measurement would be unreliable."""
    await add_user(gate, "ada", password=PASSWORD)
    passwords = gate.app.services.passwords
    compared: list[str] = []
    verify = passwords._verify

    def counted(stored: str, given: str) -> bool:
        compared.append(stored)
        return verify(stored, given)

    monkeypatch.setattr(passwords, "_verify", counted)
    for name in ("ada", "nobody"):
        await log_in(gate, name, "wrong password 1")
    assert len(compared) == 2
    assert all(stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for stored in compared)


@pytest.mark.parametrize("overrides", [{"failed_logins_per_account_per_minute": 2, "failed_logins_per_minute": 4}])
async def test_failed_logins_are_limited_per_user_and_address(gate: Gate) -> None:
    token = await person(gate)
    await person(gate, "bea")
    assert [(await log_in(gate, "ada", "wrong")).status_code for _ in range(3)] == [401, 401, 429]
    refused = await log_in(gate, "ada")
    assert (code(refused), refused.json()["violated-policies"]) == ((429, "rate_limited"), ["account"])
    assert int(refused.headers["retry-after"]) >= 1
    assert (await gate.client(token).get("/queue")).status_code == 200, "sessions are not affected"
    assert [(await log_in(gate, "bea")).status_code for _ in range(5)] == [200] * 5, "successful logins are not counted"
    assert [(await log_in(gate, f"u{number}", "wrong")).status_code for number in range(3)] == [401, 401, 429]
    gate.clock.advance(60)
    assert (await log_in(gate, "ada")).status_code == 200


async def test_forged_tokens_are_refused(gate: Gate) -> None:
    token = await person(gate)
    right = jwt.decode(token, options={"verify_signature": False})
    assert (await gate.client(forged(right)).get("/queue")).status_code == 200, "the unchanged claims are accepted"
    head, body, tail = token.split(".")
    none_head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    admin = base64.urlsafe_b64encode(json.dumps({**right, "sub": "admin"}).encode()).rstrip(b"=").decode()
    tricks = {
        "alg none": forged(right, algorithm="none"),
        "alg none, signed": f"{none_head}.{body}.{tail}",
        "no signature": f"{head}.{body}.",
        "other key": forged(right, key=b"x" * 32),
        "pepper itself": forged(right, key=PEPPER.encode()),
        "no key": forged(right, key=b"\0" * 32),
        "HS512": forged(right, algorithm="HS512"),
        "HS384": forged(right, algorithm="HS384"),
        "kid": forged(right, kid="../../dev/null"),
        "jku": forged(right, jku="https://evil.test/keys"),
        "jwk": forged(right, jwk={"kty": "oct", "k": "AAAA"}),
        "crit": forged(right, crit=["exp"]),
        "typ": forged(right, typ="at+jwt"),
        "other subject": forged({**right, "sub": "admin"}),
        "swapped body": f"{head}.{admin}.{tail}",
        "other audience": forged({**right, "aud": "other"}),
        "other issuer": forged({**right, "iss": "other"}),
        "no session": forged({**right, "sid": "ses_0000000000000000"}),
        "key as session": forged({**right, "sid": "4fPq9sZ1"}),
        "session of a list": forged({**right, "sid": ["a"]}),
        "expiry as text": forged({**right, "exp": str(right["exp"])}),
        "expiry as a fraction": forged({**right, "exp": right["exp"] + 0.5}),
        "too long": forged({**right, "more": "x" * 1000}),
        "spaces": token.replace(".", ". "),
        "padded": f"{head}.{body}.{tail}=",
    }
    for name in ("iss", "aud", "sub", "sid", "jti", "iat", "exp"):
        tricks[f"without {name}"] = forged({key: value for key, value in right.items() if key != name})
    for name, trick in tricks.items():
        answer = await gate.client(trick).get("/queue")
        assert answer.status_code == 401, name
        assert answer.json()["code"] in {"invalid_token", "session_ended", "missing_credentials"}, name
    assert code(await gate.client(None, **{"X-API-Key": token}).get("/queue")) == (401, "invalid_key")
    assert code(await gate.client(None).get("/queue", params={"x": token})) == (400, "key_in_url")
