"""Streams that the program reads, and connections that it hands over."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import Any

import pytest
import uvloop
from client import DEADLINE_S, wait_until

from fanfare import (
    STREAM_HEADERS,
    BusyError,
    ClosedError,
    DisconnectedError,
    EndedError,
    FanfareError,
    Hub,
    OptionsError,
    RequestError,
    SocketError,
    Stream,
    SubscriptionError,
    TimedOutError,
    TLSSocketError,
    UnreadSocketError,
)

pytestmark = pytest.mark.each_version

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


def _with_uvloop(main: Coroutine[Any, Any, Any]) -> object:
    return uvloop.run(asyncio.wait_for(main, DEADLINE_S))


def _with_asyncio(main: Coroutine[Any, Any, Any]) -> object:
    return asyncio.run(asyncio.wait_for(main, DEADLINE_S))


@pytest.fixture(params=[_with_asyncio, _with_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    runner: Runner = request.param
    return runner


def data_of(batch: bytes) -> list[str]:
    return [line[6:] for line in batch.decode().splitlines() if line.startswith("data: ")]


def read_all(stream: Stream) -> list[str]:
    return [data for batch in stream for data in data_of(batch)]


def read_until(stream: Stream, last: str) -> list[str]:
    got: list[str] = []
    while last not in got:
        got += data_of(stream.read(DEADLINE_S))
    return got


def test_a_stream_is_iterated_until_it_ends_in_order() -> None:
    with Hub(shards=1) as hub, hub.subscribe(["run/1", "run/+"], tag="me") as stream:
        hub.publish("run/1", "a")
        assert read_until(stream, "a") == ["a"]
        assert stream.connection_id != 0
        assert stream.end_reason is None
        assert not stream.is_complete
        hub.publish("run/1", "b")
        hub.drain(window_ms=0)
        assert read_all(stream) == ["b"]
        assert stream.end_reason == "drained"
        with pytest.raises(EndedError, match="the stream has ended: drained") as caught:
            stream.read()
        assert caught.value.reason == "drained"
        assert not isinstance(caught.value, DisconnectedError)


def test_a_stream_of_a_finished_topic_ends_or_is_complete_from_the_beginning() -> None:
    with Hub(shards=1) as hub:
        hub.publish("run/1", "a")
        last = hub.finish("run/1", "last")
        assert read_all(hub.subscribe("run/1", start="earliest")) == ["a", "last"]
        assert read_all(hub.subscribe("run/1", start=1)) == ["last"]
        stream = hub.subscribe("run/1", last_event_id=last)
        assert list(stream) == []
        assert stream.is_complete


def test_a_stream_that_is_cut_is_an_error() -> None:
    with Hub(shards=1, lag_bytes_max=1000, lag_grace_ms=0) as hub:
        stream = hub.subscribe("news", queue_bytes_max=500)

        def is_cut() -> bool:
            hub.publish("news", "a" * 400, timeout=DEADLINE_S)
            return bool(hub.metrics().disconnects)

        wait_until("the stream to be cut", is_cut)
        with pytest.raises(DisconnectedError, match="the stream was cut: lagging") as caught:
            list(stream)
        assert caught.value.reason == "lagging"


def test_reading_waits_for_its_time_and_is_interrupted_by_a_signal() -> None:
    class InterruptedHereError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptedHereError

    with Hub(shards=1, heartbeat_ms=0) as hub, hub.subscribe("news") as stream:
        hub.publish("news", "a")
        read_until(stream, "a")
        with pytest.raises(TimedOutError):
            stream.read(0)
        begun = time.monotonic()
        with pytest.raises(TimedOutError):
            stream.read(0.25)
        assert time.monotonic() - begun >= 0.25
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(InterruptedHereError):
                stream.read()
        finally:
            signal.signal(signal.SIGALRM, before)


def test_a_stream_is_closed_while_another_thread_reads_it() -> None:
    with Hub(shards=1) as hub:
        stream = hub.subscribe("news")
        hub.publish("news", "a")
        read_until(stream, "a")
        ended: list[BaseException] = []

        def read() -> None:
            try:
                while True:
                    stream.read()
            except EndedError as problem:
                ended.append(problem)

        thread = threading.Thread(target=read)
        thread.start()

        def is_busy() -> bool:
            try:
                stream.read(0)
            except BusyError:
                return True
            except TimedOutError:
                pass
            return False

        wait_until("the thread to read", is_busy)
        stream.close()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        assert len(ended) == 1
        wait_until("the connection to end", lambda: hub.metrics().connections == 0)
        assert hub.metrics().disconnects == {"client_closed": 1}


def test_many_coroutines_read_streams_in_one_loop(run: Runner) -> None:
    async def read(stream: Stream, count: int) -> list[str]:
        got: list[str] = []
        async for batch in stream:
            got += data_of(batch)
            if len(got) == count:
                break
        return got

    async def main() -> None:
        async with Hub(shards=2) as hub:
            streams = [hub.subscribe("news") for _ in range(50)]
            tasks = [asyncio.create_task(read(stream, 20)) for stream in streams]
            for n in range(20):
                await hub.publish_async("news", str(n))
                await asyncio.sleep(0)
            for got in await asyncio.gather(*tasks):
                assert got == [str(n) for n in range(20)]
            for stream in streams:
                stream.close()

    run(main())


def test_a_coroutines_stream_ends_with_the_hub_and_when_it_is_closed(run: Runner) -> None:
    async def main() -> None:
        hub = Hub(shards=1)
        closed, outlives = hub.subscribe("news"), hub.subscribe("news")

        async def read(stream: Stream) -> str:
            async with stream:
                async for _ in stream:
                    pass
                return stream.end_reason or ""

        reads = asyncio.create_task(read(closed)), asyncio.create_task(read(outlives))
        while hub.metrics().connections < 2:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(closed.close)
        with pytest.raises(EndedError, match="the stream was closed"):
            await reads[0]
        await hub.close_async()
        assert await reads[1] == "closed"

    run(main())


def test_a_read_that_is_cancelled_takes_nothing(run: Runner) -> None:
    async def main() -> None:
        async with Hub(shards=1) as hub, hub.subscribe("news") as stream:
            hub.publish("news", "a")
            while data_of(await stream.read_async()) != ["a"]:
                pass
            for n in range(20):
                task = asyncio.create_task(stream.read_async())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                hub.publish("news", str(n))
                assert data_of(await stream.read_async()) == [str(n)]

    run(main())


def test_a_stream_is_read_in_another_loop_afterwards(run: Runner) -> None:
    hub = Hub(shards=1)
    stream = hub.subscribe("news")

    async def read(text: str) -> None:
        await asyncio.to_thread(hub.publish, "news", text)
        while data_of(await stream.read_async()) != [text]:
            pass

    run(read("a"))
    run(read("b"))
    stream.close()
    hub.close()


def test_streams_that_are_dropped_end_and_leave_no_descriptor(run: Runner) -> None:
    async def main(hub: Hub) -> None:
        for _ in range(20):
            stream = hub.subscribe("news")
            hub.publish("news", "a")
            await stream.read_async()
            del stream

    with Hub(shards=1) as hub:
        run(main(hub))
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            run(main(hub))
        gc.collect()
        wait_until("the streams to end", lambda: hub.metrics().connections == 0)
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_stream_has_what_its_options_say() -> None:
    with Hub(shards=1) as hub:
        hub.set_rule("news", policy="conflate")
        soon = datetime.fromtimestamp(time.time() + 1, timezone.utc)
        stream = hub.subscribe(
            b"news",
            envelope="json",
            heartbeat_form="comment",
            policy="drop-oldest",
            gap_start="latest",
            addr="192.0.2.7",
            expires_at=soon,
        )
        hub.publish("news", "a")
        while '"data":"a"' not in "".join(data_of(stream.read(DEADLINE_S))):
            pass
        assert read_all(stream) == []
        assert stream.end_reason == "expired"
        assert datetime.now(timezone.utc) >= soon


def test_what_cannot_be_subscribed_to_is_refused() -> None:
    with Hub(shards=1, connections_max=1) as hub:
        nothing: list[str] = []
        for wrong in ("a/#/b", "", nothing):
            with pytest.raises(SubscriptionError):
                hub.subscribe(wrong)
        with pytest.raises(OptionsError, match=r"the option queue_bytes_max .* 1 byte to 16 MiB"):
            hub.subscribe("news", queue_bytes_max=(16 << 20) + 1)
        with pytest.raises(OptionsError, match="the option tag"):
            hub.subscribe("news", tag="a\n")
        with pytest.raises(OptionsError, match="the option addr"):
            hub.subscribe("news", addr="localhost")
        with pytest.raises(ValueError, match="needs a time zone"):
            hub.subscribe("news", expires_at=datetime(2030, 1, 1))


def test_the_header_fields_of_a_stream_are_those_of_a_response() -> None:
    fields = {name.lower(): value for name, value in STREAM_HEADERS}
    assert fields["content-type"].startswith("text/event-stream")
    assert "no-" in fields["cache-control"]
    assert fields["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("by_descriptor", [False, True])
def test_a_connection_that_is_handed_over_becomes_a_stream(by_descriptor: bool) -> None:
    with Hub(shards=1) as hub, socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), DEADLINE_S) as client:
            client.settimeout(DEADLINE_S)
            accepted, _ = server.accept()
            hub.adopt(
                accepted.detach() if by_descriptor else accepted,
                ["news", "sports"],
                version="1.1",
                headers={"X-Mine": "yes"},
                tag="me",
            )
            assert accepted.fileno() == -1
            got = client.recv(1 << 16)  # from then on nothing that is published is missed
            hub.publish("news", "a", timeout=DEADLINE_S)
            while b"data: a" not in got:
                got += client.recv(1 << 16)
            assert got.startswith(b"HTTP/1.1 200 ")
            assert b"X-Mine: yes" in got
        wait_until("the stream to end", lambda: hub.metrics().connections == 0)


REFUSED: dict[str, tuple[type[FanfareError], dict[str, Any]]] = {
    "a version of HTTP": (RequestError, {"version": "2"}),
    "a method": (RequestError, {"method": "PUT"}),
    "a header field": (RequestError, {"headers": {"a\n": "b"}}),
    "bytes read ahead": (UnreadSocketError, {"read_ahead_bytes": 1}),
    "unread content": (UnreadSocketError, {"has_unread_content": True}),
    "TLS": (TLSSocketError, {"is_tls": True}),
    "no topics": (SubscriptionError, {"topics": ()}),
    "an option": (OptionsError, {"tag": ""}),
    "an option below zero": (OptionsError, {"read_ahead_bytes": -1}),
}


@pytest.mark.parametrize(("expected", "options"), REFUSED.values(), ids=REFUSED.keys())
def test_a_connection_that_is_refused_stays_the_programs(
    expected: type[FanfareError], options: dict[str, Any]
) -> None:
    ours, theirs = socket.socketpair()
    with Hub(shards=1) as hub, ours, theirs:
        with pytest.raises(expected):
            hub.adopt(ours, **{"topics": "news", **options})
        ours.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        assert theirs.recv(100).startswith(b"HTTP/1.1 503")
        theirs.sendall(b"more")
        with pytest.raises(UnreadSocketError):
            hub.adopt(ours, "news")


def test_what_is_no_connection_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket() as unconnected, Hub(shards=1) as hub:
        for wrong in (unconnected, -1, 2**40):
            with pytest.raises(SocketError):
                hub.adopt(wrong, "news")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        with (
            context.wrap_socket(ours, do_handshake_on_connect=False) as encrypted,
            pytest.raises(TLSSocketError),
        ):
            hub.adopt(encrypted, "news")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(ClosedError):
            hub.adopt(ours, "news")
        assert ours.fileno() >= 0
