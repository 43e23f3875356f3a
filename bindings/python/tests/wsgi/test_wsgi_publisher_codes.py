"""What the codes of docs/server.md are to a publisher: each has an exception of its kind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client import DEADLINE_S, events
from documented import ROOT
from redis_server import redis_server
from test_wsgi_publisher import program

from fanfare import (
    ClosedError,
    ClusterError,
    EventError,
    FanfareError,
    FinishedError,
    FullError,
    Hub,
    JournalError,
    Publication,
    Publisher,
    PublishServer,
    RefusedError,
    TimedOutError,
    TokenError,
    TooLargeError,
    UnansweredError,
    UnreachableError,
)

#: The exception of each code.
EXCEPTIONS: dict[str, type[FanfareError]] = {
    "invalid": EventError,
    "token": TokenError,
    "forbidden": TokenError,
    "not_found": RefusedError,
    "method": RefusedError,
    "late": TimedOutError,
    "finished": FinishedError,
    "conflict": RefusedError,
    "too_large": TooLargeError,
    "content_type": RefusedError,
    "host": RefusedError,
    "transfer_coding": RefusedError,
    "full": FullError,
    "closed": ClosedError,
    "unwritable": JournalError,
    "unreachable": ClusterError,
    "unavailable": UnreachableError,
    "unanswered": UnansweredError,
}


def documented_codes() -> dict[str, list[int]]:
    """The codes of the page's table, each with the statuses of its row."""
    page = (ROOT / "docs/server.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| status \| `code` \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    codes: dict[str, list[int]] = {}
    for row in table.splitlines():
        statuses, names = row.strip("|").split("|", 1)
        for name in re.findall(r"`(\w+)`", names):
            codes[name] = [int(each) for each in re.findall(r"\d{3}", statuses)]
    return codes


@contextmanager
def answering(folder: Path, status: int, answer: object) -> Iterator[str]:
    """A server that answers every request of one line so, at an address for publishers."""
    address = f"unix:{folder / 'answering.sock'}"
    content = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} It\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"

    def answer_all(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(DEADLINE_S)
                    while b"\r\n\r\n" not in connection.recv(1 << 16):
                        pass
                    connection.sendall(head.encode() + content)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address.removeprefix("unix:"))
        listener.listen()
        thread = threading.Thread(target=answer_all, args=(listener,))
        thread.start()
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_S)


def test_the_documented_codes_are_those_of_the_program() -> None:
    sources = (ROOT / "src/program/control").glob("*.rs")
    texts = {file.name: file.read_text(encoding="utf-8") for file in sources}
    coded = set(re.findall(r'coded\("(\w+)"\)', "".join(texts.values())))
    (by_status,) = re.findall(r"^fn code_of\(.*?^}", texts["answer.rs"], re.MULTILINE | re.DOTALL)
    coded |= set(re.findall(r'=> "(\w+)"', by_status))
    assert set(documented_codes()) == coded
    assert set(EXCEPTIONS) == coded


@pytest.mark.parametrize("code", EXCEPTIONS)
def test_each_code_is_an_exception_of_its_kind(code: str, tmp_path: Path) -> None:
    status = documented_codes()[code][-1]
    answer = {"error": f"it is {code}", "code": code, "published": 1, "ids": ["a-1"], "line": 2}
    with answering(tmp_path, status, answer) as address, Publisher(address) as publisher:
        with pytest.raises(FanfareError, match=f"it is {code}") as raised:
            publisher.publish("news", "a")
        assert type(raised.value) is EXCEPTIONS[code]
        with pytest.raises(EXCEPTIONS[code]) as many:
            publisher.publish_many([Publication("news", "a")])
        assert many.value.published == ("a-1",)
        maybe_published = getattr(raised.value, "maybe_published", False)
        assert maybe_published == (code == "unanswered")
        assert isinstance(raised.value, UnreachableError) == (code in ("unavailable", "unanswered"))


def test_an_answer_of_a_later_server_is_what_its_status_says(tmp_path: Path) -> None:
    for status, kind in (
        *((400, EventError), (401, TokenError), (403, TokenError), (404, RefusedError)),
        *((409, FinishedError), (413, TooLargeError), (429, FullError), (418, RefusedError)),
        *((500, UnreachableError), (502, UnreachableError), (503, FullError)),
        (504, UnansweredError),
    ):
        for answer in ({"error": "it is new", "code": "of_a_later_one"}, {"error": "it is new"}):
            with answering(tmp_path, status, dict(answer)) as address:
                with pytest.raises(FanfareError, match="it is new") as raised:
                    Publisher(address).publish("news", "a")
                assert type(raised.value) is kind, status
                # A proxy may have handed the request on.
                maybe_published = getattr(raised.value, "maybe_published", False)
                assert maybe_published == (status in (500, 502, 504))
            os.unlink(address.removeprefix("unix:"))


