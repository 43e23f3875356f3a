"""Publishing that waits, of several events and topics, by handles, and finishing."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from client import DEADLINE_S, client_that_does_not_read, events, wait_until

from fanfare import (
    ClosedError,
    EventError,
    FinishedError,
    ForkedError,
    FullError,
    Hub,
    Publication,
    TimedOutError,
    TooManyError,
    TopicError,
)
from fanfare._doorbell import LoopBell
from fanfare.publishing import _Call

BIG = "a" * 4096
#: A client that does not read is waited for, longer than any test.
PATIENT = {
    "topic_backlog_bytes_max": 1,
    "lag_bytes_max": 1 << 16,
    "lag_age_max_ms": 600_000,
    "lag_grace_ms": 600_000,
    "lag_grace_percent": 100,
}


@contextmanager
def full_hub() -> Iterator[tuple[Hub, object]]:
    """A hub whose topic "news" is full until its client reads."""
    with (
        Hub(shards=1, **PATIENT) as hub,  # type: ignore[arg-type]
        client_that_does_not_read(hub.listen().port, "news") as client,
    ):
        in_a_row = 0

        def is_full() -> bool:
            nonlocal in_a_row
            try:
                hub.publish("news", BIG)
                in_a_row = 0
            except FullError:
                in_a_row += 1
            return in_a_row > 50

        wait_until("the topic to stay full", is_full)
        yield hub, client


def read_on(client: object) -> threading.Thread:
    """Reads all that comes, in a thread."""

    def read() -> None:
        try:
            while client.recv(1 << 20):  # type: ignore[attr-defined]
                pass
        except OSError:
            pass  # it was closed at the test's end

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_a_publisher_that_waits_is_refused_after_its_time_and_goes_on_when_there_is_space() -> None:
    with full_hub() as (hub, client):
        begun = time.monotonic()
        with pytest.raises(TimedOutError) as caught:
            hub.publish("news", BIG, timeout=0.25)
        assert isinstance(caught.value, TimeoutError)
        assert time.monotonic() - begun >= 0.25
        with pytest.raises(FullError):
            hub.publish(["news", "sports"], BIG)
        read_on(client)
        assert hub.publish("news", BIG, timeout=DEADLINE_S)
        assert hub.topic("news").publish(BIG, timeout=None)


def test_a_publisher_that_waits_is_told_when_the_hub_is_closed() -> None:
    with full_hub() as (hub, _):
        waits, refused = threading.Event(), []

        def publish() -> None:
            waits.set()
            try:
                hub.publish("news", BIG, timeout=None)
            except ClosedError as problem:
                refused.append(problem)

        thread = threading.Thread(target=publish)
        thread.start()
        assert waits.wait(DEADLINE_S)
        hub.close()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        assert len(refused) == 1


def test_an_interrupt_ends_a_publisher_that_waits() -> None:
    class InterruptedHereError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptedHereError

    with full_hub() as (hub, _):
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(InterruptedHereError):
                hub.publish("news", BIG, timeout=None)
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each attempt to publish one event."""
    made: list[int] = []
    publish = _Call.__call__

    def counted(self: _Call, timeout_ms: int) -> int:
        made.append(timeout_ms)
        return publish(self, timeout_ms)

    monkeypatch.setattr(_Call, "__call__", counted)
    return made


def test_a_coroutine_that_waits_is_told_of_space_and_does_not_try_until_then(
    attempts: list[int],
) -> None:
    async def run(hub: Hub, client: object) -> None:
        attempts.clear()
        waits = asyncio.create_task(hub.publish_async("news", BIG))
        # To try again every 16 ms would be seen here many times.
        await asyncio.sleep(0.4)
        assert not waits.done()
        assert len(attempts) == 1
        read_on(client)
        assert await asyncio.wait_for(waits, DEADLINE_S)
        assert len(attempts) <= 3

    with full_hub() as (hub, client):
        asyncio.run(run(hub, client))


