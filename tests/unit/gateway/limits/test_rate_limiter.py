from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from provisioning.gateway.core.rate_limiter import Limiter, Policy
from tests.unit.gateway.conftest import Gate, ManualClock


@given(
    quota=st.integers(1, 50),
    window=st.integers(1, 120),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), max_size=80),
)
def test_requests_never_exceed_burst_and_rate(quota: int, window: int, pauses: list[float]) -> None:
    clock, policy = ManualClock(), Policy("p", quota, window)
    limiter, began, allowed = Limiter(clock), clock.now, 0
    for pause in pauses:
        clock.advance(pause)
        verdict = limiter.take(policy, "a")
        allowed += verdict.allowed
        assert 0 <= verdict.remaining < quota
        assert allowed <= quota + (clock.now - began) * quota / window + 1e-3


@given(quota=st.integers(1, 100), window=st.integers(1, 3600))
def test_a_request_succeeds_after_the_reset_time(quota: int, window: int) -> None:
    clock, policy = ManualClock(), Policy("p", quota, window)
    limiter = Limiter(clock)
    assert [limiter.take(policy, "a").allowed for _ in range(quota)] == [True] * quota
    refused = limiter.take(policy, "a")
    assert not refused.allowed
    clock.advance(math.ceil(refused.reset_seconds))
    assert limiter.take(policy, "a").allowed


def test_each_subject_and_policy_has_its_own_bucket() -> None:
    limiter, one = Limiter(ManualClock()), Policy("one", 1, 60)
    assert limiter.take(one, "a").allowed
    assert not limiter.take(one, "a").allowed
    assert limiter.take(one, "b").allowed
    assert limiter.take(Policy("two", 1, 60), "a").allowed


POLICIES = [Policy("one", 3, 60), Policy("two", 5, 30), Policy("three", 2, 7)]


@given(
    steps=st.lists(st.tuples(st.integers(1, 7), st.sampled_from("ab"), st.floats(0, 20, allow_nan=False)), max_size=60)
)
def test_a_request_is_counted_by_all_policies_or_none(steps: list[tuple[int, str, float]]) -> None:
    clock = ManualClock()
    limiter, began, taken = Limiter(clock), clock.now, Counter[tuple[str, str]]()
    for chosen, subject, pause in steps:
        clock.advance(pause)
        wanted = [(policy, subject) for bit, policy in enumerate(POLICIES) if chosen >> bit & 1]
        before = dict(limiter._arrivals)
        verdicts = limiter.take_all(wanted)
        if not all(verdict.allowed for verdict in verdicts):
            assert dict(limiter._arrivals) == before
            assert all(verdict.allowed == (verdict.remaining > 0) for verdict in verdicts)
            continue
        taken.update((policy.name, subject) for policy, _ in wanted)
        for policy in POLICIES:
            most = policy.quota + (clock.now - began) * policy.quota / policy.window_seconds + 1e-3
            assert taken[policy.name, subject] <= most


@given(subjects=st.lists(st.sampled_from("abc"), max_size=40))
def test_subjects_do_not_affect_each_other(subjects: list[str]) -> None:
    limiter, policy = Limiter(ManualClock()), Policy("p", 5, 60)
    allowed = Counter(subject for subject in subjects if limiter.take(policy, subject).allowed)
    assert allowed == {subject: min(5, count) for subject, count in Counter(subjects).items()}


def test_the_number_of_buckets_is_bounded() -> None:
    limiter = Limiter(ManualClock(), max_buckets=10)
    for number in range(100):
        limiter.take(Policy("p", 1, 60), str(number))
    assert len(limiter._arrivals) == 10


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 2}])
async def test_a_rate_limited_key_gets_retry_after(gate: Gate) -> None:
    answers = [await gate.alice.get("/queue") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"perkey";q=2;w=60, "perowner";q=4;w=60'
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"perkey";r=1;t=30',
        '"perkey";r=0;t=60',
        '"perkey";r=0;t=30',
    ]
    assert answers[2].headers["retry-after"] == "30"
    assert answers[2].json()["retry_after"] == 30
    assert (await gate.bob.get("/queue")).status_code == 200
    assert (await gate.client(None).get("/livez")).status_code == 200
    gate.clock.advance(30)
    assert (await gate.alice.get("/queue")).status_code == 200


class Buckets(RuleBasedStateMachine):
    """Compares the limiter with a simple model: a bucket of exact fractions per subject."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1_000_000.0)
        self.limiter = Limiter(self.clock)
        self.full: dict[tuple[str, str], Fraction] = {}
        """The used nanoseconds of each bucket."""
        self.taken: list[list[tuple[Policy, str]]] = []

    def left(self, policy: Policy, subject: str) -> int:
        return int((policy.span - self.full.get((policy.name, subject), Fraction(0))) // policy.interval)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 3.5, 6.0, 20.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.full = {name: max(Fraction(0), held - Fraction(seconds) * 10**9) for name, held in self.full.items()}
        if seconds:
            self.taken = []

    @rule(chosen=st.integers(1, 7), subject=st.sampled_from("ab"))
    def take(self, chosen: int, subject: str) -> None:
        wanted = [(policy, subject) for bit, policy in enumerate(POLICIES) if chosen >> bit & 1]
        before = [self.left(policy, subject) for policy, _ in wanted]
        verdicts = self.limiter.take_all(wanted)
        assert [verdict.allowed for verdict in verdicts] == [left > 0 for left in before]
        granted = all(before)
        assert [verdict.remaining for verdict in verdicts] == [left - granted for left in before]
        if granted:
            for policy, _ in wanted:
                held = self.full.get((policy.name, subject), Fraction(0))
                self.full[policy.name, subject] = held + policy.interval
            self.taken.append(wanted)

    @precondition(lambda self: self.taken)
    @rule()
    def give_back(self) -> None:
        wanted = self.taken.pop()
        self.limiter.give_back(wanted)
        for policy, subject in wanted:
            self.full[policy.name, subject] -= policy.interval


TestBuckets = Buckets.TestCase
TestBuckets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_returned_units_can_be_taken_again() -> None:
    limiter, policy = Limiter(ManualClock()), Policy("p", 1, 60)
    assert limiter.take(policy, "a").allowed
    limiter.give_back([(policy, "a"), (policy, "nobody")])
    assert [limiter.take(policy, "a").allowed for _ in range(2)] == [True, False]