@pytest.mark.parametrize("status", [200, 404, 502])
def test_what_is_no_engine_says_whether_it_may_have_handed_the_event_on(
    status: int, tmp_path: Path
) -> None:
    with answering(tmp_path, status, ["no", "object"]) as address:
        with pytest.raises(UnreachableError, match="is no engine of fanfare's") as raised:
            Publisher(address).publish("news", "a")
        assert raised.value.maybe_published == (status == 502)


def test_an_event_whose_id_a_cluster_does_not_say_in_time_may_be_published(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        pid = pid_of_redis(port)
        address = f"unix:{tmp_path / 'fanfare.sock'}"
        with (
            program(tmp_path, address, "--cluster", url) as clients,
            Publisher(address, timeout=2) as publisher,
            Publisher(address, timeout=DEADLINE_S) as patient,
            events(clients, "news") as stream,
        ):
            assert patient.publish("news", "before")
            assert next(stream).data == "before"
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(UnansweredError, match="may be published yet") as raised:
                    publisher.publish("news", "one", id="own")
                assert raised.value.maybe_published
                assert "publish it again" in str(raised.value)
                publications = [Publication("news", "two"), Publication("news", "three")]
                with pytest.raises(UnansweredError) as many:
                    publisher.publish_many(publications)
                assert many.value.published == ()
                with pytest.raises(UnansweredError):
                    publisher.finish("other")
            finally:
                os.kill(pid, signal.SIGCONT)
            # What was under way arrives; what came behind it in its request was never taken.
            assert [next(stream).data for _ in range(2)] == ["one", "two"]
            assert patient.publish("news", "after")
            assert next(stream).data == "after"


def pid_of_redis(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
        connection.sendall(b"INFO server\r\n")
        told = b""
        while b"process_id:" not in told or not told.endswith(b"\r\n"):
            told += connection.recv(1 << 16)
    (pid,) = re.findall(rb"process_id:(\d+)", told)
    return int(pid)


def test_a_server_of_python_says_its_codes(tmp_path: Path) -> None:
    hub = Hub(shards=1)
    with (
        PublishServer(hub, f"unix:{tmp_path / 'a.sock'}") as server,
        Publisher(server.address) as publisher,
    ):
        publisher.finish("over")
        with pytest.raises(FinishedError):
            publisher.publish("over", "a")
        hub.close()
        with pytest.raises(ClosedError):
            publisher.publish("news", "a")
        with pytest.raises(ClosedError):
            publisher.publish_many([Publication("news", "a")])
        with pytest.raises(ClosedError):
            publisher.finish("news")
        for request, status, code in (
            ("POST /publish?topic=over HTTP/1.1", 503, "closed"),
            ("POST /publish?topic=a%2B HTTP/1.1", 400, "invalid"),
            ("POST /publish HTTP/1.1", 400, "invalid"),
            ("POST /finish HTTP/1.1", 400, "invalid"),
            ("POST /other HTTP/1.1", 404, "not_found"),
            ("GET /publish HTTP/1.1", 501, "method"),
            ("POST /publish HTTP/1.1\r\nTransfer-Encoding: chunked", 411, "transfer_coding"),
            ("POST /publish HTTP/1.1\r\nContent-Length: 99999999", 413, "too_large"),
            ("nonsense", 400, "invalid"),
        ):
            assert asked(server.address, request) == (status, code), request
    with (
        Hub(shards=1) as other,
        PublishServer(other, "127.0.0.1:0", token="abc", connections_max=1) as server,
    ):
        assert asked(server.address, "POST /publish HTTP/1.1") == (401, "token")
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port)), DEADLINE_S) as held:
            held.sendall(b"P")
            # Accepted, so that another one is too many.
            answers = iter(lambda: asked(server.address, "POST /publish HTTP/1.1"), None)
            assert next(answer for answer in answers if answer[0] == 503) == (503, "full")


def asked(address: str, request: str) -> tuple[int, str]:
    """The status and the code of the answer to a request's head."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
    with connection:
        connection.settimeout(DEADLINE_S)
        connection.sendall(f"{request}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 16):
                answer += part
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), str(json.loads(content)["code"])


def test_what_a_hub_raises_is_what_comes_out_of_a_server_of_python(tmp_path: Path) -> None:
    """With a hub that raises what only a failing disk or cluster would have it raise."""
    raised: list[FanfareError] = [
        JournalError(-1, "the journal"),
        ClusterError(-1, "the cluster"),
        FullError(-1, "full"),
        TimedOutError(-1, "no space"),
    ]
    expected = [JournalError, ClusterError, FullError, FullError]

    class FailingHub(Hub):
        def publish(self, *_args: object, **_options: object) -> str:
            raise raised[0]

    with (
        FailingHub(shards=1) as hub,
        PublishServer(hub, f"unix:{tmp_path / 'a.sock'}") as server,
        Publisher(server.address) as publisher,
    ):
        for kind in expected:
            with pytest.raises(FanfareError) as caught:
                publisher.publish("news", "a")
            assert type(caught.value) is kind
            raised.pop(0)
