"""One sync worker of gunicorn, which serves one request at a time, with many streams."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from client import DEADLINE_S
from wsgi_servers import serving

CLIENTS = int(os.environ.get("CLIENTS", "1000"))
REQUESTS = 200
PLAIN_S_MAX = 0.050


@contextmanager
def clients(port: int) -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    try:
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            client.sendall(b"GET /streams/all HTTP/1.1\r\nHost: localhost\r\n\r\n")
            opened.append(client)
        yield opened
    finally:
        for client in opened:
            client.close()


def read_until(opened: list[socket.socket], part: bytes) -> None:
    """Reads from all clients until each has had a part."""
    texts = dict.fromkeys(opened, b"")
    deadline = time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        for each in opened:
            selector.register(each, selectors.EVENT_READ, each)
        while selector.get_map():
            assert time.monotonic() < deadline, f"{len(selector.get_map())} clients lack {part!r}"
            for key, _ in selector.select(1):
                client: socket.socket = key.data
                piece = client.recv(65536)
                assert piece, "a stream has ended"
                texts[client] += piece
                if part in texts[client]:
                    selector.unregister(client)


def asked(client: httpx.Client, url: str) -> float:
    """How many seconds an answer takes."""
    began = time.monotonic()
    assert client.get(url, timeout=DEADLINE_S).status_code == 404
    return time.monotonic() - began


def test_a_sync_worker_answers_at_once_beside_1000_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CLIENTS + 1024)), hard))
    with ExitStack() as pools, serving("sync", tmp_path / "log", "--backlog", "2048") as server:
        plain = pools.enter_context(httpx.Client(trust_env=False))
        url = f"{server.url}/nothing"
        alone = [asked(plain, url) for _ in range(REQUESTS)]
        began = time.monotonic()
        with clients(server.port) as opened:
            read_until(opened, b"\r\n\r\n")
            opening = time.monotonic() - began
            assert server.stats()["connections"] == CLIENTS
            took = []
            for number in range(REQUESTS):
                if number % 10 == 0:  # each of these goes to all clients
                    server.publish("all", f"event {number}")
                else:
                    took.append(asked(plain, url))
            read_until(opened, f"event {REQUESTS - 10}".encode())
        median, worst = statistics.median(took), max(took)
        with capsys.disabled():
            print(
                f"\n{CLIENTS} streams of one sync worker, opened in {opening:.2f} s; {len(took)} "
                f"plain requests: median {median * 1000:.1f} ms, "
                f"95 % {statistics.quantiles(took, n=20)[-1] * 1000:.1f} ms, "
                f"longest {worst * 1000:.1f} ms; without streams: median "
                f"{statistics.median(alone) * 1000:.1f} ms, longest {max(alone) * 1000:.1f} ms"
            )
        assert median < PLAIN_S_MAX
        assert server.complaints() == []
