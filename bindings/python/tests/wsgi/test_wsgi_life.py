"""The life of workers: their restarts, their ends, and what becomes of the streams."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from client import DEADLINE_S, wait_until
from wsgi_servers import (
    GUNICORN_READY,
    HERE,
    WORKERS,
    Server,
    gunicorn,
    head_of,
    serving,
    started,
    until,
)

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def streams(server: Server, count: int) -> list[socket.socket]:
    clients = [server.connect(GET.format("/streams/life")) for _ in range(count)]
    for client in clients:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
    return clients


def ended_in_order(client: socket.socket) -> bool:
    """Whether a stream ends with a time to come back, and the end of chunked content."""
    with client:
        return re.search(r"retry: \d+\n\n\r\n0\r\n\r\n$", until(client)) is not None


@pytest.mark.each_version
@pytest.mark.parametrize(
    ("worker", "by"), [*((worker, signal.SIGTERM) for worker in WORKERS), ("sync", signal.SIGHUP)]
)
def test_a_worker_that_ends_drains_its_streams(worker: str, by: int, tmp_path: Path) -> None:
    with serving(worker, tmp_path / "log") as server:
        clients = streams(server, 10)
        pid = server.stats()["pid"]
        server.process.send_signal(by)
        assert all(ended_in_order(client) for client in clients)
        if by == signal.SIGHUP:
            wait_until("another worker", lambda: server.stats()["pid"] != pid)
            with streams(server, 1)[0] as client:
                server.publish("life", "anew")
                until(client, "data: anew")
        else:
            assert server.process.wait(DEADLINE_S) == 0
        assert server.complaints() == []


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_streams_end_with_the_worker_that_max_requests_ends(worker: str, tmp_path: Path) -> None:
    with serving(worker, tmp_path / "log", "--max-requests", "5") as server:
        pid = server.stats()["pid"]
        clients = streams(server, 3)
        server.stats()  # the last request of this worker
        assert all(ended_in_order(client) for client in clients)
        wait_until("another worker", lambda: server.stats()["pid"] != pid)
        assert server.complaints() == []


def test_streams_die_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    with serving("sync", tmp_path / "log") as server:
        clients = streams(server, 3)
        subprocess.run(["kill", "-KILL", str(server.stats()["pid"])], check=True)
        for client in clients:
            assert not ended_in_order(client)


def test_a_preloaded_application_has_a_hub_in_each_worker(tmp_path: Path) -> None:
    command = gunicorn("sync", "wsgi_app:app", "--preload", "-w", "2")
    with started(command, tmp_path / "log", GUNICORN_READY, HERE) as server:
        pids: set[int] = set()

        def both_have_answered() -> bool:
            pids.add(server.stats()["pid"])
            return len(pids) == 2

        wait_until("both workers", both_have_answered)
        with streams(server, 1)[0] as client:
            # It has its stream from one worker's hub: the other one's publishing does not reach it.
            wait_until("its own worker", lambda: bool(server.publish("life", "x")) and got(client))
        assert server.complaints() == []


def got(client: socket.socket) -> bool:
    client.settimeout(0.02)
    try:
        return b"data: x" in client.recv(4096)
    except TimeoutError:
        return False


def test_a_hub_that_was_made_before_the_fork_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "before.py").write_text(
        """
from fanfare import ForkedError, Hub
from fanfare.wsgi import event_stream

hub = Hub(shards=1)

def app(environ, start_response):
    try:
        return event_stream(environ, hub, "a")(environ, start_response)
    except ForkedError as why:
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [str(why).encode()]
"""
    )
    command = gunicorn("sync", "before:app", "--preload")
    with started(command, tmp_path / "log", GUNICORN_READY, tmp_path) as server:
        answer = server.get("/")
        assert answer.status_code == 500
        assert re.search(r"fork.*new.*child", answer.text), answer.text
