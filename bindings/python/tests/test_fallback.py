"""Connections of a listener with requests for paths that have no streams."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from client import DEADLINE_S, wait_until

from fanfare import (
    ClosedError,
    Fallback,
    Hub,
    Listener,
    OptionsError,
    TimedOutError,
    Unhandled,
)

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(shards=1) as made:
        yield made


def asked(listener: Listener, path: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", listener.port), timeout=DEADLINE_S)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def until(client: socket.socket, part: bytes) -> bytes:
    seen = b""
    while part not in seen:
        piece = client.recv(65536)
        assert piece, f"the connection has ended behind {seen!r}"
        seen += piece
    return seen


def test_a_request_for_another_path_is_the_programs_and_a_later_one_for_events_the_hubs(
    hub: Hub,
) -> None:
    with Fallback() as fallback:
        listener = hub.listen("127.0.0.1:0", fallback=fallback)
        with asked(listener, "/page") as client:
            unhandled = fallback.accept(DEADLINE_S)
            assert unhandled.read.startswith(b"GET /page HTTP/1.1\r\n")
            host, port = client.getsockname()
            assert (unhandled.addr, unhandled.is_proxy) == (f"{host}:{port}", False)
            unhandled.sock.sendall(ANSWER)
            until(client, b"hello")
            client.sendall(b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read = unhandled.sock.recv(65536)
            listener.admit(
                unhandled.sock,
                read,
                addr=unhandled.addr,
                peer=unhandled.peer,
                is_proxy=unhandled.is_proxy,
            )
            until(client, b"\r\n\r\n")
            hub.publish("a", "for the client")
            until(client, b"for the client")


def test_it_is_iterated_until_another_thread_closes_it(hub: Hub) -> None:
    fallback = Fallback()
    listener = hub.listen("127.0.0.1:0", fallback=fallback)
    taken: list[Unhandled] = []
    thread = threading.Thread(target=lambda: taken.extend(fallback))
    thread.start()
    clients = [asked(listener, "/page") for _ in range(20)]
    wait_until("all were taken", lambda: len(taken) == len(clients))
    fallback.close()
    fallback.close()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    for client, unhandled in zip(clients, taken, strict=True):
        unhandled.sock.close()
        client.close()
    with asked(listener, "/page") as late:
        assert until(late, b"\r\n").startswith(b"HTTP/1.1 503 ")
    with pytest.raises(ClosedError):
        fallback.accept(0)
    with pytest.raises(ClosedError):
        hub.listen("127.0.0.1:0", fallback=fallback)


def test_a_server_of_an_event_loop_takes_them(hub: Hub) -> None:
    async def main() -> None:
        fallback = Fallback()
        listener = hub.listen("127.0.0.1:0", fallback=fallback)

        async def serve() -> int:
            count = 0
            async for unhandled in fallback:
                reader, writer = await asyncio.open_connection(sock=unhandled.sock)
                assert unhandled.read.startswith(b"GET /page ")
                writer.write(ANSWER)
                await writer.drain()
                count += 1
                assert not reader.at_eof()
                writer.close()
            return count

        serving = asyncio.create_task(serve())
        for _ in range(3):
            with await asyncio.to_thread(asked, listener, "/page") as client:
                await asyncio.to_thread(until, client, b"hello")
        cancelled = asyncio.create_task(Fallback().accept_async())
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        fallback.close()
        assert await serving == 3

    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


def test_those_that_nobody_takes_are_refused_or_closed(hub: Hub) -> None:
    with pytest.raises(OptionsError, match="capacity"):
        Fallback(0)
    before = len(os.listdir("/proc/self/fd"))
    fallback = Fallback(1)
    with pytest.raises(TimedOutError):
        fallback.accept(0.01)
    listener = hub.listen("127.0.0.1:0", fallback=fallback)
    clients = [asked(listener, "/page") for _ in range(3)]
    refused = [client for client in clients if _is_refused(client)]
    assert refused
    fallback.close()
    for client in clients:
        assert client in refused or client.recv(1) == b""
        client.close()
    listener.close()
    del fallback
    wait_until("no descriptor is left", lambda: len(os.listdir("/proc/self/fd")) <= before)


def _is_refused(client: socket.socket) -> bool:
    client.settimeout(0.5)
    try:
        return client.recv(65536).startswith(b"HTTP/1.1 503 ")
    except TimeoutError:
        return False
    finally:
        client.settimeout(DEADLINE_S)
