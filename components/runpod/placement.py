"""Where to try, in which order, and what a refusal means. Pure: it asks nobody."""

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
    """One thing to ask for: a GPU type or CPU flavour ("" when none matters), and a data centre or "" for any."""

    compute: str
    data_center: str

    def __str__(self) -> str:
        where = self.data_center or "any data centre"
        return f"{self.compute} in {where}" if self.compute else where


NO_PLACEMENT = Candidate("", "")
"""Candidate of a resource that has no location, such as a template; its refusal does not concern placement."""


@dataclass(frozen=True)
class RefusedCandidate:
    """A candidate that was not had."""

    candidate: Candidate
    reason: str


class Verdict(Enum):
    """What to do after a refused candidate."""

    NEXT = "try the next candidate"
    STOP = "no candidate can help"


class NoCandidateLeftError(RunPodError):
    """No candidate could be had; the text is a table of all of them."""

    def __init__(self, what: str, refusals: Sequence[RefusedCandidate], advice: str) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join([f"no place for {what}:", *_table(refusals), advice]))


def pod_candidates(computes: Sequence[str], data_centers: Sequence[str]) -> list[Candidate]:
    """Return GPU types or CPU flavours by data centres, both in the given rank, the former's rank first."""
    return [Candidate(compute, center) for compute in computes for center in (data_centers or ("",))]


def volume_candidates(
    gpus: Sequence[str],
    data_centers: Sequence[str],
    storage: str,
    catalogue: Mapping[str, GpuType],
    centers: Sequence[DataCenter],
) -> tuple[list[Candidate], list[RefusedCandidate]]:
    """Return where a volume may go, best first, and every other place with the reason against it.

    A volume binds all pods that use it, so it only goes where a wanted GPU is in stock now: the best ranked GPU first,
    then the caller's order of data centres or, without one, the better stock.
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


def classify(error: CallError) -> Verdict:
    """Say whether another candidate may succeed where this one was refused."""
    # 400 is a broken rule or missing stock, and RunPod does not say which; 403 may hold for one cloud or data centre.
    return Verdict.NEXT if isinstance(error, BadRequestError | AccessDeniedError) else Verdict.STOP


def first_accepted(what: str, candidates: Sequence[Candidate], attempt: Callable[[Candidate], Made]) -> Made:
    """Return what the first successful attempt made; raises PlacementError when all are refused.

    Errors that no other candidate can cure pass through as they are.
    """
    refusals: list[tuple[RefusedCandidate, CallError]] = []
    for candidate in candidates:
        try:
            return attempt(candidate)
        except CallError as error:
            if classify(error) is Verdict.STOP:
                raise
            refusals.append((RefusedCandidate(candidate, error.detail), error))
    raise NoCandidateLeftError(what, [refusal for refusal, _ in refusals], _advice([error for _, error in refusals]))


def _advice(errors: Sequence[CallError]) -> str:
    if errors and all(isinstance(error, BadRequestError) for error in errors):
        return (
            "Every one was refused with 400, which RunPod uses for missing stock and for broken rules alike: "
            "add GPU types or data centres, try again later, and if that does not help suspect the request itself."
        )
    if errors and all(isinstance(error, AccessDeniedError) for error in errors):
        return f"Every one was refused with 403, so no other candidate helps. {AccessDeniedError.advice}"
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
