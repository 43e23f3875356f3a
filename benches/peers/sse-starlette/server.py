"""sse-starlette under uvicorn, with a queue per client as in its broadcasting example.

uvicorn with its `standard` extras, as its documents recommend for speed: uvloop and httptools. The
example's queues have no bound, so nothing is lost; the publisher lets the event loop run once after
every event, as an `await` in a handler would. Clients that leave are noticed by the library.
"""

import asyncio
import math
import os
import sys
import time

import uvicorn
from protocol import Done, Settings, say
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.routing import Route


class Broadcaster:
    """The clients of one topic."""

    def __init__(self):
        self._clients = set()
        self._published = 0

    def broadcast(self, data):
        event = ServerSentEvent(data=data, id=str(self._published))
        self._published += 1
        for client in self._clients:
            client.put_nowait(event)

    async def events(self):
        client = asyncio.Queue()
        self._clients.add(client)
        try:
            while True:
                yield await client.get()
        finally:
            self._clients.discard(client)

    async def respond(self, _request):
        return EventSourceResponse(self.events())


async def publish_all(settings, to_all, solo):
    late_ns = [] if settings.solo_interval_ms else None
    begun_ns = time.monotonic_ns()
    cpu_ns = time.process_time_ns()
    beside = asyncio.create_task(publish_solos(settings, solo, late_ns)) if late_ns == [] else None
    for number in range(settings.events):
        await sleep_until(settings.due_ns(begun_ns, number))
        to_all.broadcast(settings.data(number, time.monotonic_ns()))
    elapsed_ns = time.monotonic_ns() - begun_ns
    cpu_ns = time.process_time_ns() - cpu_ns
    if beside:
        beside.cancel()
    return Done(settings.events, elapsed_ns, cpu_ns, late_ns)


async def publish_solos(settings, solo, late_ns):
    interval_ns = settings.solo_interval_ms * 1_000_000
    due_ns = time.monotonic_ns() + interval_ns
    while True:
        await sleep_until(due_ns)
        late_ns.append(time.monotonic_ns() - due_ns)
        solo.broadcast(settings.data(len(late_ns) - 1, due_ns))
        due_ns += interval_ns


async def sleep_until(due_ns):
    """Lets the loop run at least once. Its timers know whole milliseconds: never too early."""
    while True:
        wait_ms = math.ceil((due_ns - time.monotonic_ns()) / 1e6)
        await asyncio.sleep(max(0, wait_ms) / 1e3)
        if time.monotonic_ns() >= due_ns:
            return


async def main():
    settings = Settings.from_environment()
    to_all, solo = Broadcaster(), Broadcaster()
    routes = [Route("/all", to_all.respond), Route("/solo", solo.respond)]
    config = uvicorn.Config(
        Starlette(routes=routes), host=settings.host, port=settings.port, log_level="warning"
    )
    listener = config.bind_socket()
    host, port = listener.getsockname()
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    say(f"listening {host}:{port} /all /solo")
    # The names keep the tasks alive.
    publishing = None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() != "go":
            raise ValueError(f"unknown command {line!r}")
        publishing = asyncio.create_task(publish_all(settings, to_all, solo))
        publishing.add_done_callback(report)
    is_publishing = publishing is not None and not publishing.done()
    # Thousands of streams would have to be ended one by one otherwise.
    os._exit(1 if serving.done() else 3 if is_publishing else 0)


def report(publishing):
    if error := publishing.exception():
        print(f"publishing failed: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    say(publishing.result().line())


# On the loop that `uvicorn.run` would choose.
with asyncio.Runner(loop_factory=uvicorn.Config(None).get_loop_factory()) as runner:
    runner.run(main())
