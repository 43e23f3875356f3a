"""Publishing to the engine of another process: a program's, or one of Python."""

from __future__ import annotations

import collections
import functools
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import anyio
import httpx
import pytest
from client import DEADLINE_S, events
from httpx_sse import connect_sse
from wsgi_servers import PROGRAM, started

from fanfare import (
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
from fanfare.publisher import _Connection

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
    assert len(raised.value.published) == 2
    with pytest.raises(EventError, match="comment"):
        publisher.publish_many([Publication("a", "1", comment="c")])
    with pytest.raises(EncodingError, match="UTF-8"):
        publisher.publish_many([Publication("a", b"\xff")])


def test_a_full_engine_is_told_as_such_before_the_publisher_gives_up(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    with ExitStack() as stack:
        port = stack.enter_context(program(tmp_path, address, "--topic-backlog", "1KiB"))
        patient = stack.enter_context(Publisher(address, timeout=DEADLINE_S))
        publisher = stack.enter_context(Publisher(address, timeout=5))
        for _ in range(10):
            stack.enter_context(events(port, "full"))
        # Each client is sent it at some time of its window, and only then it has been sent.
        minutes = 300_000
        patient.publish("full", "x" * 2000, window_ms=minutes)
        before = time.monotonic()
        with pytest.raises(FullError, match="too much waits") as raised:
            publisher.publish("full", "x", window_ms=minutes)
        assert time.monotonic() - before >= 4
        assert raised.value.published == ()
        publications = [
            Publication("a", "1"),
            Publication("a", "2", id="own"),
            Publication("full", "x", window_ms=minutes),
            Publication("a", "3"),
        ]
        with pytest.raises(FullError, match="too much waits") as raised:
            publisher.publish_many(publications)
        first, second = raised.value.published
        assert "-" in first
        assert second == "own"
        with pytest.raises(FullError), Publisher(address, timeout=1) as hasty:
            hasty.publish("full", "x", window_ms=minutes)


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


def test_threads_that_end_at_once_keep_no_more_connections_than_there_may_be() -> None:
    class Raced(collections.deque[Any]):
        """Another thread puts its connection back while this one looks how many there are."""

        others: ClassVar[list[Any]] = [_Connection(None, "localhost", 1, 1.0)]

        def __len__(self) -> int:
            length = super().__len__()
            if self.others:
                kept._keep(self.others.pop())
            return length

    kept = Publisher("127.0.0.1:1", idle_max=1)
    kept._idle = Raced()
    kept._keep(_Connection(None, "localhost", 1, 1.0))
    assert len(kept._idle) == 1
    kept.close()
    assert len(kept._idle) == 0


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
