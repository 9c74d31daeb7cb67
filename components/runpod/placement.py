"""Candidates for a placement, their order, and the meaning of a refusal. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from components.runpod.api.errors import (
    AccessDeniedError,
    BadRequestError,
    CallError,
    RunPodError,
)
from components.runpod.api.models import DataCenter, GpuType

_STOCK_ORDER = ("HIGH", "MEDIUM", "LOW")

Made = TypeVar("Made")


@dataclass(frozen=True)
class Candidate:
    """A possible placement: a GPU type or CPU flavour ("" for none), and a data centre ("" for any)."""

    compute: str
    data_center: str

    def __str__(self) -> str:
        where = self.data_center or "any data centre"
        return f"{self.compute} in {where}" if self.compute else where


NO_PLACEMENT = Candidate("", "")
"""Candidate of a resource that has no location, such as a template; its refusal does not concern placement."""


@dataclass(frozen=True)
class RefusedCandidate:
    """A candidate that RunPod refused."""

    candidate: Candidate
    reason: str


class RefusalAction(Enum):
    """What to do after a refused candidate."""

    NEXT = "try the next candidate"
    STOP = "stop, because no candidate can succeed"


class NoCandidateLeftError(RunPodError):
    """All candidates were refused; the message is a table of them."""

    def __init__(self, what: str, refusals: Sequence[RefusedCandidate], advice: str) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join([f"no placement for {what}:", *_table(refusals), advice]))


def pod_candidates(computes: Sequence[str], data_centers: Sequence[str]) -> list[Candidate]:
    """Return the pairs of GPU types or CPU flavours and data centres, ranked first by the former."""
    return [Candidate(compute, center) for compute in computes for center in (data_centers or ("",))]


def volume_candidates(
    gpus: Sequence[str],
    data_centers: Sequence[str],
    storage: str,
    catalogue: Mapping[str, GpuType],
    centers: Sequence[DataCenter],
) -> tuple[list[Candidate], list[RefusedCandidate]]:
    """Return the data centres for a volume, best first, and the others with the reason against them.

    A pod must be in its volume's data centre, so only data centres with a requested GPU in stock are candidates: the
    best ranked GPU first, then the caller's order of data centres or, without one, the better stock.
    """
    wanted = data_centers or [center.id for center in centers]
    able = {center.id for center in centers if storage in center.network_volume_types}
    candidates, refusals = [], []
    for gpu in gpus or ("",):
        for center in _by_stock(wanted, catalogue.get(gpu), ranked=bool(data_centers)):
            reason = _against(gpu, center, storage, able, catalogue)
            candidate = Candidate(gpu, center)
            if reason:
                refusals.append(RefusedCandidate(candidate, reason))
            else:
                candidates.append(candidate)
    return candidates, refusals


def classify(error: CallError) -> RefusalAction:
    """Return whether another candidate may succeed after this refusal."""
    # 400 is a broken rule or missing stock; 403 may apply to one cloud or data centre only.
    return RefusalAction.NEXT if isinstance(error, BadRequestError | AccessDeniedError) else RefusalAction.STOP


def first_accepted(what: str, candidates: Sequence[Candidate], attempt: Callable[[Candidate], Made]) -> Made:
    """Return the result of the first successful attempt; raises NoCandidateLeftError when all are refused.

    Errors that another candidate cannot avoid are raised unchanged.
    """
    refusals: list[tuple[RefusedCandidate, CallError]] = []
    for candidate in candidates:
        try:
            return attempt(candidate)
        except CallError as error:
            if classify(error) is RefusalAction.STOP:
                raise
            refusals.append((RefusedCandidate(candidate, error.detail), error))
    raise NoCandidateLeftError(what, [refusal for refusal, _ in refusals], _advice([error for _, error in refusals]))


def _advice(errors: Sequence[CallError]) -> str:
    if errors and all(isinstance(error, BadRequestError) for error in errors):
        return (
            "All were refused with 400, which RunPod uses both for missing stock and for broken rules: "
            "add GPU types or data centres, or try again later; if that does not help, check the request itself."
        )
    if errors and all(isinstance(error, AccessDeniedError) for error in errors):
        return f"All were refused with 403, so other candidates do not help. {AccessDeniedError.advice}"
    return "Add GPU types or data centres to choose from, or try again later."


def _by_stock(centers: Sequence[str], gpu: GpuType | None, *, ranked: bool) -> Iterator[str]:
    if ranked or gpu is None:
        return iter(centers)
    order = {level: rank for rank, level in enumerate(_STOCK_ORDER)}
    return iter(sorted(centers, key=lambda center: order.get(gpu.stock_in(center) or "", len(order))))


def _against(gpu: str, center: str, storage: str, able: set[str], catalogue: Mapping[str, GpuType]) -> str:
    if center not in able:
        return f"has no {storage} network volumes"
    if not gpu:
        return ""
    entry = catalogue.get(gpu)
    if entry is None:
        return "not in RunPod's catalogue"
    level = entry.stock_in(center)
    if level is None:
        return "not offered there"
    return "" if level in _STOCK_ORDER else "no stock"


def _table(refusals: Sequence[RefusedCandidate]) -> list[str]:
    width = max((len(str(refusal.candidate)) for refusal in refusals), default=0)
    return [f"  {str(refusal.candidate).ljust(width)}  {refusal.reason}" for refusal in refusals]
