"""Requests that schemathesis makes up from the served document, sent as two users to a real process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from provisioning.gateway.routes import OPERATIONS
from tests.integration.clients.site import PATIENCE_SECONDS, Site, opened, workflow
from tests.integration.gateway.fuzzing import CHECKS, ENDLESS, Operation, User, furnished, operations, profile

pytestmark = pytest.mark.slow

POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
RUNNING = {"/api/v2/jobs": {"workflow": workflow()}, "/prompt": {"prompt": workflow()}}
UNTOLD = ("Traceback (most", "/site-packages/", "/provisioning/")
"""Words of the machine's that no answer holds."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    many = 100_000
    folder = tmp_path_factory.mktemp("site")
    with opened(folder, max_queued_per_owner=many, max_queued=many, failed_logins_per_minute=many) as made:
        yield made


@pytest.fixture(scope="module")
def attack(site: Site) -> Attack:
    return Attack(site, furnished(site, "alice", site.alice), furnished(site, "bob", site.bob))


@pytest.mark.timeout(1200)
def test_no_made_up_request_breaks_the_promise(attack: Attack) -> None:
    attack.run(2)
    assert len(attack.sent) >= 2 * len(OPERATIONS)
    assert attack.statuses >= {200, 201, 400, 403, 404, 422}


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_many_made_up_requests_break_no_promise(attack: Attack) -> None:
    attack.run(20, random=True)
    assert len(attack.sent) > 15 * len(OPERATIONS)


@dataclass
class Attack:
    """Sends requests, as either user, at either user's things."""

    site: Site
    alice: User
    bob: User
    sent: list[int] = field(default_factory=list)
    """The status of every answer."""

    @property
    def statuses(self) -> set[int]:
        return set(self.sent)

    def run(self, examples: int, *, random: bool = False) -> None:
        """Send every operation so many requests that fit the document, and so many that do not."""
        found = operations(self.site)
        assert len(found) == len([route for route in OPERATIONS if route.path not in ENDLESS])
        # All are tried before any is reported, so one breach does not hide the next.
        breaches = [breach for operation in found for breach in self._breaches(operation, examples, random=random)]
        assert not breaches, "\n\n".join(breaches)

    def _breaches(self, operation: Operation, examples: int, *, random: bool) -> Iterator[str]:
        for mode in (POSITIVE, NEGATIVE):
            try:
                self._attempt(operation, mode, examples, random=random)()
            except Unsatisfiable:
                assert mode is NEGATIVE, f"{operation.label}: no request fits the document"
                # Nothing can be wrong in a request that has no parts.
            except (AssertionError, ExceptionGroup) as error:
                yield f"{operation.label} ({mode}): {_told(error)}"

    def _attempt(
        self,
        operation: Operation,
        mode: schemathesis.GenerationMode,
        examples: int,
        *,
        random: bool,
    ) -> Callable[[], None]:
        @profile(examples, random=random)
        @given(data=st.data(), case=operation.as_strategy(generation_mode=mode))
        def attempt(data: st.DataObject, case: Any) -> None:  # noqa: ANN401 - made by schemathesis
            user, other = data.draw(st.sampled_from([(self.alice, self.bob), (self.bob, self.alice)]))
            _aim(data, case, user, other)
            self._send(case, user, other)

        return attempt

    def _send(self, case: Any, user: User, other: User) -> None:  # noqa: ANN401 - made by schemathesis
        headers = {"Authorization": f"Bearer {user.key}"}
        bound = {"timeout": PATIENCE_SECONDS}
        response = case.call(base_url=self.site.url, headers=headers, **bound)
        self.sent.append(response.status_code)
        case.validate_response(response, checks=CHECKS, headers=headers, transport_kwargs=bound)
        told = response.content + repr(dict(response.headers)).encode()
        # What the caller named itself may be named again.
        named = repr((case.path_parameters, case.query, case.body, case.headers))
        secrets = [secret for secret in (*other.things, other.canary, other.key, *UNTOLD) if secret not in named]
        leaks = [secret for secret in secrets if secret.encode() in told]
        assert not leaks, f"{case.method} {case.formatted_path} tells {user.name} {leaks}"


def _aim(data: st.DataObject, case: Any, user: User, other: User) -> None:  # noqa: ANN401 - made by schemathesis
    """Sometimes put an id of the user's own things, or of the other's, where an id goes."""
    for name in case.path_parameters or {}:
        known = [*user.ids.get(name, []), *other.ids.get(name, [])]
        chosen = data.draw(st.sampled_from([*known, None]))
        if chosen is not None:
            case.path_parameters[name] = chosen
    # What is made up is never a workflow that runs.
    if (body := RUNNING.get(case.path)) is not None and data.draw(st.sampled_from([True, False])):
        case.body = body


def _told(error: BaseException) -> str:
    inner = error.exceptions if isinstance(error, ExceptionGroup) else ()
    return " | ".join([str(error), *map(_told, inner)])
