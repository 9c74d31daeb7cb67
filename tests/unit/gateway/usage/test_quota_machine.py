"""Any order of events, kills included: no quota is exceeded and all usage is counted."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from sqlalchemy import func, select

from provisioning.contract.gateway_options import Period, Unit
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.jobs.job import Job, JobOutcome, JobState
from provisioning.gateway.jobs.job_usage import JobQuotas
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.usage import balance, ledger
from provisioning.gateway.usage.quotas import Quota, Subject
from provisioning.gateway.usage.reconcile import reconcile
from provisioning.gateway.usage.reservation import RESERVATION_MS, BillingSubject, Reservation
from provisioning.gateway.usage.tables import UsageEventRow
from provisioning.gateway.usage.units import Amounts

NOW = 1_700_000_000_000
OWNERS, KEYS = ("ann", "bob"), ("key-1", "key-2")
JOBS, BYTES, GPU_MS = 4, 30, 5000
OWN = (
    Quota(Subject.USER, Unit.JOBS, Period.DAY, JOBS),
    Quota(Subject.KEY, Unit.JOBS, Period.MONTH, JOBS + 1),
    Quota(Subject.KEY, Unit.BYTES, Period.DAY, BYTES),
    Quota(Subject.USER, Unit.GPU_SECONDS, Period.DAY, GPU_MS),
)


class Quotas(RuleBasedStateMachine):
    """Two users with two keys, their jobs and uploads, and a gateway that is killed now and then."""

    jobs, uploads = Bundle("jobs"), Bundle("uploads")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="comfyui-runpod-quotas-"))
        shutil.copy(_template(self.folder), self.folder / "gateway.db")
        self.now, self.count = NOW, 0
        self.ran: dict[str, int] = {}
        self.over = 0
        self.open()

    def open(self) -> None:
        self.database = Database(self.folder / "gateway.db")
        self.quotas = JobQuotas(1.0, reserved_gpu_ms=2000)
        self.ledger = Ledger(self.database, 1.0, self.quotas)

    @rule(target=jobs, owner=st.sampled_from(OWNERS), key=st.sampled_from(KEYS))
    def submit(self, owner: str, key: str) -> object:
        self.count += 1
        job = Job(f"job-{self.count}", key, owner, False, "", b"{}", self.now, quotas=OWN)
        try:
            assert self.database.run_now(partial(self.ledger.accept_within, job=job))
        except Problem:
            return multiple()
        return job

    @rule(job=consumes(jobs), gpu_ms=st.integers(0, 4000), killed=st.booleans())
    def end(self, job: Job, gpu_ms: int, killed: bool) -> None:
        outcome = JobOutcome(JobState.COMPLETED, self.now, self.now, gpu_ms)
        for _ in range(2 if killed else 1):
            # After a kill, the end is found and stored a second time.
            self.database.run_now(lambda c: self.ledger._finish(c, job, outcome))
        self.ran[job.id] = gpu_ms
        self.over += max(0, gpu_ms - 2000) + 2000

    @rule(job=consumes(jobs), state=st.sampled_from([JobState.REJECTED, JobState.CANCELLED]))
    def never_run(self, job: Job, state: JobState) -> None:
        self.database.run_now(lambda c: self.ledger._finish(c, job, JobOutcome(state, None, self.now, 0)))

    @rule(target=uploads, owner=st.sampled_from(OWNERS), key=st.sampled_from(KEYS), size=st.integers(1, 12))
    def upload(self, owner: str, key: str, size: int) -> object:
        self.count += 1
        account = BillingSubject(owner, key, self.now)
        asked = Reservation(f"upload-{self.count}", account, Amounts(bytes=size), OWN, self.now + 1000)
        try:
            self.database.run_now(partial(ledger.reserve, reservation=asked))
        except Problem:
            return multiple()
        return asked

    @rule(claim=consumes(uploads), stored=st.booleans())
    def uploaded(self, claim: Reservation, stored: bool) -> None:
        if stored:
            taken = partial(
                ledger.settle, reservation_id=claim.id, account=claim.account, used=claim.wanted, at=self.now
            )
            self.database.run_now(taken)
        else:
            self.database.run_now(partial(ledger.release, reservation_id=claim.id))

    @rule(claim=consumes(uploads))
    def forget(self, claim: Reservation) -> None:
        """The process is killed in the middle of an upload."""

    @rule()
    def kill(self) -> None:
        self.database.close()
        self.open()
        assert self.reconcile() == 0

    @rule(hours=st.integers(1, 48))
    def wait(self, hours: int) -> None:
        # Earlier uploads have ended by then.
        self.now += hours * 3_600_000
        assert self.reconcile() == 0

    def reconcile(self) -> int:
        return self.database.run_now(partial(reconcile, now=self.now, renewed_until=self.now + RESERVATION_MS))

    @invariant()
    def nothing_is_passed(self) -> None:
        if not hasattr(self, "database"):
            return
        for owner in OWNERS:
            for key in KEYS:
                account = BillingSubject(owner, key, self.now)
                found = self.database.run_now(partial(balance.read, windows=account.windows()))
                for window, now in found.items():
                    self.check(window.subject, window.window.period, now or balance.Balance())

    def check(self, subject: Subject, period: Period, now: balance.Balance) -> None:
        assert min(*now.used, *now.reserved) >= 0
        for own in OWN:
            if (own.subject, own.period) == (subject, period):
                # A job may use more GPU time than was left; after that, no job is accepted.
                slack = self.over if own.unit is Unit.GPU_SECONDS else 0
                assert now.remaining(own.unit, own.limit) + slack >= 0

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "database"):
            return
        kinds = select(UsageEventRow.kind, func.count(), func.sum(UsageEventRow.quantity)).group_by(UsageEventRow.kind)
        rows = self.database.run_now(lambda connection: connection.execute(kinds).all())
        found = {kind: (count, int(total)) for kind, count, total in rows}
        assert found.get("jobs", (0, 0)) == (len(self.ran), len(self.ran))
        assert found.get("gpu_ms", (0, 0))[1] == sum(self.ran.values())

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)


_TEMPLATES: list[bytes] = []


def _template(folder: Path) -> Path:
    """Return an empty database without running migrations."""
    path = folder / "template.db"
    if not _TEMPLATES:
        Database(path).close()
        _TEMPLATES.append(path.read_bytes())
    path.write_bytes(_TEMPLATES[0])
    return path


TestQuotas = Quotas.TestCase
TestQuotas.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
