"""Coroutine functions decide who gets which stream, under asyncio, uvloop and trio."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading

import anyio
import anyio.to_thread
import httpx
import pytest
import sniffio
from client import DEADLINE_S
from loops import Run, run  # noqa: F401 (a fixture)
from test_authorizing import ask

from fanfare import Grant, Hub, StreamRequest, Verdict

pytestmark = pytest.mark.each_version


async def ask_in_thread(port: int, query: str = "topic=news", **headers: str) -> httpx.Response:
    return await anyio.to_thread.run_sync(lambda: ask(port, query, **headers))


def test_a_coroutine_decides_in_the_loop_that_listens(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        thread, library = threading.get_ident(), sniffio.current_async_library()
        user = contextvars.ContextVar("user", default="")
        user.set("me")
        most, running = 0, 0
        async with Hub(shards=1) as hub:

            @hub.authorize(waiting_max=2)
            async def decide(request: StreamRequest) -> Verdict:
                nonlocal most, running
                assert threading.get_ident() == thread
                assert sniffio.current_async_library() == library
                assert user.get() == "me"
                running += 1
                most = max(most, running)
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 0.001)
                running -= 1
                if request.query == "topic=bad":
                    raise LookupError("on purpose")
                return Grant([request.query.removeprefix("topic=")])

            port = hub.listen().port
            statuses = []

            async def one(query: str) -> None:
                statuses.append((await ask_in_thread(port, query)).status_code)

            async with anyio.create_task_group() as group:
                for n in range(2):
                    group.start_soon(one, f"topic=t{n}")
            assert statuses == [200, 200]
            for n in range(5):
                assert (await ask_in_thread(port, f"topic=t{n}")).status_code == 200
            assert (await ask_in_thread(port, "topic=bad")).status_code == 503
            assert (await ask_in_thread(port, "topic=good")).status_code == 200
        assert 1 <= most <= 2
        with pytest.raises(RuntimeError, match="the hub has an authorizer already"):
            hub.authorize(decide)

    run(main)


def test_no_more_coroutines_run_at_once_than_requests_may_wait(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        running, go_on = 0, anyio.Event()
        async with Hub(shards=1) as hub:

            @hub.authorize(waiting_max=2, timeout_ms=600_000)
            async def decide(_: StreamRequest) -> Verdict:
                nonlocal running
                running += 1
                await go_on.wait()
                running -= 1
                return True

            async def wait_for(pending: int, functions: int) -> None:
                while (hub.metrics().pending_authorizations, running) != (pending, functions):
                    await anyio.sleep(0.001)

            port = hub.listen().port
            # Clients that have left wait no more, but the functions for them run all the same.
            for n in range(2):
                async with await anyio.connect_tcp("127.0.0.1", port) as client:
                    await client.send(b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    await wait_for(1, n + 1)
            await wait_for(0, 2)
            async with anyio.create_task_group() as group:
                group.start_soon(ask_in_thread, port)
                await wait_for(1, 2)
                for _ in range(20):
                    await anyio.sleep(0.001)
                    assert running == 2
                go_on.set()

    run(main)


def test_a_coroutine_that_takes_too_long_is_cancelled(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        cancelled = anyio.Event()
        async with Hub(shards=1) as hub:

            @hub.authorize(timeout_ms=50)
            async def decide(request: StreamRequest) -> Verdict:
                if request.query == "topic=good":
                    return True
                try:
                    await anyio.sleep(DEADLINE_S)
                finally:
                    cancelled.set()
                return True

            port = hub.listen().port
            assert (await ask_in_thread(port)).status_code == 503
            await cancelled.wait()
            assert (await ask_in_thread(port, "topic=good")).status_code == 200

    run(main)


def test_coroutines_are_cancelled_when_their_hub_is_closed(
    run: Run,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        begun, cancelled = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            async with Hub(shards=1) as hub:

                @hub.authorize(timeout_ms=600_000)
                async def decide(_: StreamRequest) -> Verdict:
                    begun.set()
                    try:
                        await anyio.sleep_forever()
                    finally:
                        cancelled.set()
                    return True

                group.start_soon(is_refused, hub.listen().port)
                await begun.wait()
            await cancelled.wait()

    async def is_refused(port: int) -> None:
        with pytest.raises((httpx.TransportError, AssertionError)):
            assert (await ask_in_thread(port)).status_code == 200

    run(main)
    assert caplog.text == ""


PROGRAM = """
import http.client, logging, os, signal, sys, threading
import anyio
from fanfare import Hub

logging.basicConfig()
threading.excepthook = lambda _: None  # of clients that are cut off
begun = threading.Event()

async def main():
    hub = Hub(shards=1)

    @hub.authorize(timeout_ms=600_000)
    async def decide(request):
        if request.query == "topic=exits":
            sys.exit()
        begun.set()
        {decides}

    port = hub.listen().port
    assert await anyio.to_thread.run_sync(ask, port, "exits") == 503
    threading.Thread(target=ask_and_interrupt, args=(port,), daemon=True).start()
    {then}

def ask(port, topic):
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", f"/events?topic={{topic}}")
    return client.getresponse().status

def ask_and_interrupt(port):
    threading.Thread(target=ask, args=(port, "waits"), daemon=True).start()
    begun.wait()
    {interrupts}

try:
    anyio.run(main, backend="trio")
except KeyboardInterrupt:
    print("interrupted")
else:
    print("ended")
"""
INTERRUPTS = "os.kill(os.getpid(), signal.SIGINT)"
SLEEPS, RUNS = "await anyio.sleep_forever()", "while True: await anyio.sleep(0)"


@pytest.mark.parametrize(
    ("decides", "then", "interrupts", "prints"),
    [
        (SLEEPS, SLEEPS, INTERRUPTS, "interrupted"),
        (RUNS, SLEEPS, INTERRUPTS, "interrupted"),
        (SLEEPS, "await anyio.to_thread.run_sync(begun.wait)", "pass", "ended"),
    ],
    ids=["interrupted while it waits", "interrupted while it runs", "the program has ended"],
)
def test_a_trio_program_ends_as_it_would_without_an_authorizer(
    decides: str, then: str, interrupts: str, prints: str
) -> None:
    code = PROGRAM.format(decides=decides, then=then, interrupts=interrupts)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (ran.returncode, ran.stdout) == (0, f"{prints}\n"), ran.stderr
    # The function that exits has failed, and nothing else is told.
    assert ran.stderr.count("ERROR:fanfare") == 1
    assert ran.stderr.strip().endswith("SystemExit")


def test_a_coroutine_without_a_loop_is_refused_and_no_listener_is_open_by_mistake() -> None:
    async def decide(_: StreamRequest) -> Verdict:
        return True

    with Hub(shards=1) as hub:
        hub.authorize(decide)
        with pytest.raises(RuntimeError, match="listen from a coroutine"):
            hub.listen()
    with Hub(shards=1) as hub:
        hub.listen()
        with pytest.raises(RuntimeError, match="authorize before you listen"):
            hub.authorize(decide)
