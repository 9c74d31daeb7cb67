"""Quotas: calendar windows, reservations and refusals."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from provisioning.contract.gateway_options import Options, Period, Unit
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.limit_settings import LimitSettings
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState, OutputFile
from provisioning.gateway.jobs.job_usage import JobQuotas
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.upstream.stored_file import StoredFile
from provisioning.gateway.usage import balance, quotas
from provisioning.gateway.usage import ledger as usage_ledger
from provisioning.gateway.usage.calendar import window
from provisioning.gateway.usage.quotas import Quota, Subject
from provisioning.gateway.usage.reconcile import reconcile
from provisioning.gateway.usage.reservation import BillingSubject, Reservation
from provisioning.gateway.usage.tables import QuotaWindowRow, ReservationRow, UsageEventRow
from provisioning.gateway.usage.units import Amounts

NOW = 1_700_000_000_000
"""2023-11-14T22:13:20Z."""
DAY_END = 1_700_006_400_000
MONTH_END = 1_701_388_800_000


def quota(unit: Unit, limit: int, period: Period = Period.DAY, subject: Subject = Subject.USER) -> Quota:
    return Quota(subject, unit, period, limit)


def claim(name: str, *own: Quota, at: int = NOW, owner: str = "bots", key: str = "key-1", **wanted: int) -> Reservation:
    return Reservation(name, BillingSubject(owner, key, at), Amounts(**wanted or {"jobs": 1}), own, at + 1000)


def reserve(database: Database, asked: Reservation) -> None:
    database.run_now(partial(usage_ledger.reserve, reservation=asked))


def settle(database: Database, name: str, taken: Amounts, at: int = NOW) -> None:
    account = BillingSubject("bots", "key-1", NOW)
    database.run_now(partial(usage_ledger.settle, reservation_id=name, account=account, used=taken, at=at))


def stand(database: Database, period: Period = Period.DAY, subject: Subject = Subject.USER) -> balance.Balance:
    def work(connection: Connection) -> balance.Balance:
        found = balance.read(connection, BillingSubject("bots", "key-1", NOW).windows())
        return next(now or balance.Balance() for key, now in found.items()
                    if (key.window.period, key.subject) == (period, subject))  # fmt: skip

    return database.run_now(work)


def refused(database: Database, asked: Reservation) -> Problem:
    with pytest.raises(Problem) as problem:
        reserve(database, asked)
    return problem.value


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2199, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_windows_are_calendar_days_and_months_in_utc(moment: datetime) -> None:
    at = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    for period, form in ((Period.DAY, "%Y-%m-%d"), (Period.MONTH, "%Y-%m")):
        found = window(period, at)
        label = [datetime.fromtimestamp(t / 1000, UTC).strftime(form) for t in (found.start, at, found.end - 1)]
        assert found.start <= at < found.end
        assert label[0] == label[1] == label[2]
        assert window(period, found.end).start == found.end
        assert window(period, found.start - 1).end == found.start


def test_reservations_count_until_settled_or_released(database: Database) -> None:
    two = quota(Unit.JOBS, 2)
    reserve(database, claim("a", two))
    reserve(database, claim("b", two))
    assert refused(database, claim("c", two)).code is Code.QUOTA_EXCEEDED
    database.run_now(partial(usage_ledger.release, reservation_id="b"))
    reserve(database, claim("c", two))
    settle(database, "a", Amounts(jobs=1, gpu_ms=500))
    assert stand(database) == balance.Balance(Amounts(jobs=1, gpu_ms=500), Amounts(jobs=1))
    assert refused(database, claim("d", two)).code is Code.QUOTA_EXCEEDED


def test_a_refusal_names_quota_and_reset_and_writes_nothing(database: Database) -> None:
    own = (quota(Unit.JOBS, 1), quota(Unit.JOBS, 1, Period.MONTH, Subject.KEY), quota(Unit.GPU_SECONDS, 9000))
    reserve(database, claim("a", *own))
    before = stand(database)
    problem = refused(database, claim("b", *own))
    assert problem.members["violated-policies"] == ["user-jobs-day", "key-jobs-month"]
    assert problem.retry_after == (MONTH_END - NOW) / 1000
    assert "1 jobs per day" in problem.detail
    assert "2023-12-01T00:00Z" in problem.detail
    assert stand(database) == before
    assert refused(database, claim("b", own[0])).retry_after == (DAY_END - NOW) / 1000


def test_a_quota_of_money_only_is_402(database: Database) -> None:
    usd, jobs = quota(Unit.USD, 1_000_000), quota(Unit.JOBS, 1)
    reserve(database, claim("a", usd, jobs, jobs=1, usd_micros=1_000_000))
    assert refused(database, claim("b", usd, jobs=1, usd_micros=1)).code is Code.QUOTA_EXHAUSTED
    assert refused(database, claim("b", usd, jobs, jobs=1, usd_micros=1)).code is Code.QUOTA_EXCEEDED


def test_daily_quotas_reset_and_monthly_ones_continue(database: Database) -> None:
    own = (quota(Unit.JOBS, 1), quota(Unit.JOBS, 2, Period.MONTH))
    reserve(database, claim("a", *own))
    assert refused(database, claim("b", *own, at=DAY_END - 1)).members["violated-policies"] == ["user-jobs-day"]
    reserve(database, claim("b", *own, at=DAY_END))
    assert refused(database, claim("c", *own, at=DAY_END + 86_400_000)).members["violated-policies"] == [
        "user-jobs-month"
    ]
    reserve(database, claim("c", *own, at=MONTH_END))


def test_keys_share_the_users_quota_and_have_their_own(database: Database) -> None:
    own = (quota(Unit.JOBS, 2), quota(Unit.JOBS, 1, subject=Subject.KEY))
    reserve(database, claim("a", *own))
    assert refused(database, claim("b", *own)).members["violated-policies"] == ["key-jobs-day"]
    reserve(database, claim("b", *own, key="key-2"))
    assert refused(database, claim("c", *own, key="key-3")).members["violated-policies"] == ["user-jobs-day"]
    reserve(database, claim("c", *own, key="key-3", owner="somebody else"))


def test_a_job_is_accepted_and_reserves_at_most_the_remaining_gpu_time(database: Database) -> None:
    seconds = quota(Unit.GPU_SECONDS, 90_000)
    reserve(database, claim("a", seconds, jobs=1, gpu_ms=60_000))
    reserve(database, claim("b", seconds, jobs=1, gpu_ms=60_000))
    assert stand(database).reserved.gpu_ms == 90_000
    assert refused(database, claim("c", seconds, jobs=1, gpu_ms=60_000)).code is Code.QUOTA_EXCEEDED
    settle(database, "a", Amounts(jobs=1, gpu_ms=1000))
    reserve(database, claim("c", seconds, jobs=1, gpu_ms=60_000))
    assert stand(database).reserved.gpu_ms == 89_000
    # The actual usage is counted, even when it exceeds what was left.
    settle(database, "c", Amounts(jobs=1, gpu_ms=100_000))
    assert stand(database).used.gpu_ms == 101_000


def test_exact_amounts_are_accepted_completely_or_refused(database: Database) -> None:
    room = quota(Unit.BYTES, 100)
    reserve(database, claim("a", room, bytes=60))
    assert refused(database, claim("b", room, bytes=41)).code is Code.QUOTA_EXCEEDED
    reserve(database, claim("b", room, bytes=40))


def test_a_quota_of_zero_refuses_everything(database: Database) -> None:
    assert refused(database, claim("a", quota(Unit.JOBS, 0))).code is Code.QUOTA_EXCEEDED


def test_work_without_a_reservation_is_counted(database: Database) -> None:
    settle(database, "old", Amounts(jobs=1, gpu_ms=7))
    assert stand(database, Period.MONTH, Subject.KEY) == balance.Balance(Amounts(jobs=1, gpu_ms=7))


def test_an_admins_quotas_override_the_defaults() -> None:
    options = Options.model_validate({
        "quotas": {"jobs": {"day": 10, "month": 100}, "usd": {"month": 1.5}},
        "keyQuotas": {"gpu_seconds": {"day": 0.5}},
    })  # fmt: skip
    scopes = frozenset[object]()
    plain = Actor("k", "n", "o", scopes)  # type: ignore[arg-type]
    assert {(c.name, c.limit) for c in quotas.quotas_of(options, plain)} == {
        ("user-jobs-day", 10), ("user-jobs-month", 100), ("user-usd-month", 1_500_000), ("key-gpu_seconds-day", 500),
    }  # fmt: skip
    own = LimitSettings.model_validate({"quotas": {"jobs": {"day": 3.0, "month": None}, "bytes": {"day": 7.0}}})
    special = Actor("k", "n", "o", scopes, user_limits=own)  # type: ignore[arg-type]
    assert {(c.name, c.limit) for c in quotas.quotas_of(options, special)} == {
        ("user-jobs-day", 3), ("user-usd-month", 1_500_000), ("user-bytes-day", 7), ("key-gpu_seconds-day", 500),
    }  # fmt: skip


def job(name: str, *own: Quota) -> Job:
    return Job(name, "key-1", "bots", False, "", b"{}", NOW, quotas=own)


def done(state: JobState = JobState.COMPLETED, started_at: int | None = NOW) -> JobOutcome:
    names = [("output", "a.png"), ("output", "b.webp"), ("temp", "preview.png"), ("output", "c.latent")]
    files = tuple(OutputFile("9", StoredFile(kind, "", name)) for kind, name in names)
    return JobOutcome(state, started_at, NOW + 5000, 4000 if started_at else 0, files=files if started_at else ())


async def test_a_jobs_end_counts_once_and_is_priced(database: Database) -> None:
    ledger = Ledger(database, 3.6, JobQuotas(3.6))
    first = job("a", quota(Unit.JOBS, 1))
    assert await ledger.accept(first)
    assert stand(database).reserved == Amounts(1, 60_000, 1, 0, 60_000)
    assert await ledger.finished(first, done())
    assert not await ledger.finished(first, done())
    assert stand(database) == balance.Balance(Amounts(1, 4000, 2, 0, 4000))
    events = database.run_now(lambda c: c.execute(select(UsageEventRow.id, UsageEventRow.quantity)).all())
    assert {tuple(event) for event in events} == {
        ("a:jobs", 1), ("a:gpu_ms", 4000), ("a:images", 2), ("a:usd_micros", 4000),
    }  # fmt: skip


@pytest.mark.parametrize("state", [JobState.REJECTED, JobState.CANCELLED])
async def test_a_job_that_never_ran_is_free(database: Database, state: JobState) -> None:
    ledger = Ledger(database, 3.6)
    await ledger.accept(job("a", quota(Unit.JOBS, 1)))
    await ledger.finished(job("a"), done(state, None))
    assert stand(database) == balance.Balance()
    assert await ledger.accept(job("b", quota(Unit.JOBS, 1)))


async def test_a_refused_job_is_not_stored(database: Database) -> None:
    ledger = Ledger(database, 3.6)
    with pytest.raises(Problem) as problem:
        await ledger.accept(job("a", quota(Unit.JOBS, 0)))
    assert problem.value.code is Code.QUOTA_EXCEEDED
    assert await ledger.row("a", None) is None
    assert database.run_now(lambda c: c.execute(select(ReservationRow.id)).all()) == []


async def test_reconciling_releases_orphaned_reservations_and_keeps_those_of_jobs(database: Database) -> None:
    ledger = Ledger(database, 3.6)
    await ledger.accept(job("waiting"))
    reserve(database, claim("upload", bytes=10))
    later = NOW + 10 * 86_400_000
    assert database.run_now(partial(reconcile, now=NOW, renewed_until=NOW)) == 0
    assert stand(database).reserved.bytes == 10
    assert database.run_now(partial(reconcile, now=later, renewed_until=later + 1)) == 0
    assert (stand(database).reserved.jobs, stand(database).reserved.bytes) == (1, 0)
    held = database.run_now(lambda c: c.execute(select(ReservationRow.id, ReservationRow.expires_at)).all())
    assert [tuple(row) for row in held] == [("waiting", later + 1)]


async def test_reconciling_corrects_sums(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    reserve(database, claim("a", gpu_ms=5))
    database.run_now(lambda c: c.execute(update(QuotaWindowRow).values(reserved_gpu_ms=99)).close())
    assert database.run_now(partial(reconcile, now=NOW, renewed_until=NOW)) == 4
    assert stand(database).reserved.gpu_ms == 5
    database.run_now(lambda c: c.execute(delete(ReservationRow)).close())
    assert database.run_now(partial(reconcile, now=NOW, renewed_until=NOW)) == 4
    assert stand(database).reserved == Amounts()
    assert "reserved sums of a quota window" in caplog.text


@pytest.mark.parametrize("act", ["UPDATE usage_events SET quantity = 0", "DELETE FROM usage_events"])
async def test_usage_events_cannot_be_changed(database: Database, act: str) -> None:
    settle(database, "a", Amounts(jobs=1))
    with pytest.raises(SQLAlchemyError, match="append-only"):
        database.run_now(lambda connection: connection.exec_driver_sql(act).close())
    with pytest.raises(SQLAlchemyError):
        settle(database, "a", Amounts(jobs=1))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.integers(0, 2**31))
async def test_concurrent_requests_on_the_last_unit_of_several_quotas(database: Database, seed: int) -> None:
    """With concurrent requests, no exact quota is exceeded and every accepted request is counted."""
    dice, round_at = random.Random(seed), NOW + seed % 50_000 * 86_400_000  # noqa: S311 - a schedule, no secret
    own = (quota(Unit.JOBS, dice.randint(0, 4)), quota(Unit.BYTES, dice.randint(0, 20), Period.DAY, Subject.KEY))

    async def one(number: int) -> bool:
        asked = claim(f"{seed}-{number}", *own, at=round_at, jobs=1, bytes=dice.randint(0, 9))
        try:
            await database.run(partial(usage_ledger.reserve, reservation=asked))
        except Problem:
            return False
        return True

    admitted = sum(await asyncio.gather(*map(one, range(8))))
    assert admitted <= own[0].limit
