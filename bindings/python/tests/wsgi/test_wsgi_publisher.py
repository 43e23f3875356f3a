"""Publishing to the engine of another process: a program's, or one of Python."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from client import DEADLINE_S, events, wait_until
from httpx_sse import connect_sse
from wsgi_servers import PROGRAM, started

from fanfare import (
    AddressError,
    EncodingError,
    EventError,
    FinishedError,
    FullError,
    Grant,
    Hub,
    Publication,
    Publisher,
    PublishServer,
    SigningKey,
    TokenError,
    TooLargeError,
    TopicError,
    UnreachableError,
)

TOKEN = "a-token-of-the-tests"


@contextmanager
def program(folder: Path, control: str, *args: str, **environ: str) -> Iterator[int]:
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--control-listen", control, *args]
    ready = r"listening on http://127\.0\.0\.1:(\d+)\n(?s:.*)control on "
    with started(command, folder / "log", ready, folder, **environ) as server:
        yield server.port


@pytest.fixture(scope="module", params=["program", "Python"])
def owner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """The address for publishers, and the port for clients."""
    folder = tmp_path_factory.mktemp("owner")
    address = f"unix:{folder / 'fanfare.sock'}"
    if request.param == "program":
        with program(folder, address) as port:
            yield address, port
    else:
        with Hub() as hub, PublishServer(hub, address):
            yield address, hub.listen().port


@pytest.fixture
def publisher(owner: tuple[str, int]) -> Iterator[Publisher]:
    with Publisher(owner[0], timeout=DEADLINE_S) as publisher:
        yield publisher


def test_clients_get_what_is_published(owner: tuple[str, int], publisher: Publisher) -> None:
    with events(owner[1], "news", "sport") as stream:
        # `events` leaves out what has a reconnection time.
        publisher.publish("news", "a", retry_ms=1500)
        ids = [
            publisher.publish("news", "a\nb", name="named", key="k"),
            publisher.publish(["news", "sport"], json={"ä": [1, None]}),
            publisher.publish("sport", b"own", id="an id & more"),
            publisher.publish("news", "", window_ms=0),
        ]
        got = [next(stream) for _ in range(3)]
        assert [event.data for event in got] == ["a\nb", '{"ä":[1,null]}', "own"]
        assert got[0].event == "named"
        assert [event.id for event in got] == ids[:3]
        assert ids[2] == "an id & more"


def test_many_are_published_in_their_order(owner: tuple[str, int], publisher: Publisher) -> None:
    with events(owner[1], "many") as stream:
        publications = (Publication("many", f"{n}", name="n") for n in range(600))
        assert publisher.publish_many(publications) == 600
        assert [next(stream).data for _ in range(600)] == [f"{n}" for n in range(600)]


def test_many_end_with_the_first_that_is_refused(publisher: Publisher) -> None:
    publications = [Publication("a", b"1"), Publication(["a", "b"], json=2), Publication("a+", "3")]
    with pytest.raises(EventError, match="topic") as raised:
        publisher.publish_many([*publications, Publication("a", "4")])
    assert raised.value.published == ("", "")
    with pytest.raises(EventError, match="comment"):
        publisher.publish_many([Publication("a", "1", comment="c")])
    with pytest.raises(EncodingError, match="UTF-8"):
        publisher.publish_many([Publication("a", b"\xff")])


def test_what_is_refused_is_an_exception_that_says_why(publisher: Publisher) -> None:
    with pytest.raises(EventError, match=r"topic|'\+'"):
        publisher.publish("a/+", "data")
    with pytest.raises(EventError):
        publisher.publish("a", b"\xff")
    with pytest.raises(TooLargeError):
        publisher.publish("a", "x" * 1_100_000)
    with pytest.raises(EventError):
        publisher.publish([f"{n}" for n in range(65)], "data")
    with pytest.raises(TopicError):
        publisher.publish([], "data")
    with pytest.raises(TypeError):
        publisher.publish("a")
    with pytest.raises(TypeError):
        publisher.publish("a", "data", json=1)
    assert publisher.publish("a", "it goes on")


def test_a_topic_is_finished(owner: tuple[str, int], publisher: Publisher) -> None:
    with events(owner[1], "run") as stream:
        assert publisher.finish("run", "done", name="end")
        assert [event.data for event in stream] == ["done"]
    with pytest.raises(FinishedError, match="finished"):
        publisher.publish("run", "more")
    assert publisher.finish("run/2")


def test_threads_share_a_publisher_and_its_connections(owner: tuple[str, int]) -> None:
    with (
        Publisher(owner[0], timeout=DEADLINE_S, idle_max=2) as publisher,
        events(owner[1], "threads") as stream,
    ):
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda n: publisher.publish("threads", f"{n}"), range(400)))
        known = [each for each in ids if each]  # of one that another thread publishes it is not
        assert len(set(known)) == len(known) > 0
        assert {next(stream).data for _ in range(400)} == {f"{n}" for n in range(400)}
        assert len(publisher._idle) <= 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_coroutines_publish(owner: tuple[str, int], publisher: Publisher, backend: str) -> None:
    async def publish() -> None:
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(functools.partial(publisher.publish_async, backend, json=n))
        publications = [Publication(backend, f"{n}") for n in range(20, 30)]
        assert await publisher.publish_many_async(publications) == 10
        assert await publisher.finish_async(backend, "end")
        with pytest.raises(FinishedError):
            await publisher.publish_async(backend, "more")

    with events(owner[1], backend) as stream:
        anyio.run(publish, backend=backend)
        got = [event.data for event in stream]
        assert set(got[:20]) == {f"{n}" for n in range(20)}
        assert got[20:] == [*(f"{n}" for n in range(20, 30)), "end"]


def test_a_forked_child_has_connections_of_its_own(publisher: Publisher) -> None:
    publisher.publish("fork", "parent")
    (kept,) = publisher._idle
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            done = bool(publisher.publish("fork", "child"))
        finally:
            os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert kept.is_usable()
    publisher.publish("fork", "parent")
    assert list(publisher._idle) == [kept]


def test_a_kept_connection_that_the_server_has_ended_is_not_used(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    publisher = Publisher(address)
    with Hub(shards=1) as hub:
        for _ in range(3):
            with PublishServer(hub, address):
                assert publisher.publish("a", "data")
        with pytest.raises(UnreachableError, match="Nothing was published") as raised:
            publisher.publish("a", "data")
        assert not raised.value.maybe_published
        assert isinstance(raised.value, ConnectionError)


def test_a_server_that_does_not_answer_is_waited_for_with_a_bound(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        publisher = Publisher(f"unix:{tmp_path / 'silent.sock'}", timeout=0.2)
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="takes too long") as raised:
            publisher.publish("a", "data")
        assert raised.value.maybe_published
        assert time.monotonic() - began < DEADLINE_S


@pytest.mark.parametrize("kind", ["program", "Python"])
def test_a_token_is_asked_for(kind: str, tmp_path: Path) -> None:
    def check(address: str) -> None:
        for wrong in (None, "another"):
            with Publisher(address, token=wrong) as publisher:
                # What one has sent with its request is not taken for another request.
                for data in ("data", "POST /publish?topic=a HTTP/1.1\r\n\r\n", "", "data"):
                    with pytest.raises(TokenError):
                        publisher.publish("a", data)
        with Publisher(address, token=TOKEN) as publisher:
            assert publisher.publish("a", "data")

    if kind == "program":
        address = f"unix:{tmp_path / 'fanfare.sock'}"
        with program(tmp_path, address, FANFARE_PUBLISH_TOKEN=TOKEN):
            check(address)
    else:
        with Hub(shards=1) as hub, PublishServer(hub, "127.0.0.1:0", token=TOKEN) as server:
            check(server.address)


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


def test_a_worker_signs_what_its_user_may_read_and_a_cookie_shows_it(tmp_path: Path) -> None:
    secret = "a secret of the tests, of more than 32 bytes"
    (tmp_path / "key").write_text(secret)
    (tmp_path / "key").chmod(0o600)
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    tickets = ["--ticket-key-file", str(tmp_path / "key"), "--ticket-cookie", "stream"]
    with program(tmp_path, address, *tickets) as port, Publisher(address) as publisher:
        grant = Grant(["user/7/#"], tag="user 7", expires_at=time.time() + 3600)
        shown = {"Cookie": f"stream={SigningKey(secret).sign(grant)}"}
        url = f"http://127.0.0.1:{port}/events"
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, headers=shown) as client:
            assert client.get(url, params={"topic": "user/8/mail"}).status_code == 403
            with connect_sse(client, "GET", url) as source:
                assert source.response.status_code == 200
                publisher.publish(["user/7/mail", "user/8/mail"], "hello")
                assert next(each.data for each in source.iter_sse() if each.data) == "hello"
        assert httpx.get(url, timeout=DEADLINE_S, trust_env=False).status_code == 401


def test_a_full_hub_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanfare.publish_server.ROOM_S_MAX", 0.05)
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    hub = Hub(shards=1)
    with PublishServer(hub, address), Publisher(address) as publisher:
        hub.close()
        with pytest.raises(FullError, match="closed"):
            publisher.publish("a", "data")


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