def test_a_task_of_trio_that_waits_is_told_of_space_and_does_not_try_until_then(
    attempts: list[int],
) -> None:
    async def run(hub: Hub, client: object) -> None:
        ids: list[str] = []

        async def publish() -> None:
            ids.append(await hub.publish_async("news", BIG))

        attempts.clear()
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                await trio.sleep(0.4)
                assert ids == []
                assert len(attempts) == 1
                read_on(client)
        assert len(ids) == 1
        assert len(attempts) <= 3

    with full_hub() as (hub, client):
        trio.run(run, hub, client)


def test_coroutines_that_are_cancelled_or_late_leave_nothing_behind() -> None:
    async def run(hub: Hub, client: object) -> None:
        waits = [asyncio.create_task(hub.publish_async("news", BIG)) for _ in range(100)]
        await asyncio.sleep(0)
        for each in waits:
            each.cancel()
        refused = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in refused)
        with pytest.raises(TimedOutError):
            await hub.publish_async("news", BIG, timeout=0.05)
        with pytest.raises(TimedOutError):
            await hub.finish_async("news", BIG, timeout=0.05)
        assert not LoopBell.of_running_loop()._readable
        read_on(client)
        part = [Publication("news", BIG)] * 300
        assert len(await hub.publish_many_async(part, timeout=DEADLINE_S)) == 300
        assert await hub.finish_async("news", BIG, timeout=DEADLINE_S)

    with full_hub() as (hub, client):
        asyncio.run(run(hub, client))


def test_a_coroutine_that_waits_is_told_when_the_hub_is_closed() -> None:
    async def run(hub: Hub) -> None:
        waits = asyncio.create_task(hub.publish_async("news", BIG))
        await asyncio.sleep(0)
        await hub.close_async()
        with pytest.raises(ClosedError):
            await asyncio.wait_for(waits, DEADLINE_S)

    with full_hub() as (hub, _):
        asyncio.run(run(hub))


def test_a_coroutine_waits_for_space_and_the_loop_goes_on() -> None:
    async def run(hub: Hub, client: object) -> int:
        ticks = 0
        waiting = asyncio.create_task(hub.publish_async("news", BIG))
        while ticks < 20:
            await asyncio.sleep(0)
            ticks += 1
        assert not waiting.done()
        with pytest.raises(TimedOutError):
            await hub.publish_async("news", BIG, timeout=0.02)
        read_on(client)
        assert await asyncio.wait_for(waiting, DEADLINE_S)
        assert await asyncio.wait_for(hub.topic("news").publish_async(BIG), DEADLINE_S)
        return ticks

    with full_hub() as (hub, client):
        assert asyncio.run(run(hub, client)) == 20


def test_a_coroutine_that_is_cancelled_has_published_nothing() -> None:
    async def run(hub: Hub) -> None:
        before = hub.metrics().published_events
        waiting = asyncio.create_task(hub.publish_async("news", BIG))
        await asyncio.sleep(0)  # it begins
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert hub.metrics().published_events == before

    with full_hub() as (hub, _):
        asyncio.run(run(hub))


def test_many_events_that_find_no_space_say_which_were_published() -> None:
    many = [Publication("news", BIG), Publication("sports", "a")]
    with full_hub() as (hub, client):
        with pytest.raises(FullError) as caught:
            hub.publish_many([Publication("sports", "a"), *many])
        assert len(caught.value.published) == 1
        with pytest.raises(TimedOutError) as timed_out:
            asyncio.run(hub.publish_many_async(many, timeout=0.02))
        assert timed_out.value.published == ()
        read_on(client)
        assert len(hub.publish_many(many * 5, timeout=DEADLINE_S)) == 10
        ids = asyncio.run(hub.publish_many_async(iter(many * 300)))
        assert len(set(ids)) == 600


def test_many_events_arrive_in_order_with_all_that_they_have() -> None:
    with (
        Hub(shards=1, topic_backlog_bytes_max=1 << 20) as hub,
        events(hub.listen().port, "news", "sports") as received,
    ):
        handle = hub.topic("sports")
        many = [Publication(["news", handle], json={"n": n}, name=f"n{n}") for n in range(600)]
        ids = hub.publish_many(many)
        got = [next(received) for _ in many]
        assert [event.id for event in got] == ids
        assert [json.loads(event.data)["n"] for event in got] == list(range(600))
        assert got[7].event == "n7"


