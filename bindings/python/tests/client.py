"""Clients that others wrote, and one that does not read."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from httpx_sse import ServerSentEvent, connect_sse

#: How long anything is waited for. Long, as a machine may be busy.
DEADLINE_S = 60


@contextmanager
def events(port: int, *topics: str) -> Iterator[Iterator[ServerSentEvent]]:
    """The events that httpx-sse reads from a stream, once the stream is open."""
    url = f"http://127.0.0.1:{port}/events"
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, "GET", url, params={"topic": topics}) as source,
    ):
        blocks = source.iter_sse()
        # httpx-sse hands out blocks that fire no event as well: those that a stream begins with,
        # which tell the reconnection time and then the id to come back with, and later ones.
        assert any(block.id for block in blocks)
        yield (block for block in blocks if block.retry is None)


@contextmanager
def client_that_does_not_read(port: int, topic: str) -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.settimeout(DEADLINE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET /events?topic={topic} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        yield client


def status_of(port: int, host: str) -> int:
    """The status of the answer to a client that names a host as the one it asks."""
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        client.stream(
            "GET", f"http://127.0.0.1:{port}/events?topic=news", headers={"Host": host}
        ) as response,
    ):
        return response.status_code


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")
        time.sleep(0.005)
