"""Many streams in one event loop of asyncio's: how they share it, and what a wait leaves behind."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from client import DEADLINE_S
from test_streams import run  # noqa: F401 (a fixture)

from fanfare import BusyError, Hub, Stream
from fanfare._doorbell import TURN_S
from fanfare._sending import send_all

pytestmark = pytest.mark.each_version
Runner = Callable[[Coroutine[Any, Any, Any]], Any]
STREAMS = 500


def nothing() -> None:
    pass


def work(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def sent_by(hub: Hub, count: int, write: Callable[[bytes], None]) -> list[asyncio.Task[bool]]:
    """The tasks that send the streams of as many clients, which have begun."""
    begun = 0

    async def send(part: bytes) -> None:
        nonlocal begun
        begun += part.startswith(b"retry: ")
        write(part)

    streams = [hub.subscribe("news", queue_bytes_max=1 << 20) for _ in range(count)]
    tasks = [asyncio.create_task(send_all(each, send, nothing, nothing)) for each in streams]
    while begun < count:
        await asyncio.sleep(0.001)
    return tasks


def test_streams_that_all_could_go_on_leave_the_loop_to_others(run: Runner) -> None:  # noqa: F811
    turns = 0

    async def main() -> None:
        nonlocal turns
        with Hub(shards=1) as hub:
            tasks = await sent_by(hub, STREAMS, lambda _: work(TURN_S / 4))
            hub.finish("news", "last")
            while not all(task.done() for task in tasks):
                turns += 1
                await asyncio.sleep(0)
            assert all(task.result() for task in tasks)

    run(main())
    # All of them need as much as STREAMS / 4 turns, of which a busy machine makes more.
    assert turns > STREAMS / 8


def test_a_stream_that_always_has_more_leaves_the_loop_to_others(run: Runner) -> None:  # noqa: F811
    async def main() -> None:
        with Hub(shards=1) as hub, hub.subscribe("news", queue_bytes_max=1 << 20) as stream:
            parts: list[tuple[int, int]] = []
            turns = 0

            async def send(part: bytes) -> None:
                parts.append((turns, len(part)))
                work(TURN_S)

            for _ in range(40):
                await hub.publish_async("news", "x" * 20_000)
            task = asyncio.create_task(send_all(stream, send, nothing, nothing))
            hub.finish("news")
            while not task.done():
                turns += 1
                await asyncio.sleep(0)
            assert sum(size for _, size in parts) > 800_000
            assert len({turn for turn, _ in parts}) == len(parts)

    run(main())


def test_a_wait_leaves_few_objects_to_the_garbage_collector(run: Runner) -> None:  # noqa: F811
    parts = 0

    def count(_part: bytes) -> None:
        nonlocal parts
        parts += 1

    async def main() -> None:
        with Hub(shards=1) as hub:
            tasks = await sent_by(hub, STREAMS, count)
            gc.collect()
            gc.freeze()
            gc.disable()
            try:
                for number in range(3):
                    before = parts
                    hub.publish("news", str(number))
                    while parts < before + STREAMS:
                        await asyncio.sleep(0.001)
                made = len(gc.get_objects())
            finally:
                gc.enable()
                gc.unfreeze()
            # One of the task's own for each stream, which it makes anew with each wait.
            assert made < 2 * STREAMS
            hub.finish("news")
            assert all(await asyncio.gather(*tasks))

    run(main())


def test_a_second_task_that_reads_a_stream_is_refused(run: Runner) -> None:  # noqa: F811
    async def main() -> None:
        with Hub(shards=1) as hub, hub.subscribe("news") as stream:
            await stream.read_async()
            first = asyncio.create_task(stream.read_async())
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await stream.read_async()
            hub.publish("news", "a")
            assert b"data: a" in await first

    run(main())


@pytest.mark.parametrize("message", [None, "enough"])
def test_a_task_that_is_cancelled_while_it_waits_leaves_the_stream_to_the_next(
    run: Runner,  # noqa: F811
    message: str | None,
) -> None:
    told = []

    async def read(stream: Stream) -> None:
        try:
            await stream.read_async()
        except asyncio.CancelledError as problem:
            told.append(problem.args)
            raise

    async def main() -> None:
        with Hub(shards=1) as hub, hub.subscribe("news") as stream:
            await stream.read_async()
            first = asyncio.create_task(read(stream))
            await asyncio.sleep(0)
            first.cancel(*([] if message is None else [message]))
            # Before the first one has seen that it is cancelled.
            second = asyncio.create_task(stream.read_async())
            hub.publish("news", "a")
            assert b"data: a" in await asyncio.wait_for(second, DEADLINE_S)
            with pytest.raises(asyncio.CancelledError):
                await first
            assert told == [() if message is None else (message,)]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(stream.read_async(), 0.01)
            hub.publish("news", "b")
            assert b"data: b" in await stream.read_async()

    run(main())
