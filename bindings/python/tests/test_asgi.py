"""Event streams as applications of ASGI, without a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from client import DEADLINE_S, wait_until

import fanfare
from fanfare import Grant, Hub, OptionsError, asgi
from fanfare._serving import covers
from fanfare.asgi import EventStream

Message = Any


def scope(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 (whatever a scope has)
    made: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 1),
    }
    return made | changed


class Sent:
    """What an application sends; its client leaves when it is told to."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.left = asyncio.Event()
        self.came = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.came.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def until(self, part: bytes) -> None:
        while part not in self.body:
            self.came.clear()
            await self.came.wait()


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main(), DEADLINE_S)

    asyncio.run(bounded())


def test_a_server_that_gives_no_socket_sends_the_stream_until_its_client_leaves() -> None:
    async def main() -> None:
        sent = Sent()
        with Hub(shards=1) as hub:
            stream = EventStream(hub, "news", headers={"X-Mine": "yes"})
            task = asyncio.create_task(stream(scope(), sent.receive, sent.send))
            await sent.until(b"id: ")
            hub.publish("news", "hello")
            await sent.until(b"data: hello\n\n")
            sent.left.set()
            await task
            wait_until("the stream to end", lambda: hub.metrics().connections == 0)
        start = sent.messages[0]
        assert start["status"] == 200
        assert (b"x-mine", b"yes") in start["headers"]
        assert all(message["more_body"] for message in sent.messages[1:])

    run(main)


def test_a_stream_whose_task_is_cancelled_is_freed() -> None:
    async def main() -> None:
        sent = Sent()
        with Hub(shards=1) as hub:
            stream = EventStream(hub, "news")
            task = asyncio.create_task(stream(scope(), sent.receive, sent.send))
            await sent.until(b"id: ")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            wait_until("the stream to end", lambda: hub.metrics().connections == 0)

    run(main)


def test_a_server_that_takes_nothing_any_more_does_not_keep_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "STALL_S", 0.05)

    async def main() -> None:
        sent = Sent()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        with Hub(shards=1) as hub:
            await EventStream(hub, "news")(scope(), sent.receive, send)
            wait_until("the stream to end", lambda: hub.metrics().connections == 0)

    run(main)


def test_limits_per_address_are_those_of_the_client_that_the_server_names() -> None:
    async def main() -> None:
        sents = [Sent(), Sent()]
        with Hub(shards=1, connections_per_address_max=1) as hub:
            first = EventStream(hub, "news")(scope(), sents[0].receive, sents[0].send)
            task = asyncio.create_task(first)
            await sents[0].until(b"id: ")
            await EventStream(hub, "news")(scope(), sents[1].receive, sents[1].send)
            assert sents[1].messages[0]["status"] == 503
            for left in ("192.0.2.2", "unknown"):  # another one, and one that is no address
                sent = Sent()
                other = EventStream(hub, "news")(scope(client=(left, 1)), sent.receive, sent.send)
                others = asyncio.create_task(other)
                await sent.until(b"id: ")
                sent.left.set()
                await others
            sents[0].left.set()
            await task

    run(main)


def test_what_the_program_says_wrongly_is_raised() -> None:
    with Hub(shards=1) as hub:
        for field in ("Content-Type", "cache-control", "Content-Encoding", "Connection"):
            with pytest.raises(ValueError, match="the engine writes itself"):
                EventStream(hub, "news", headers={field: "a"})
        with pytest.raises(ValueError, match="query_topics"):
            EventStream(hub, Grant(any_topics=True))
        with pytest.raises(ValueError, match="handover"):
            EventStream(hub, "news", handover="sometimes")  # type: ignore[arg-type]

        async def main() -> None:
            sent = Sent()
            with pytest.raises(OptionsError, match="the option tag"):
                await EventStream(hub, "news", tag="a\n")(scope(), sent.receive, sent.send)
            assert sent.messages == []

        run(main)


COVERED = {
    ("a", "a"): True,
    ("a", "b"): False,
    ("a/+", "a/b"): True,
    ("a/+", "a/"): True,
    ("a/+", "a"): False,
    ("a/+", "a/b/c"): False,
    ("a/+", "a/+"): True,
    ("a/+", "a/#"): False,
    ("a/b", "a/+"): False,
    ("a/#", "a"): True,
    ("a/#", "a/b/c"): True,
    ("a/#", "a/+/c"): True,
    ("a/#", "a/#"): True,
    ("a/#", "ab"): False,
    ("+/+", "#"): False,
    ("#", "a/+"): True,
    ("#", "$load/cpu"): False,
    ("+/cpu", "$load/cpu"): False,
    ("$load/#", "$load/cpu"): True,
    ("#", "+"): True,
}


@pytest.mark.parametrize(("both", "expected"), COVERED.items())
def test_a_filter_covers_what_it_stands_for(both: tuple[str, str], expected: bool) -> None:
    assert covers(*both) is expected


def test_no_framework_is_needed() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(fanfare.__file__).parents[1])!r})
for name in ("starlette", "fastapi", "uvicorn", "aiohttp", "anyio"):
    sys.modules[name] = None
import fanfare.asgi
assert fanfare.asgi.EventStream.__mro__[1] is object
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=DEADLINE_S)
