"""Times that a call may take: infinite, beyond all clocks, negative, and none at all."""

from __future__ import annotations

import asyncio
import collections
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from client import DEADLINE_S, wait_until
from test_waiting import BIG, full_hub, read_on

from fanfare import (
    ClusterError,
    Fallback,
    FinishedError,
    FullError,
    Grant,
    Hub,
    Publication,
    Publisher,
    SigningKey,
    TimedOutError,
)
from fanfare.publishing import _Call, _Finish, _Part

INF, NAN = float("inf"), float("nan")
#: Times without a bound, and times that are longer than any that the system has.
ENDLESS: list[float | None] = [None, INF, 1e308, 10**400, 2**63, 3e6]
#: What is no time.
NO_TIMES: list[Any] = ["5", [1], object()]

MANY = [Publication("news", BIG)]
WAYS: dict[str, Callable[[Hub, Any], object]] = {
    "publish": lambda hub, time: hub.publish("news", BIG, timeout=time),
    "publish of a handle": lambda hub, time: hub.topic("news").publish(BIG, timeout=time),
    "publish_many": lambda hub, time: hub.publish_many(MANY, timeout=time),
    "finish": lambda hub, time: hub.finish("news", BIG, timeout=time),
    "finish of a handle": lambda hub, time: hub.topic("news").finish(BIG, timeout=time),
}
WAYS_ASYNC: dict[str, Callable[[Hub, Any], Awaitable[object]]] = {
    "publish": lambda hub, time: hub.publish_async("news", BIG, timeout=time),
    "publish of a handle": lambda hub, time: hub.topic("news").publish_async(BIG, timeout=time),
    "publish_many": lambda hub, time: hub.publish_many_async(MANY, timeout=time),
    "finish": lambda hub, time: hub.finish_async("news", BIG, timeout=time),
    "finish of a handle": lambda hub, time: hub.topic("news").finish_async(BIG, timeout=time),
}


def check_outcomes(way: str, outcomes: list[object]) -> None:
    """All were done, but that a topic is finished once."""
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    if way.startswith("finish"):
        assert [type(each) for each in refused] == [FinishedError] * (len(ENDLESS) - 1)
    else:
        assert refused == []


