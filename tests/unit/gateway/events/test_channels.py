"""The replay buffer: after any disconnect a reader gets every event, or a reset."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.gateway.events.channels import MAX_BYTES, MAX_CHANNELS, MAX_EVENTS, Channels, Cursor, Event
from provisioning.gateway.events.subscription import DRAINING, TOO_SLOW, EndedError, Subscription
from tests.unit.gateway.conftest import ManualClock

MIB = 1024 * 1024


def channels(max_bytes: int = 32 * MIB, max_events: int = MAX_EVENTS) -> Channels:
    return Channels(ManualClock(), max_bytes, max_events)


def event(name: str, size: int = 2) -> Event:
    return Event("job_status", name.encode().ljust(size), name)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("happens"), st.integers(1, 40)),
            st.tuples(st.just("reads"), st.just(0)),
            st.tuples(st.just("is cut"), st.just(0)),
            st.tuples(st.just("restarts"), st.just(0)),
        ),
        max_size=60,
    ),
    kept=st.integers(3, 30),
)
def test_a_reconnecting_reader_gets_each_event_once_or_a_reset(steps: list[tuple[str, int]], kept: int) -> None:
    asyncio.run(_follow(steps, kept))


async def _follow(steps: list[tuple[str, int]], max_events: int) -> None:
    """Compare with a model: received events are always consecutive, up to a reset."""
    gateway = channels(max_events=max_events)
    happened: list[str] = []
    heard: list[str] = []
    last_id = gateway.of("alice").id_of(0, 0)
    reader = Subscription(gateway.of("alice"), 0)
    for step, count in steps:
        if step == "happens":
            for _ in range(count):
                happened.append(str(len(happened)))
                gateway.publish("alice", event(happened[-1]))
                gateway.publish("bob", event("bob's"))
        elif step == "restarts":
            gateway = channels(max_events=max_events)
        if step in {"is cut", "restarts"} or not await _read(gateway, reader, heard):
            place = gateway.of("alice").cursor_after(last_id)
            assert place.resumed is not place.lost
            if place.lost:
                # A reset, followed by the current state: all events until now are covered.
                heard[:] = list(happened)
            reader = Subscription(gateway.of("alice"), place.number)
            assert await _read(gateway, reader, heard)
        if step != "happens":
            assert heard == happened
        channel = gateway.of("alice")
        last_id = channel.id_of(channel.number, 0)


async def _read(gateway: Channels, reader: Subscription, heard: list[str]) -> bool:
    try:
        heard += [entry.event.job_id or "" for entry in await reader.read(0)]
    except EndedError as ended:
        return ended.reason != TOO_SLOW
    return True


def test_a_channel_is_bounded_in_number_and_bytes() -> None:
    gateway = channels()
    for number in range(MAX_EVENTS + 100):
        gateway.publish("alice", event(str(number)))
    found = gateway.of("alice").after(gateway.of("alice").number - MAX_EVENTS)
    assert (len(found or ()), gateway.of("alice").after(0)) == (MAX_EVENTS, None)
    for number in range(100):
        gateway.publish("alice", event(str(number), MAX_BYTES // 10))
    assert gateway.of("alice").bytes <= MAX_BYTES


def test_all_channels_are_bounded_and_the_least_active_are_emptied_first() -> None:
    gateway = channels(max_bytes=2 * MIB)
    for owner in range(100):
        for _ in range(10):
            gateway.publish(str(owner), event("x", 10_000))
    total = sum(gateway.of(str(owner)).bytes for owner in range(100)) + gateway.of(None).bytes
    assert total <= 2 * MIB
    assert gateway.of("99").after(0) is not None
    assert gateway.of("0").after(0) is None


def test_channels_without_readers_are_dropped() -> None:
    gateway = channels()
    with Subscription(gateway.of("kept"), 0):
        for owner in range(MAX_CHANNELS + 10):
            gateway.publish(str(owner), event("x"))
        kept = gateway.of("kept")
    assert kept is gateway.of("kept")
    assert gateway.of("0").number == 0


def test_event_numbers_reveal_nothing_about_other_owners() -> None:
    gateway = channels()
    gateway.publish("alice", event("a"))
    for _ in range(50):
        gateway.publish("bob", event("b"))
    gateway.publish("alice", event("a"))
    assert [entry.number for entry in gateway.of("alice").after(0) or ()] == [1, 2]
    bobs = gateway.of("bob").id_of(50, 0)
    assert gateway.of("alice").cursor_after(bobs).lost


@pytest.mark.parametrize("text", ["", "1", "x-1-1", "0" * 12 + "-1-1", "0" * 12 + "-" + "9" * 16 + "-1", "\u0661"])
def test_an_unknown_event_id_is_a_reset(text: str) -> None:
    assert channels().of("alice").cursor_after(text).lost


def test_an_event_id_from_before_a_restart_gives_its_time() -> None:
    old = channels().of("alice").id_of(7, 1234)
    assert channels().of("alice").cursor_after(old) == Cursor(0, lost=True, since_ms=1234)


async def test_only_the_newest_preview_is_kept_and_dropped_at_the_end() -> None:
    gateway = channels()
    channel = gateway.of("alice")
    for picture in ("one", "two"):
        gateway.publish("alice", Event("job_preview", picture.encode(), "job", transient=True))
    gateway.publish("alice", event("job"))
    assert [entry.event.data.strip() for entry in channel.after(0) or ()] == [b"two", b"job"]
    assert channel.bytes < 1000
    gateway.ended("alice", "job")
    assert [entry.number for entry in channel.after(0) or ()] == [3]


async def test_draining_ends_a_stream_after_pending_events_and_a_refusal_at_once() -> None:
    gateway = channels()
    calm, refused = Subscription(gateway.of("alice"), 0), Subscription(gateway.of("alice"), 0)
    with calm, refused:
        gateway.publish("alice", event("x"))
        calm.end(DRAINING)
        refused.end("key_revoked")
        assert len(await calm.read(0)) == 1
        for reader, reason in ((calm, DRAINING), (refused, "key_revoked")):
            with pytest.raises(EndedError) as ended:
                await reader.read(0)
            assert ended.value.reason == reason
    assert gateway.owners_with_readers() == []