def test_a_bad_event_among_many_ends_them_there() -> None:
    with Hub(shards=1) as hub:
        good = [Publication("news", str(n)) for n in range(300)]
        with pytest.raises(EventError) as caught:
            hub.publish_many([*good, Publication("news"), *good], timeout=1)
        assert len(caught.value.published) == 300
        assert hub.metrics().published_events == 300
        assert hub.publish_many([]) == []


def test_an_event_of_several_topics_is_one_event() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "a", "b") as received:
        handle = hub.topic("b")
        published = hub.publish(["a", handle, b"c"], "all")
        hub.publish(handle, "b alone")
        first, second = next(received), next(received)
        assert (first.id, first.data, second.data) == (published, "all", "b alone")
        with pytest.raises(TooManyError):
            hub.publish([f"t{n}" for n in range(65)], "a")
        with pytest.raises(TopicError, match="no topic"):
            hub.publish([], "a")
        with pytest.raises(TopicError):
            hub.publish(["a", "b+"], "a")


@pytest.mark.parametrize("value", [None, 0, "Grüße", [1, 2.5], {"a": {"b": [True, None]}}])
def test_json_arrives_as_it_was(value: object) -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        hub.publish("news", json=value)
        assert json.loads(next(received).data) == value


def test_what_is_no_json_is_refused() -> None:
    with Hub(shards=1) as hub:
        with pytest.raises(TypeError, match="data or json, not both"):
            hub.publish("news", "a", json=1)
        with pytest.raises(TypeError, match="serializable"):
            hub.publish("news", json=object())
        with pytest.raises(ValueError, match="JSON compliant"):
            hub.publish("news", json=float("nan"))


def test_a_handle_publishes_and_finishes_its_topic() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "run/1") as received:
        run = hub.topic("run/1")
        assert run.name == "run/1"
        assert repr(run) == "<fanfare.Topic 'run/1'>"
        run.publish("a", name="step", comment="ignored")
        run.finish("last", name="end")
        assert [(event.event, event.data) for event in received] == [("step", "a"), ("end", "last")]
        with pytest.raises(FinishedError, match="finished"):
            run.publish("b")
        with pytest.raises(FinishedError):
            hub.finish("run/1")
        with pytest.raises(TopicError):
            hub.topic("run/#")
        assert hub.finish("run/2")
        assert asyncio.run(hub.topic("run/3").finish_async(json=3))
        assert hub.metrics().finished_topics == 3


def test_an_event_with_a_window_is_spread() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        hub.publish("news", "soon", window_ms=50)
        assert next(received).data == "soon"
        with pytest.raises(EventError):
            hub.publish("news", "a", window_ms=300_001)


def test_threads_publish_with_one_handle_while_others_wait() -> None:
    threads, each = 4, 200
    with Hub(shards=2) as hub, events(hub.listen().port, "news") as received:
        news = hub.topic("news")

        def publish(number: int) -> None:
            for i in range(each):
                news.publish(f"{number} {i}", timeout=DEADLINE_S)

        workers = [threading.Thread(target=publish, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        got = [next(received).data.split() for _ in range(threads * each)]
        for worker in workers:
            worker.join(DEADLINE_S)
        for number in range(threads):
            assert [int(i) for n, i in got if n == str(number)] == list(range(each))


def test_the_errors_of_a_fork_and_of_a_closed_hub_are_told_apart() -> None:
    assert not issubclass(ForkedError, ClosedError)
    hub = Hub(shards=1)
    hub.close()
    for refused in (
        lambda: hub.publish("news", "a", timeout=None),
        lambda: hub.finish("news"),
        lambda: hub.subscribe("news"),
        lambda: hub.notices(),
        lambda: hub.publish_many([Publication("news", "a")]),
        lambda: asyncio.run(hub.publish_async("news", "a")),
    ):
        with pytest.raises(ClosedError):
            refused()
