from __future__ import annotations

import pytest

from components.runpod.api.errors import (
    AccessDeniedError,
    BadRequestError,
    CallError,
    LostAnswerError,
    PaymentRequiredError,
    ValidationFailedError,
)
from components.runpod.api.models import DataCenter, GpuType
from components.runpod.placement import (
    Candidate,
    NoCandidateLeftError,
    first_accepted,
    pod_candidates,
    volume_candidates,
)

CENTERS = [
    DataCenter(id="EU-RO-1", name="", region="", networkVolumeTypes=("STANDARD",)),
    DataCenter(id="US-KS-2", name="", region="", networkVolumeTypes=("STANDARD", "HIGH_PERFORMANCE")),
    DataCenter(id="US-TX-3", name="", region=""),
]


def gpu(gpu_id: str, **stock: str) -> GpuType:
    entries = [{"id": center.replace("_", "-"), "availability": level} for center, level in stock.items()]
    price = {"secure": 1.0, "community": 0.0}
    raw = {"id": gpu_id, "name": gpu_id, "memory": 24, "secure": True, "community": False, "price": price}
    return GpuType.model_validate({**raw, "dataCenters": entries})


def test_the_rank_of_the_gpu_comes_first() -> None:
    assert pod_candidates(["a", "b"], ["X", "Y"]) == [
        Candidate("a", "X"),
        Candidate("a", "Y"),
        Candidate("b", "X"),
        Candidate("b", "Y"),
    ]
    assert pod_candidates(["a"], []) == [Candidate("a", "")]


def test_a_volume_goes_where_the_best_ranked_gpu_is_in_stock() -> None:
    catalogue = {"a": gpu("a", EU_RO_1="NONE", US_TX_3="HIGH"), "b": gpu("b", EU_RO_1="LOW", US_KS_2="HIGH")}
    candidates, refusals = volume_candidates(["a", "b"], [], "STANDARD", catalogue, CENTERS)
    assert candidates == [Candidate("b", "US-KS-2"), Candidate("b", "EU-RO-1")]
    reasons = {str(refusal.candidate): refusal.reason for refusal in refusals}
    assert reasons["a in EU-RO-1"] == "no stock"
    assert reasons["a in US-TX-3"] == "has no STANDARD network volumes"
    assert reasons["a in US-KS-2"] == "not offered there"


def test_a_ranking_of_data_centres_wins_over_stock() -> None:
    catalogue = {"b": gpu("b", EU_RO_1="LOW", US_KS_2="HIGH")}
    candidates, _ = volume_candidates(["b"], ["EU-RO-1", "US-KS-2"], "STANDARD", catalogue, CENTERS)
    assert candidates[0] == Candidate("b", "EU-RO-1")


@pytest.mark.parametrize("kind", [BadRequestError, AccessDeniedError])
def test_a_refused_candidate_leads_to_the_next(kind: type[CallError]) -> None:
    def attempt(candidate: Candidate) -> str:
        if candidate.compute == "a":
            raise kind("POST /v2/pods", "no")
        return candidate.compute

    assert first_accepted("pod", pod_candidates(["a", "b"], []), attempt) == "b"


@pytest.mark.parametrize("kind", [PaymentRequiredError, ValidationFailedError, LostAnswerError])
def test_an_error_that_no_candidate_avoids_stops_the_placement(kind: type[CallError]) -> None:
    tried: list[Candidate] = []

    def attempt(candidate: Candidate) -> str:
        tried.append(candidate)
        raise kind("POST /v2/pods", "no")

    with pytest.raises(kind):
        first_accepted("pod", pod_candidates(["a", "b"], []), attempt)
    assert len(tried) == 1


def test_the_error_is_a_table_of_candidates_with_reasons_and_advice() -> None:
    def attempt(candidate: Candidate) -> str:
        raise BadRequestError("POST /v2/pods", f"no {candidate.compute}")

    with pytest.raises(NoCandidateLeftError) as caught:
        first_accepted("pod", pod_candidates(["a", "long name"], []), attempt)
    text = str(caught.value)
    assert "  a in any data centre          no a" in text
    assert "  long name in any data centre  no long name" in text
    assert "check the request itself" in text


def test_missing_permissions_advise_the_permission() -> None:
    def attempt(candidate: Candidate) -> str:
        raise AccessDeniedError("POST /v2/pods", f"may not make {candidate.compute}")

    with pytest.raises(NoCandidateLeftError, match="lacks the permission: give it read and write access") as caught:
        first_accepted("pod", pod_candidates(["a", "b"], []), attempt)
    assert "Add GPU types" not in str(caught.value)