@pytest.mark.parametrize("way", WAYS)
def test_a_publisher_waits_for_space_for_an_endless_time(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: collections.Counter[int] = collections.Counter()
    for kind in (_Call, _Finish, _Part):

        def counted(self: Any, timeout_ms: int, call: Any = kind.__call__) -> int:  # noqa: ANN401
            attempts[threading.get_ident()] += 1
            status: int = call(self, timeout_ms)
            return status

        monkeypatch.setattr(kind, "__call__", counted)

    with full_hub() as (hub, client), ThreadPoolExecutor(len(ENDLESS)) as pool:
        attempts.clear()
        futures = [pool.submit(WAYS[way], hub, time) for time in ENDLESS]

        def all_go_on() -> bool:
            """Each part of its time is an attempt; where there was some space one is enough."""
            done = sum(future.done() for future in futures)
            return done + sum(count >= 2 for count in attempts.values()) >= len(ENDLESS)

        wait_until("each to wait for a second part of its time", all_go_on)
        read_on(client)
        check_outcomes(way, [each.exception(DEADLINE_S) or each.result() for each in futures])


@pytest.mark.parametrize("way", WAYS_ASYNC)
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_coroutine_waits_for_space_for_an_endless_time(way: str, loop: str) -> None:
    async def of_asyncio(hub: Hub, client: object) -> list[object]:
        waits = [asyncio.ensure_future(WAYS_ASYNC[way](hub, time)) for time in ENDLESS]
        await asyncio.sleep(0)  # they begin
        read_on(client)
        all_of_them = asyncio.gather(*waits, return_exceptions=True)
        return list(await asyncio.wait_for(all_of_them, DEADLINE_S))

    async def of_trio(hub: Hub, client: object) -> list[object]:
        outcomes: list[object] = []

        async def wait(time: float | None) -> None:
            try:
                outcomes.append(await WAYS_ASYNC[way](hub, time))
            except Exception as problem:
                outcomes.append(problem)

        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                for time in ENDLESS:
                    nursery.start_soon(wait, time)
                await trio.testing.wait_all_tasks_blocked()
                read_on(client)
        return outcomes

    with full_hub() as (hub, client):
        if loop == "asyncio":
            check_outcomes(way, asyncio.run(of_asyncio(hub, client)))
        else:
            check_outcomes(way, trio.run(of_trio, hub, client))


@pytest.mark.parametrize("way", WAYS)
def test_a_negative_time_does_not_wait_and_what_is_no_number_is_refused(way: str) -> None:
    def check(call: Callable[[Any], object]) -> None:
        for negative in (-1, -0.5, -INF, -(10**400)):
            with pytest.raises(FullError):
                call(negative)
        with pytest.raises(ValueError, match="timeout is not a number"):
            call(NAN)
        for wrong in NO_TIMES:
            with pytest.raises(TypeError):
                call(wrong)

    async def awaited(hub: Hub, time: Any) -> object:  # noqa: ANN401 (what is no time as well)
        return await WAYS_ASYNC[way](hub, time)

    with full_hub() as (hub, _):
        before = hub.metrics().published_events
        check(lambda time: WAYS[way](hub, time))
        check(lambda time: asyncio.run(awaited(hub, time)))
        assert hub.metrics().published_events == before


def check_waits(call: Callable[[Any], object], end: Callable[[], object]) -> list[object]:
    """Has one thread call with each endless time, ends the waits, and returns what came of them."""
    with ThreadPoolExecutor(1) as pool:
        outcomes: list[object] = []
        for time in ENDLESS:
            future = pool.submit(call, time)
            with pytest.raises(TimeoutError):
                # Longer than the parts that a call waits in.
                future.exception(0.3)
            end()
            outcomes.append(future.exception(DEADLINE_S) or future.result())
    return outcomes


def check_no_times(call: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match="timeout is not a number"):
        call(NAN)
    for wrong in NO_TIMES:
        with pytest.raises(TypeError):
            call(wrong)


def check_bounds(call: Callable[[Any], object]) -> None:
    for negative in (-1, -INF, -(10**400), 0):
        with pytest.raises(TimedOutError):
            call(negative)
    check_no_times(call)


def test_a_stream_is_read_with_any_time() -> None:
    with Hub(shards=1) as hub, hub.subscribe("news") as stream:
        stream.read(DEADLINE_S)  # what it begins with
        check_bounds(stream.read)
        assert all(
            b"data: a" in batch
            for batch in check_waits(stream.read, lambda: hub.publish("news", "a"))
            if isinstance(batch, bytes)
        )


def test_a_fallback_accepts_with_any_time() -> None:
    with Hub(shards=1) as hub:
        fallback = Fallback()
        port = hub.listen(fallback=fallback).port

        def connect() -> None:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")

        check_bounds(fallback.accept)
        for accepted in check_waits(fallback.accept, connect):
            assert not isinstance(accepted, BaseException), accepted
            accepted.sock.close()  # type: ignore[attr-defined]
        fallback.close()


def test_what_was_published_is_written_within_any_time(tmp_path: Path) -> None:
    with Hub(shards=1, data_dir=str(tmp_path / "data")) as hub:
        hub.publish("news", "a")
        for time in ENDLESS:
            hub.flush(time)
            asyncio.run(hub.flush_async(time))
        for refused in (hub.flush, lambda time: asyncio.run(hub.flush_async(time))):
            check_no_times(refused)


def test_nodes_are_asked_with_any_time() -> None:
    with Hub(shards=1) as alone:
        questions: list[Callable[[Any], object]] = [
            lambda time: alone.cluster_connections(timeout=time),
            lambda time: alone.cluster_subscribers("news", timeout=time),
            lambda time: asyncio.run(alone.cluster_connections_async(timeout=time)),
            lambda time: asyncio.run(alone.cluster_subscribers_async("news", timeout=time)),
        ]
        for ask in questions:
            for time in (*ENDLESS, -1, -INF, -(10**400)):
                with pytest.raises(ClusterError):  # the library was asked
                    ask(time)
            check_no_times(ask)


def test_a_moment_is_a_time_that_the_clock_may_reach() -> None:
    key = SigningKey("a secret of the tests, of more than 32 bytes")
    with Hub(shards=1) as hub:
        ways: list[Callable[[float], object]] = [
            lambda moment: hub.subscribe("news", expires_at=moment).close(),
            lambda moment: key.sign(Grant("news", expires_at=moment)),
        ]
        for way in ways:
            for late in (INF, NAN, 1e30, 10**400):
                with pytest.raises(ValueError, match="a moment is a number of seconds since 1970"):
                    way(late)
            for right in (-INF, -(10**400), -1.5, 0, 2**53 // 1000):
                way(right)


def test_a_publisher_of_another_process_says_at_once_which_times_it_takes() -> None:
    for wrong in (0, -1, NAN, INF, -INF, 1e30, 10**400, 86_401):
        with pytest.raises(ValueError, match=r"timeout may be more than 0, and at most 86,400 s"):
            Publisher("127.0.0.1:8081", timeout=wrong)
    not_taken: list[Any] = [None, *NO_TIMES]
    for no_time in not_taken:
        with pytest.raises(TypeError):
            Publisher("127.0.0.1:8081", timeout=no_time)
    for right in (0.001, 5, 86_400):
        Publisher("127.0.0.1:8081", timeout=right).close()


@pytest.mark.parametrize("wrong", [1.5, INF, NAN, 1e30, "5"])
def test_a_publisher_of_another_process_takes_whole_milliseconds(wrong: Any) -> None:  # noqa: ANN401
    publisher = Publisher("127.0.0.1:1")
    refused: list[Callable[[], object]] = [
        lambda: publisher.publish("news", "a", retry_ms=wrong),
        lambda: publisher.publish_many([Publication("news", "a", retry_ms=wrong)]),
        lambda: publisher.finish("news", "a", retry_ms=wrong),
    ]
    for each in refused:
        with pytest.raises(TypeError, match="the option retry_ms takes a whole number"):
            each()
    with pytest.raises(TypeError, match="the option window_ms takes a whole number"):
        publisher.publish("news", "a", window_ms=wrong)
