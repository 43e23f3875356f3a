"""Waiting in coroutines under asyncio, uvloop and trio."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest
from client import events
from loops import Run, run  # noqa: F401 (a fixture)
from test_waiting import BIG, full_hub, read_on

from fanfare import BusyError, Connected, Disconnected, EndedError, Hub, Publication, TimedOutError
from fanfare.errors import check

pytestmark = pytest.mark.each_version


async def cancelled(function: Callable[[], Awaitable[object]]) -> None:
    """Cancels a task at the await at which it waits."""
    began, ended = anyio.Event(), []

    async def wait() -> None:
        began.set()
        await function()
        ended.append(function)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await began.wait()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert ended == []


def test_a_task_waits_for_notices_and_other_tasks_run(run: Run) -> None:  # noqa: F811
    async def main() -> list[str]:
        async with Hub(shards=1) as hub:
            port, ticks, told = hub.listen().port, [0], []
            with hub.notices() as notices:

                async def tick() -> None:
                    while True:
                        ticks[0] += 1
                        await anyio.sleep(0)

                async with anyio.create_task_group() as group:
                    group.start_soon(tick)
                    group.start_soon(anyio.to_thread.run_sync, connect, port)
                    async for notice in notices:
                        told.append(type(notice).__name__)
                        if isinstance(notice, Disconnected):
                            break
                    group.cancel_scope.cancel()
                assert ticks[0] > 1
        return told

    def connect(port: int) -> None:
        with events(port, "news"):
            pass

    assert run(main) == [Connected.__name__, Disconnected.__name__]


def test_notices_that_a_thread_closes_end_for_the_task_that_waits(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            notices = hub.notices()
            closes = threading.Timer(0.02, notices.close)
            closes.start()
            assert [notice async for notice in notices] == []
            closes.join()

    run(main)


def test_a_second_task_that_waits_for_notices_is_refused(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            notices = hub.notices()
            async with anyio.create_task_group() as group:
                group.start_soon(notices.__anext__)
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                with pytest.raises(BusyError):
                    await notices.__anext__()
                group.cancel_scope.cancel()

    run(main)


def test_a_task_waits_for_space(run: Run) -> None:  # noqa: F811
    with full_hub() as (hub, client):

        async def main() -> None:
            with pytest.raises(TimedOutError):
                await hub.publish_async("news", BIG, timeout=0.02)
            read_on(client)
            assert await hub.publish_async("news", BIG)
            assert await hub.topic("news").publish_async(BIG)
            assert len(await hub.publish_many_async([Publication("news", BIG)] * 3)) == 3
            assert await hub.finish_async("news", "done")

        run(main)


def test_a_task_reads_a_stream_until_its_end(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            read = b""
            async with hub.subscribe("news") as stream, anyio.create_task_group() as group:

                async def publish() -> None:
                    for number in range(50):
                        await hub.publish_async("news", str(number))
                        await anyio.sleep(0)
                    await hub.finish_async("news")

                group.start_soon(publish)
                async for batch in stream:
                    read += batch
            assert read.count(b"data:") == 50
            assert read.index(b"data: 48") < read.index(b"data: 49")

    run(main)


def test_a_stream_that_a_thread_closes_ends_for_the_task_that_waits(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async with Hub(shards=1) as hub:
            stream = hub.subscribe("news")
            await stream.read_async()
            closes = threading.Timer(0.02, stream.close)
            closes.start()
            with pytest.raises(EndedError):
                await stream.read_async()
            closes.join()

    run(main)


def test_a_task_that_is_cancelled_at_any_await_has_done_nothing_and_can_wait_again(
    run: Run,  # noqa: F811
) -> None:
    with full_hub() as (hub, client):
        many = [Publication("news", BIG)]

        async def main() -> None:
            before = hub.metrics().published_events
            await cancelled(lambda: hub.publish_async("news", BIG))
            await cancelled(lambda: hub.publish_many_async(many))
            await cancelled(lambda: hub.finish_async("news", BIG))
            assert hub.metrics().published_events == before
            with hub.notices() as notices, hub.subscribe("sports") as stream:
                assert isinstance(await notices.__anext__(), Connected)
                await cancelled(notices.__anext__)
                await stream.read_async()
                await cancelled(stream.read_async)
                await cancelled(stream.read_async)
                hub.publish("sports", "a")
                assert b"data: a" in await stream.read_async()
            read_on(client)
            assert await hub.publish_async("news", BIG)
            await cancelled(lambda: hub.drain_async(window_ms=200))
            await hub.close_async()  # the drain goes on, and this waits for its end

        run(main)


def test_what_is_closed_just_before_a_task_waits_for_it_ends(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        with Hub(shards=1) as hub:
            notices = hub.notices()
            filled = notices._filled

            def is_filled() -> bool:
                is_there = filled()
                in_a_thread(notices.close)
                return is_there

            monkeypatch.setattr(notices, "_filled", is_filled)
            assert [notice async for notice in notices] == []

            stream = hub.subscribe("news")
            await stream.read_async()
            stream._readable = None  # as if it had not been waited for

            def check_and_close(status: int) -> None:
                check(status)
                in_a_thread(stream.close)

            monkeypatch.setattr("fanfare.streams.check", check_and_close)
            with pytest.raises(EndedError):
                await stream.read_async()

    run(main)


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()
