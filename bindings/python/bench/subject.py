"""What ``fanout.py`` measures: one program that publishes to many clients, in one of four ways.

    python subject.py handover|pull|sse-starlette|fastapi

It speaks the protocol of ``fanfare bench --peer``, described in docs/benchmark.md. All ways run in
one event loop, uvloop's, under uvicorn with httptools, and publish in it. The publisher lets the
loop run once after every event, as an ``await`` in a handler would. When it ends it appends to the
file that ``FANOUT_PAUSES`` names how long the loop did not turn at most, from the first event on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import uvicorn
import uvloop

MODE = sys.argv[1]
EVENTS, BYTES = (int(os.environ[f"FANFARE_BENCH_{name}"]) for name in ("EVENTS", "BYTES"))
RATE = float(os.environ["FANFARE_BENCH_RATE"])

SETTLE_S = 1.0
_KEPT: list[asyncio.Task[object]] = []  # a loop does not keep its tasks

Publish = Callable[[str], Awaitable[object]]


def of_fanfare(handover: Any) -> tuple[Any, Publish]:  # noqa: ANN401 (a literal)
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from fanfare import Hub
    from fanfare.asgi import EventStream

    # No client is sent away for being slow: the machine that all run on is.
    hub = Hub(shards=1, lag_age_max_ms=600_000, lag_grace_ms=600_000, stall_time_max_ms=600_000)

    async def respond(_: Request) -> EventStream:
        return EventStream(hub, "all", handover=handover)

    async def publish(data: str) -> None:
        await hub.publish_async("all", data)

    return Starlette(routes=[Route("/all", respond)]), publish


class Broadcaster:
    """A queue for each client, as in the examples of both libraries."""

    def __init__(self, event: Callable[..., Any]) -> None:
        self._queues: set[asyncio.Queue[Any]] = set()
        self._event = event
        self._published = 0

    async def publish(self, data: str) -> None:
        event = self._event(data, str(self._published))
        self._published += 1
        for queue in self._queues:
            queue.put_nowait(event)

    async def events(self) -> AsyncIterable[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)


def of_sse_starlette() -> tuple[Any, Publish]:
    from sse_starlette import EventSourceResponse, ServerSentEvent  # pyright: ignore[reportMissingImports]
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    to_all = Broadcaster(lambda data, number: ServerSentEvent(data=data, id=number))

    async def respond(_: Request) -> EventSourceResponse:
        return EventSourceResponse(to_all.events())

    return Starlette(routes=[Route("/all", respond)]), to_all.publish


def of_fastapi() -> tuple[Any, Publish]:
    from fastapi import FastAPI
    from fastapi.sse import EventSourceResponse, ServerSentEvent

    to_all = Broadcaster(lambda data, number: ServerSentEvent(raw_data=data, id=number))
    app = FastAPI()

    @app.get("/all", response_class=EventSourceResponse)
    async def respond() -> AsyncIterable[ServerSentEvent]:
        async for event in to_all.events():
            yield event

    return app, to_all.publish


async def watch(longest: dict[str, int], connections: set[Any]) -> None:
    """Measures how long the loop did not turn, on the clock and in CPU time of its thread.

    It ends when clients leave: then all do, and the run is over.
    """
    count = len(connections)
    while True:
        wall, cpu = time.monotonic_ns(), time.thread_time_ns()
        await asyncio.sleep(0.001)
        if len(connections) < count:
            return
        longest["wall_ns"] = max(longest["wall_ns"], time.monotonic_ns() - wall - 1_000_000)
        longest["cpu_ns"] = max(longest["cpu_ns"], time.thread_time_ns() - cpu - 1_000_000)


async def publish_all(publish: Publish, longest: dict[str, int], connections: set[Any]) -> str:
    # What connecting leaves to do is done first, and what has come to stay is not looked through
    # by the garbage collector again and again, which would be most of a pause in all ways.
    await asyncio.sleep(SETTLE_S)
    gc.collect()
    gc.freeze()
    await asyncio.sleep(0.1)
    watching = asyncio.create_task(watch(longest, connections))
    _KEPT.append(watching)
    begun, cpu = time.monotonic_ns(), time.process_time_ns()
    for number in range(EVENTS):
        due = begun + int(number * 1e9 / RATE) if RATE else begun
        await asyncio.sleep(max(0, math.ceil((due - time.monotonic_ns()) / 1e6)) / 1e3)
        await publish(f"{number} {time.monotonic_ns()} ".ljust(BYTES, "x"))
    elapsed = time.monotonic_ns() - begun
    return f"done {EVENTS} {elapsed} {time.process_time_ns() - cpu}"


async def main() -> None:
    makers = {"sse-starlette": of_sse_starlette, "fastapi": of_fastapi}
    app, publish = makers[MODE]() if MODE in makers else of_fanfare(HANDOVERS[MODE])
    if MODE in HANDOVERS:
        # In the source tree cffi reads the declaration of a function when it is called first, which
        # takes milliseconds. A wheel has it compiled.
        await publish("before any client")
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", backlog=4096)
    listener = config.bind_socket()
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()
    print(f"listening {host}:{port} /all", flush=True)
    loop, longest = asyncio.get_running_loop(), {"wall_ns": 0, "cpu_ns": 0}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        assert line.strip() == "go", line
        publishing = asyncio.create_task(
            publish_all(publish, longest, server.server_state.connections)
        )
        publishing.add_done_callback(lambda task: print(task.result(), flush=True))
        _KEPT.append(publishing)
    if "FANOUT_PAUSES" in os.environ:
        with open(os.environ["FANOUT_PAUSES"], "a") as file:
            file.write(json.dumps({"mode": MODE, **longest}) + "\n")
    os._exit(0)  # thousands of streams would have to be ended one by one otherwise


HANDOVERS = {"handover": "require", "pull": "never"}

if __name__ == "__main__":
    uvloop.run(main())
