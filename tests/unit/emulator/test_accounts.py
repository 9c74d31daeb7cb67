"""Who may call: keys, scopes, clients the edge does not like, quotas."""

from __future__ import annotations

import pytest

from tests.unit.emulator.harness import KEY, NOON, Api


async def test_a_call_without_a_key_is_401_in_runpods_form(api: Api) -> None:
    status, problem = await api.call("GET", "/v2/pods", key="")
    assert (status, problem) == (401, {"title": "Unauthorized", "status": 401, "detail": "missing bearer token"})
    assert (await api.call("GET", "/v2/pods", key="rpa_invalid_1"))[0] == 401


@pytest.mark.parametrize("agent", ["", "Python-urllib/3.11"])
async def test_the_edge_refuses_the_agent_of_some_libraries(api: Api, agent: str) -> None:
    status, page = await api.call("GET", "/v2/pods", headers={"User-Agent": agent})
    assert status == 403
    assert "Error code: 1010" in page
    assert page.startswith("<!DOCTYPE html>")


async def test_accounts_do_not_see_each_other(api: Api) -> None:
    pod = await api.make()
    status, volume = await api.call("POST", "/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1"})
    assert status == 201
    for path in (f"/v2/pods/{pod['id']}", f"/v2/network-volumes/{volume['id']}"):
        assert (await api.call("GET", path, key="another"))[0] == 404
        assert (await api.call("DELETE", path, key="another"))[0] == 404
    assert await api.call("GET", "/v2/pods", key="another") == (200, {"pods": []})


async def test_no_key_of_an_account_is_kept(api: Api) -> None:
    await api.call("GET", "/v2/account/ssh-keys", key="canary-of-the-account")
    await api.make()
    assert "canary-of-the-account" not in (api.emu.state.directory / "state.json").read_text()


async def test_a_pods_own_key_may_stop_that_pod_and_nothing_else(api: Api) -> None:
    pod, other = await api.make_running(), await api.make_running()
    own = api.runtime.running[pod["id"]].env["RUNPOD_API_KEY"]
    refused = [
        ("GET", "/v2/pods", None),
        ("DELETE", f"/v2/pods/{pod['id']}", None),
        ("POST", f"/v2/pods/{pod['id']}/action", {"action": "terminate"}),
        ("POST", f"/v2/pods/{other['id']}/action", {"action": "stop"}),
    ]
    for method, path, body in refused:
        assert (await api.call(method, path, body, key=own))[0] == 403
    assert (await api.call("GET", f"/v2/pods/{pod['id']}", key=own))[0] == 200
    assert (await api.call("POST", f"/v2/pods/{pod['id']}/action", {"action": "stop"}, key=own))[0] == 200
    await api.call("DELETE", f"/v2/pods/{pod['id']}")
    assert (await api.call("GET", f"/v2/pods/{other['id']}", key=own))[0] == 404, "with its pod the key is nobody's"


async def test_the_quota_is_told_before_it_is_used_up(api: Api) -> None:
    await api.control("conditions", {"requests_per_minute": 2})
    async with api.client.get("/v2/pods", headers={"Authorization": "Bearer k"}) as response:
        assert response.headers["RateLimit"] == f'"minute";r=1;t={60 - int(NOON % 60)}'
        assert response.headers["RateLimit-Policy"].startswith('"minute";q=2;w=60, "hour"')
    assert (await api.call("GET", "/v2/pods", key="k"))[0] == 200
    async with api.client.get("/v2/pods", headers={"Authorization": "Bearer k"}) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "60")
    assert (await api.call("GET", "/v2/pods", key="another"))[0] == 200
    await api.pass_time(60)
    assert (await api.call("GET", "/v2/pods", key="k"))[0] == 200


async def test_unknown_paths_and_methods(api: Api) -> None:
    assert (await api.call("GET", "/v2/nothing"))[1]["detail"] == "resource not found"
    async with api.client.put("/v2/pods", headers={"Authorization": "Bearer k"}) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, POST")
    status, problem = await api.call("GET", "/v2/clusters")
    assert (status, "not in this stand-in" in problem["detail"]) == (501, True)


async def test_a_body_that_is_no_json(api: Api) -> None:
    async with api.client.post("/v2/pods", data="{", headers={"Authorization": "Bearer k"}) as response:
        assert response.status == 400


async def test_ssh_keys_are_replaced_as_a_list_and_given_to_new_pods(api: Api) -> None:
    keys = ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB"]
    assert await api.call("PUT", "/v2/account/ssh-keys", {"keys": keys}) == (200, {"keys": keys})
    assert (await api.call("PUT", "/v2/account/ssh-keys", {"keys": ["nonsense"]}))[0] == 422
    assert await api.call("GET", "/v2/account/ssh-keys") == (200, {"keys": keys})
    pod, plain = await api.make_running(startSsh=True), await api.make_running()
    assert api.runtime.running[pod["id"]].env["PUBLIC_KEY"] == "\n".join(keys)
    assert "PUBLIC_KEY" not in api.runtime.running[plain["id"]].env


async def test_a_revoked_key_is_refused_and_another_key_of_its_account_goes_on(api: Api) -> None:
    pod = await api.make()
    await api.control("conditions", {"revoked_keys": KEY})
    old, new = await api.call("GET", "/v2/pods", key=KEY), await api.call("GET", "/v2/pods", key=f"{KEY}+2")
    assert old[0] == 401
    assert [seen["id"] for seen in new[1]["pods"]] == [pod["id"]]
