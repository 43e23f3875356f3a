"""The server of Python's that takes events of other processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from client import DEADLINE_S, wait_until
from test_waiting import BIG, full_hub

from fanfare import (
    AddressError,
    FullError,
    Hub,
    Publisher,
    PublishServer,
    TokenError,
    TooLargeError,
)

TOKEN = "a-token-of-the-tests"


def test_content_that_is_refused_unread_does_not_hide_the_answer() -> None:
    with (
        Hub(shards=1) as hub,
        PublishServer(hub, "127.0.0.1:0", token=TOKEN, content_bytes_max=1000) as server,
        Publisher(server.address, token=TOKEN) as right,
        Publisher(server.address, token="another") as wrong,
    ):
        for _ in range(20):
            with pytest.raises(TooLargeError):
                right.publish("a", b"x" * 4_000_000)
            with pytest.raises(TokenError):
                wrong.publish("a", b"x" * 4_000_000)
        assert right.publish("a", "data")


def test_a_publisher_that_goes_on_sending_is_not_listened_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fanfare.publish_server.LINGER_S_MAX", 0.1)
    with (
        Hub(shards=1) as hub,
        PublishServer(hub, "127.0.0.1:0", token=TOKEN) as server,
        socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as sending,
    ):
        sending.settimeout(DEADLINE_S)
        sending.sendall(b"POST /publish?topic=a HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert sending.recv(4096).startswith(b"HTTP/1.1 401 ")

        def is_closed() -> bool:
            try:
                sending.sendall(b"x" * 1000)
            except OSError:
                return True
            return False

        wait_until("the server to close the connection", is_closed)


def test_a_server_at_an_abstract_name_asks_for_a_token() -> None:
    address = f"unix:@fanfare-{os.getpid()}"
    with Hub(shards=1) as hub:
        with pytest.raises(AddressError, match="give a token"):
            PublishServer(hub, address)
        with PublishServer(hub, address, token=TOKEN) as server:
            assert server.address == address
            with Publisher(address, token=TOKEN) as publisher:
                assert publisher.publish("a", "data")
            with pytest.raises(AddressError, match="in use"):
                PublishServer(hub, address, token=TOKEN)
        assert not os.path.exists(address.removeprefix("unix:"))


def test_a_server_out_of_threads_goes_on_when_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"unix:{tmp_path / 'fanfare.sock'}"

    def refuse(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    with (
        Hub(shards=1) as hub,
        PublishServer(hub, address, connections_max=2),
        Publisher(address) as publisher,
    ):
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            for _ in range(3):
                with pytest.raises(FullError, match="too many connections"):
                    publisher.publish("a", "data")
        assert publisher.publish("a", "data")


def test_a_child_closes_a_server_whose_lock_was_taken_at_the_fork(tmp_path: Path) -> None:
    with Hub(shards=1) as hub, PublishServer(hub, f"unix:{tmp_path / 'sock'}") as server:
        with server._lock:
            pid = os.fork()
            if pid == 0:
                signal.alarm(DEADLINE_S)
                server.close()
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_full_hub_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanfare.publish_server.ROOM_S_MAX", 0.05)
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    with (
        full_hub() as (hub, _),
        PublishServer(hub, address),
        Publisher(address, timeout=DEADLINE_S) as publisher,
    ):
        refused: list[FullError] = []

        def is_refused() -> bool:
            try:
                publisher.publish("news", BIG)
            except FullError as problem:
                refused.append(problem)
            return len(refused) > 0

        wait_until("the publisher to be refused", is_refused)
        assert "too much waits to be sent" in str(refused[0])
        assert publisher.publish("sports", "data")


def test_the_server_takes_over_what_another_one_has_left(tmp_path: Path) -> None:
    path = tmp_path / "fanfare.sock"
    with Hub(shards=1) as hub:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with PublishServer(hub, f"unix:{path}", socket_mode=0o660) as server:
            assert path.stat().st_mode & 0o777 == 0o660
            with pytest.raises(AddressError, match="in use"):
                PublishServer(hub, f"unix:{path}")
            with Publisher(server.address) as publisher:
                assert publisher.publish("a", "data")
        assert not path.exists()
        path.write_text("a file of someone's")
        with pytest.raises(AddressError):
            PublishServer(hub, f"unix:{path}")
        assert path.read_text() == "a file of someone's"
        with pytest.raises(AddressError, match="give a token"):
            PublishServer(hub, "127.0.0.1:0")
        for wrong in ("nonsense", "127.0.0.1:x", "192.0.2.1:80"):
            with pytest.raises(AddressError):
                PublishServer(hub, wrong, token=TOKEN)
    for wrong in ("nonsense", "localhost:", "unix", "https://a.example:443", "localhost:65536"):
        with pytest.raises(ValueError, match="address"):
            Publisher(wrong)


@pytest.mark.parametrize("token", ["", "secret\n", "secret token", "secrét", "s" * 4097])
def test_what_is_no_token_is_refused_and_not_told(token: str) -> None:
    with Hub(shards=1) as hub:
        for make in (
            lambda: Publisher("127.0.0.1:1", token=token),
            lambda: PublishServer(hub, "127.0.0.1:0", token=token),
        ):
            with pytest.raises(ValueError, match="a token is") as raised:
                make()
            assert not token or token not in str(raised.value)


def test_no_thread_or_descriptor_of_the_server_is_left(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    with Hub(shards=1) as hub:
        with PublishServer(hub, address), Publisher(address) as publisher:
            publisher.publish("a", "data")
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            server = PublishServer(hub, address)
            with Publisher(address) as publisher:
                publisher.publish("a", "data")
                server.close()
                server.close()
        wait_until("the threads to end", lambda: threading.active_count() <= threads)
        assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_more_connections_than_there_may_be_get_503(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    with (
        Hub(shards=1) as hub,
        PublishServer(hub, address, connections_max=1),
        Publisher(address) as first,
        Publisher(address) as second,
    ):
        first.publish("a", "data")  # it keeps its connection
        with pytest.raises(FullError, match="too many connections"):
            second.publish("a", "data")
        first.close()
        wait_until("the place to be free", lambda: publishes(second))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("POST /publish?topic=a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST /publish?topic=a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        ("POST /publish?topic=a&retry=x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /publish HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /publish?topic=%ff HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /finish?topic=a&topic=b HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /else HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404),
        ("GET /publish HTTP/1.1\r\n\r\n", 501),
        ("nonsense\r\n\r\n", 400),
        *(
            (
                "POST /publish HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n"
                f"Content-Length: {len(line)}\r\n\r\n{line}",
                400,
            )
            for line in (
                "[]",
                "{",
                '{"data":"a"}',
                '{"topic":"a","more":1}',
                '{"topic":1}',
                "[" * 100_000,
            )
        ),
    ],
)
def test_a_request_that_is_none_is_answered(request_: str, status: int, tmp_path: Path) -> None:
    with Hub(shards=1) as hub, PublishServer(hub, f"unix:{tmp_path / 'sock'}"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(str(tmp_path / "sock"))
            client.sendall(request_.encode())
            answer = client.recv(4096).decode()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert answer.split("\r\n\r\n")[1].startswith('{"error": "')
        with Publisher(f"unix:{tmp_path / 'sock'}") as publisher:
            assert publisher.publish("a", "it goes on")


def test_the_parents_hub_says_in_a_child_what_to_do(tmp_path: Path) -> None:
    code = """
import os, sys
from fanfare import ForkedError, Hub, PerProcess, PublishServer
shared, hub = PerProcess(), Hub(shards=1)
server = PublishServer(hub, sys.argv[1])
first = shared.get()
pid = os.fork()
if pid == 0:
    try:
        hub.publish("a", "data")
    except ForkedError as why:
        assert "make a new hub in the child" in str(why) or "child" in str(why), why
        server.close()
        second = shared.get()
        assert second is not first and second.publish("a", "data")
        sys.exit(7)
    sys.exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert shared.get() is first and first.publish("a", "data")
assert os.path.exists(sys.argv[1].removeprefix("unix:"))
server.close()
hub.close()
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, f"unix:{tmp_path / 'sock'}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def publishes(publisher: Publisher) -> bool:
    try:
        return bool(publisher.publish("a", "data"))
    except FullError:
        return False
