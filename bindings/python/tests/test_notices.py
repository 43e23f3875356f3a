"""Notices reach threads and event loops, and say what happened."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from client import DEADLINE_S, events, wait_until
from test_streams import run  # noqa: F401 (a fixture)

from fanfare import (
    BusyError,
    Connected,
    Disconnected,
    Hub,
    LimitError,
    Notice,
    Notices,
    SubscriptionError,
    Unwanted,
    Wanted,
)

pytestmark = pytest.mark.each_version

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


def test_a_thread_is_told_of_connections_until_the_hub_is_closed() -> None:
    told: list[Notice] = []
    hub = Hub(shards=1)
    notices = hub.notices()
    thread = threading.Thread(target=lambda: told.extend(notices))
    thread.start()
    with events(hub.listen().port, "news", "a/#") as received:
        hub.publish("news", "hello")
        assert next(received).data == "hello"
    wait_until("the client to be gone", lambda: hub.metrics().connections == 0)
    with hub.subscribe("pull", tag="me"):
        wait_until("the stream to be there", lambda: hub.metrics().connections == 1)
        hub.close()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    first, second, third, fourth = told
    assert isinstance(first, Connected)
    assert set(first.subscriptions) == {"news", "a/#"}
    assert first.addr is not None
    assert first.addr.startswith("127.0.0.1:")
    assert (first.tag, first.lost) == (None, 0)
    assert abs(first.at - time.time()) < DEADLINE_S
    assert isinstance(second, Disconnected)
    assert second.connection_id == first.connection_id
    assert (second.reason, second.events) == ("client_closed", 1)
    assert second.bytes > 0
    assert second.lasted >= 0
    assert isinstance(third, Connected)
    assert (third.tag, third.addr) == ("me", None)
    assert isinstance(fourth, Disconnected)
    assert fourth.reason == "closed"


def test_a_coroutine_is_told_what_is_wanted_and_no_longer(run: Runner) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            with hub.subscribe("sensor/1"):
                notices = hub.notices(
                    connections=False, interest=["sensor/#", "other"], grace_ms=10
                )
                first = await anext(notices)
                assert isinstance(first, Wanted)
                assert first.subscription == "sensor/1"
                with hub.subscribe("other"):
                    second = await anext(notices)
                    assert isinstance(second, Wanted)
                    assert second.subscription == "other"
                third = await anext(notices)
                assert isinstance(third, Unwanted)
                assert third.subscription == "other"
                await hub.close_async()
                rest = [notice async for notice in notices]
            assert [type(notice) for notice in rest] == [Unwanted]

    run(main())


def test_a_coroutine_that_waits_is_cancelled_and_waits_again(run: Runner) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            notices = hub.notices()
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(notices), 0.01)
            waits = asyncio.create_task(_next(notices))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await anext(notices)
            with hub.subscribe("news", tag="me"):
                assert isinstance(await waits, Connected)

    run(main())


async def _next(notices: Notices) -> Notice:
    return await anext(notices)


def test_notices_are_closed_while_something_reads_them(run: Runner) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            with hub.notices() as notices:

                async def read() -> list[Notice]:
                    return [notice async for notice in notices]

                reads = asyncio.create_task(read())
                await asyncio.sleep(0)
                await asyncio.to_thread(notices.close)
                assert await reads == []
            blocking = hub.notices()
            in_thread = asyncio.create_task(asyncio.to_thread(list, blocking))
            await asyncio.sleep(0)
            blocking.close()
            assert await in_thread == []

    run(main())


def test_what_is_lost_is_counted_and_a_second_call_takes_the_notices_over() -> None:
    with Hub(shards=1) as hub:
        first = hub.notices(capacity=1)
        with hub.subscribe("a"), hub.subscribe("b"):
            wait_until("the streams", lambda: hub.metrics().connections == 2)
            wait_until("a notice to be lost", lambda: hub.metrics().lost_notices == 1)
            assert isinstance(next(first), Connected)
            second = hub.notices()
        assert list(first) == []  # it has ended
        assert next(second).lost == 0


def test_notices_out_of_their_bounds_are_refused() -> None:
    with Hub(shards=1) as hub:
        for wrong in ({"capacity": 0}, {"capacity": 1 << 21}, {"grace_ms": -1}):
            with pytest.raises(ValueError, match="may be"):
                hub.notices(**wrong)  # type: ignore[arg-type]
        with pytest.raises(SubscriptionError):
            hub.notices(interest="a/#/b")
        with pytest.raises(LimitError):
            hub.notices(connections=False, interest=[f"t{n}" for n in range(65)])
