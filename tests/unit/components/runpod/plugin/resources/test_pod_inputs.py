"""The check of a pod's inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.runpod.plugin.base.resource import ProviderOperation
from components.runpod.plugin.base.settings import ProviderSettings
from tests.unit.components.runpod.fake_api import FakeApi, Reply
from tests.unit.components.runpod.plugin.resources.marked_pods import (
    KIND,
    WISH,
)
from tests.unit.components.runpod.pod_inputs import DECLARED, checked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpuTypeIdList": ["NVIDIA RTX 4090"]}, "did you mean 'NVIDIA GeForce RTX 4090'"),
        ({"gpuTypeIdList": []}, "at least one GPU type"),
        ({"ports": "8189"}, "'8189' is not a port such as 8189/http"),
        ({"ports": "99999/tcp"}, "is not a port"),
        ({"containerDiskInGb": 0}, "0 is not 1 to 10000 GB"),
        ({"gpuCount": 2.5}, "2.5 is not 1 to 16 GPUs"),
        ({"dataCenterIds": ["eu-ro-1"]}, "'eu-ro-1' is not a data centre id such as"),
        ({"cloudType": "ALL"}, "not one of SECURE, COMMUNITY"),
        ({"cloudType": "COMMUNITY", "networkVolumeId": "v"}, "needs SECURE"),
        ({"minCudaVersion": "12"}, "not a version such as 12.8"),
        ({"readyTimeoutSeconds": 5}, "5 is not 30 to 7200 seconds"),
        ({"env": {str(number): "x" for number in range(50)}}, "50 variables"),
        ({"imageName": None}, "imageName is required"),
        ({"gpuTypeId": "x"}, "gpuTypeId is not an input"),
    ],
)
def test_bad_input_is_named(offline: ProviderOperation, changes: dict[str, Any], reason: str) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, **changes})
    assert len(failures) == 1
    assert reason in failures[0][1]


def test_a_value_of_the_environment_never_shows(offline: ProviderOperation) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, "env": {"KEY": ["canary"]}})
    assert "KEY" in failures[0][1]
    assert "canary" not in failures[0][1]


def test_unknown_values_pass(offline: ProviderOperation) -> None:
    unknown = dict.fromkeys(("guard", "networkVolumeId", "gpuTypeIdList"), UNKNOWN)
    _, failures = KIND.check(offline, {}, {**DECLARED, **unknown})
    assert failures == []


def test_a_gpu_newer_than_the_price_file_is_looked_up(api: FakeApi, operation: ProviderOperation) -> None:
    gpu = {"id": "NVIDIA X1", "name": "X1", "memory": 99, "secure": True, "community": False}
    api.answer(Reply(body={"gpus": [{**gpu, "price": {"secure": 1, "community": 0}}]}))
    checked(operation, gpuTypeIdList=["NVIDIA X1"])


def test_a_region_without_the_gpu_is_refused_at_preview(api: FakeApi, operation: ProviderOperation) -> None:
    offers = [{"id": "US-KS-2", "name": "", "availability": "NONE"}]
    gpu = {"id": "NVIDIA RTX A5000", "name": "A5000", "memory": 24, "secure": True, "community": False}
    api.answer(Reply(body={"gpus": [{**gpu, "price": {"secure": 1, "community": 0}, "dataCenters": offers}]}))
    _, failures = KIND.check(operation, {}, {**DECLARED, "dataCenterIds": ["EU-RO-1"]})
    assert "NVIDIA RTX A5000 is offered in US-KS-2" in failures[0][1]


def test_a_running_pod_is_not_checked_against_todays_stock(api: FakeApi, operation: ProviderOperation) -> None:
    declared = {**DECLARED, "dataCenterIds": ["EU-RO-1"], "gpuCount": 1, "cloudType": "SECURE"}
    _, failures = KIND.check(operation, declared, declared)
    assert failures == []
    assert not api.requests


def test_a_requirement_that_nothing_meets_stops_a_new_pod_at_preview(offline: ProviderOperation) -> None:
    declared = {**DECLARED, "gpuTypeIdList": [], "gpuRequirement": WISH}
    _, failures = KIND.check(offline, {}, declared)
    assert "no GPU type has 24 GB or more for at most $0.30/h now" in failures[0][1]


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ({"minMemoryGb": 24}, "maxUsdPerHour is missing"),
        (WISH | {"tiers": ["Cheap"]}, "tiers: 'Cheap' is not one of Budget, Mid"),
        (WISH | {"vram": 1}, "vram is not one of"),
        (WISH | {"maxUsdPerHour": 0}, "maxUsdPerHour: 0 is not a price above 0"),
    ],
)
def test_a_requirement_is_checked(offline: ProviderOperation, requirement: dict[str, Any], reason: str) -> None:
    _, failures = KIND.check(offline, {}, {**DECLARED, "gpuRequirement": requirement})
    assert reason in failures[0][1]


@pytest.mark.parametrize(
    "change",
    [
        {"gpuTypeIdList": [*DECLARED["gpuTypeIdList"], "NVIDIA A40"]},
        {"dataCenterIds": ["EU-RO-1", "US-KS-2"]},
        {"gpuTypeIdList": DECLARED["gpuTypeIdList"][::-1]},
    ],
    ids=["more-gpus", "more-data-centres", "another-order"],
)
def test_additional_choices_are_not_checked_against_stock(
    api: FakeApi, operation: ProviderOperation, change: dict[str, Any]
) -> None:
    olds = {**checked(replace(operation, settings=ProviderSettings())), "dataCenterIds": ["EU-RO-1"]}
    _, failures = KIND.check(operation, olds, {**DECLARED, "dataCenterIds": ["EU-RO-1"], **change})
    assert (failures, api.requests) == ([], [])


def test_a_gpu_that_left_the_catalogue_is_accepted_where_it_was(offline: ProviderOperation) -> None:
    olds = {**DECLARED, "gpuTypeIdList": ["NVIDIA GONE"]}
    _, failures = KIND.check(offline, olds, olds)
    assert failures == []
