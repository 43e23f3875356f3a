"""Event streams as applications of ASGI, without a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from client import DEADLINE_S, wait_until

import fanfare
from fanfare import Grant, Hub, OptionsError, asgi
from fanfare._serving import Terms, covers
from fanfare.asgi import EventStream

pytestmark = pytest.mark.each_version

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


class Kept:
    """A connection that cannot be handed over, and can be ended or not."""

    def __init__(self, can_be_aborted: bool) -> None:
        self.can_be_aborted = can_be_aborted
        self.aborted = asyncio.Event()

    def obstacle(self) -> str | None:
        return "it is a connection of HTTP/2"

    def abort(self) -> bool:
        self.aborted.set()
        return self.can_be_aborted

    def on_shutdown(self, _end: Callable[[], None]) -> Callable[[], object]:
        return lambda: None


@pytest.mark.parametrize("connection", [None, Kept(False)], ids=["unknown", "HTTP/2"])
def test_a_server_that_takes_nothing_any_more_does_not_keep_the_stream(
    connection: Kept | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanfare._sending.STALL_S", 0.05)
    monkeypatch.setattr(asgi, "connection_of", lambda _send: connection)

    async def main() -> None:
        sent = Sent()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        with Hub(shards=1) as hub:
            stream = EventStream(hub, "news")
            task = asyncio.create_task(stream(scope(), sent.receive, send))
            assert (await asyncio.wait([task], timeout=DEADLINE_S / 2))[0] == {task}
            await task
            wait_until("the stream to end", lambda: hub.metrics().connections == 0)

    run(main)


def test_a_task_that_is_cancelled_after_its_server_stalled_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Kept(True)
    monkeypatch.setattr("fanfare._sending.STALL_S", 0.05)
    monkeypatch.setattr(asgi, "connection_of", lambda _send: connection)

    async def main() -> None:
        sent = Sent()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        with Hub(shards=1) as hub:
            stream = EventStream(hub, "news")
            task = asyncio.create_task(stream(scope(), sent.receive, send))
            await connection.aborted.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)


def test_a_client_that_leaves_while_a_middleware_has_the_head_leaves_no_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    obstacles = [None, "the connection is being closed"]
    connection = Kept(True)
    monkeypatch.setattr(connection, "obstacle", lambda: obstacles.pop(0))
    monkeypatch.setattr(asgi, "connection_of", lambda _send: connection)

    async def main() -> None:
        sent, held = Sent(), []
        sent.left.set()

        async def middleware(asked: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
            async def hold(message: Message) -> None:
                held.append(message)

            await stream(asked, receive, hold)
            for message in held:
                await send(message)

        with Hub(shards=1) as hub:
            stream, asked = EventStream(hub, "news"), scope()
            await asgi.Handover(middleware)(asked, sent.receive, sent.send)
            assert [message["type"] for message in sent.messages] == ["http.response.start"]
            assert hub.connections() == []
            assert hub.metrics().connections == 0
            del asked

    run(main)


@pytest.mark.parametrize("how", ["raises", "replaces", "changes"])
def test_what_a_middleware_answers_in_the_streams_place_opens_none(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Kept(True)
    monkeypatch.setattr(connection, "obstacle", lambda: None)
    monkeypatch.setattr(asgi, "connection_of", lambda _send: connection)

    async def main() -> None:
        sent = Sent()
        refused = {"type": "http.response.start", "status": 403, "headers": []}

        async def middleware(asked: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
            async def raising(_message: Message) -> None:
                raise KeyError(how)

            async def changing(message: Message) -> None:
                is_start = message["type"] == "http.response.start"
                await send(message | {"status": 403} if is_start else message)

            async def dropping(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(refused)
                    await send({"type": "http.response.body", "body": b"no", "more_body": False})

            chosen = {"raises": raising, "replaces": dropping, "changes": changing}[how]
            try:
                await stream(asked, receive, chosen)
            except KeyError:
                await dropping(refused)

        stream = EventStream(closed, "news")
        asked = scope(headers=[(b"accept", b"text/event-stream")])
        await asgi.Handover(middleware)(asked, sent.receive, sent.send)
        assert sent.messages[0]["status"] == 403
        assert sent.body in (b"no", b":\n\n")
        assert sent.messages[-1]["more_body"] is False
        sent.messages.clear()

        stream = EventStream(hub, "news")
        await asgi.Handover(middleware)(scope(), sent.receive, sent.send)
        assert sent.messages[0]["status"] == 403
        assert hub.metrics().connections == 0

    with Hub(shards=1) as hub, Hub(shards=1) as closed:
        closed.close()
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


@pytest.mark.parametrize(
    "said",
    [
        b"a" * 5000,
        b"\xff" * 4000,
        b"a" + "é".encode() * 2048,
        "\u20ac".encode() * 1366,
        b"\0",
        b"\x7f\x80",
    ],
)
def test_no_id_that_a_client_says_is_an_error_of_the_program(said: bytes) -> None:
    for name in ("last-event-id", "lastEventId"):
        for asked in (
            scope(headers=[(b"last-event-id", said)]),
            scope(query_string=urlencode({name: said.decode("utf-8", "replace")}).encode()),
        ):
            sent = Sent()
            assert b"event: fanfare-gap\n" in begun(asked, sent)
            assert sent.messages[0]["status"] == 200


def test_an_address_with_a_zone_does_not_count_against_limits() -> None:
    assert begun(scope(client=("fe80::1%eth0", 1)), Sent())


def test_an_id_of_the_query_counts_where_the_header_field_has_none() -> None:
    for said, query in ((b" ", b"lastEventId=a"), (b"\tb ", b"last-event-id=a")):
        terms = Terms("news").of(query, said, None)[1]
        assert terms["last_event_id"] == (said.strip() or b"a")


def begun(asked: dict[str, Any], sent: Sent) -> bytes:
    """What the stream of a request begins with."""

    async def main() -> None:
        with Hub(shards=1) as hub:
            stream = EventStream(hub, "news")(asked, sent.receive, sent.send)
            task = asyncio.create_task(stream)
            await sent.until(b"id: ")
            sent.left.set()
            await task

    run(main)
    return sent.body


def test_what_the_program_says_wrongly_is_raised() -> None:
    with Hub(shards=1) as hub:
        for field in ("Content-Type", "cache-control", "Content-Encoding", "Connection"):
            with pytest.raises(ValueError, match="the engine writes itself"):
                EventStream(hub, "news", headers={field: "a"})
        for field, value in (
            ("X-A", "a\r\nSet-Cookie: b=1"),
            ("X-A", "\0"),
            ("X A", "a"),
            ("", ""),
        ):
            with pytest.raises(ValueError, match=r"control character|no name"):
                EventStream(hub, "news", headers={field: value})
            with pytest.raises(ValueError, match=r"control character|no name"):
                EventStream(hub, Grant("news", headers={field: value}))
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
