"""Streams that applications give away or send, under each server and in each mode."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack

import httpx
import pytest
from client import DEADLINE_S, wait_until
from httpx_sse import ServerSentEvent, connect_sse
from raw import Raw
from running import GIVE_SOCKETS, Server

ORIGIN = {"Origin": "https://app.example"}
#: The head of every stream, but for what a server says of itself and of the connection.
HEAD = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-store, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
    "x-mine": "yes",
    "x-stamp": "stamped",
    "set-cookie": "seen=1; Path=/; SameSite=lax",
    "access-control-allow-origin": "https://app.example",
}
SERVERS_OWN = {"date", "server", "connection", "transfer-encoding", "vary"}


def open_stream(server: Server, raw: Raw, target: str, *fields: str) -> None:
    """Requests a stream, and reads until it has begun."""
    raw.send(target, *fields)
    status, head = raw.head()
    assert status == 200
    is_handed_over = head.get("connection") == "close"
    assert is_handed_over == server.hands_over
    raw.read_until(b"\nid: ")


def read(server: Server, path: str, count: int, **headers: str) -> list[ServerSentEvent]:
    """The first events with data of a stream."""
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, "GET", server.url + path, headers=headers) as source,
    ):
        events = (event for event in source.iter_sse() if event.data)
        return [next(events) for _ in range(count)]


@pytest.mark.each_version
def test_the_head_is_the_same_if_the_engine_or_the_server_writes_it(server: Server) -> None:
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        client.stream("GET", f"{server.url}/events/head", headers=ORIGIN) as response,
    ):
        got = {k: v for k, v in response.headers.items() if k not in SERVERS_OWN}
        assert got == HEAD
        assert response.headers["transfer-encoding"] == "chunked"
        first = next(response.iter_raw())
        assert re.match(rb"(:\n\n)?retry: \d+\n", first)


@pytest.mark.each_version
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_is_sent_what_is_published(server: Server, version: str) -> None:
    with Raw(server.port) as raw:
        raw.send("/events/live", version=version)
        assert raw.head()[0] == 200
        raw.read_until(b"\nid: ")
        for text in ("one", "two"):
            published = server.post("/publish/live", text, name="count")
            raw.read_until(f"id: {published}\nevent: count\ndata: {text}\n\n".encode())
        if server.hands_over or version == "1.1":  # uvicorn sends chunks to HTTP/1.0 as well
            assert (b"\r\n" in raw.seen) == (version == "1.1")


@pytest.mark.each_version
def test_a_stream_is_opened_by_post(server: Server) -> None:
    url, said = f"{server.url}/events/post", {"mine": "x" * 1000}
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, "POST", url, json=said) as source,
    ):
        assert source.response.headers["x-mine"] == said["mine"]
        events = (event.data for event in source.iter_sse() if event.data)
        server.wait_for_connections(1)
        server.post("/publish/post", "hello")
        assert next(events) == "hello"


@pytest.mark.each_version
def test_a_client_that_comes_back_goes_on_behind_its_last_event(server: Server) -> None:
    ids = [server.post("/publish/resumed", str(n)) for n in range(5)]
    got = read(server, "/events/resumed", 3, **{"Last-Event-ID": ids[1]})
    assert [(event.id, event.data) for event in got] == list(zip(ids[2:], "234", strict=True))
    got = read(server, f"/events/resumed?lastEventId={ids[3]}", 1)
    assert [event.data for event in got] == ["4"]
    got = read(server, "/events/resumed", 1, **{"Last-Event-ID": "nonsense"})
    assert got[0].event == "fanfare-gap"


@pytest.mark.each_version
def test_a_finished_topic_ends_its_streams_and_then_is_no_content(server: Server) -> None:
    with Raw(server.port) as raw:
        open_stream(server, raw, "/events/finished")
        last = server.post("/finish/finished")
        assert raw.read_until(b"\r\n0\r\n\r\n").count(b"data: end") == 1
    answer = server.get("/events/finished", **{"Last-Event-ID": last})
    assert (answer.status_code, answer.content) == (204, b"")


def test_what_cannot_be_a_stream_is_told_so(server: Server) -> None:
    answer = server.client.head(f"{server.url}/events/a")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream"
    answer = server.client.put(f"{server.url}/events/a")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    answer = server.get("/events/a%2Bb", **ORIGIN)
    assert (answer.status_code, answer.headers["x-stamp"]) == (400, "stamped")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


def test_topics_of_the_query_are_taken_only_within_what_is_granted(server: Server) -> None:
    for target, is_granted in (
        ("/chosen", True),
        ("/chosen?topic=news&topic=user/7/mail", True),
        ("/chosen?topic=user/7/%23", True),
        ("/chosen?topic=news&topic=user/8/mail", False),
        ("/chosen?topic=%23", False),
        ("/chosen?topic=user/%2B/mail", False),
    ):
        with Raw(server.port) as raw:
            raw.send(target)
            assert raw.head()[0] == (200 if is_granted else 403)
    assert server.get("/chosen?topic=%FF").status_code == 400
    with Raw(server.port) as raw:  # where it is not asked for, the query names no topics
        open_stream(server, raw, "/events/mine?topic=other")
        server.post("/publish/other", "theirs")
        server.post("/publish/mine", "ours")
        assert b"theirs" not in raw.read_until(b"ours")


def test_clients_that_are_too_many_are_told_to_come_again(server: Server) -> None:
    server.wait_for_connections(0)
    with Raw(server.port) as raw:
        raw.send("/small")
        assert raw.head()[0] == 200
        server.wait_for_connections(1)
        for path in ("/small", "/closed"):
            answer = server.get(path, Accept="text/event-stream")
            assert (answer.status_code, answer.headers["x-stamp"]) == (200, "stamped")
            assert answer.headers["content-type"] == "text/event-stream"
            assert re.fullmatch(r"retry: 1\d{4}\n\n", answer.text)
            answer = server.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    server.wait_for_connections(0)


def test_a_handover_that_is_required_is_had_or_refused(server: Server) -> None:
    with Raw(server.port) as raw:
        raw.send("/required/a")
        status, _ = raw.head()
    assert status == (200 if server.kind in GIVE_SOCKETS else 503)


def test_a_client_that_leaves_frees_its_connection(server: Server) -> None:
    server.wait_for_connections(0)
    with ExitStack() as stack:
        for _ in range(3):
            open_stream(server, stack.enter_context(Raw(server.port)), "/events/left")
        server.wait_for_connections(3)
    server.wait_for_connections(0)
    wait_until("the background tasks", lambda: server.state()["done"].count("left") == 3)


def test_a_connection_that_had_requests_before_becomes_a_stream(server: Server) -> None:
    with Raw(server.port) as raw:
        for _ in range(2):
            raw.send("/plain")
            assert raw.head()[0] == 200
            raw.read_until(b"plain")
            raw.read_until(b"0\r\n\r\n") if b"\r\n" in raw.seen else None
            raw.seen = b""
        open_stream(server, raw, "/events/after")
        server.post("/publish/after", "hello")
        raw.read_until(b"data: hello\n\n")


def test_a_request_that_was_sent_in_advance_is_answered_behind_the_stream(server: Server) -> None:
    with Raw(server.port) as raw:
        raw.socket.sendall(raw.request("/events/advance") + raw.request("/plain"))
        status, head = raw.head()
        assert status == 200
        assert head.get("connection") != "close"
        raw.read_until(b"\nid: ")
        server.post("/finish/advance")
        raw.read_until(b"\r\n0\r\n\r\n")
        raw.seen = raw.seen.partition(b"\r\n0\r\n\r\n")[2]
        assert raw.head()[0] == 200
        raw.read_until(b'"plain"')


@pytest.mark.parametrize("sent", ["hello", "hel"])
def test_content_that_nobody_has_read_does_not_harm(server: Server, sent: str) -> None:
    if server.kind in ("aiohttp", "daphne") and sent != "hello":
        pytest.skip("this server calls its application when it has the content")
    with Raw(server.port) as raw:
        fields = ["Content-Length: 5"]
        raw.socket.sendall(raw.request("/unread/a", *fields, method="POST", body=sent))
        assert raw.head()[0] == 200
        raw.read_until(b"\nid: ")
        raw.socket.sendall(b"hello"[len(sent) :])
        server.post("/publish/a", "there")
        raw.read_until(b"data: there\n\n")


def test_a_stream_that_is_cut_does_not_look_complete(server: Server) -> None:
    if server.kind in ("daphne", "granian"):
        pytest.skip("of these servers an application cannot reach the connection")
    with Raw(server.port, receive_buffer=4096) as raw:
        open_stream(server, raw, "/events/slow")

        def is_cut() -> bool:
            for _ in range(20):
                server.client.post(f"{server.url}/publish/slow", content=b"x" * 50_000)
            return bool(server.state()["disconnects"].get("lagging"))

        wait_until("the stream to be cut", is_cut)
        assert not raw.rest().endswith(b"\r\n0\r\n\r\n")


def test_no_descriptor_is_left(server: Server) -> None:
    server.wait_for_connections(0)
    before = server.state()["descriptors"]
    for _ in range(40):
        with Raw(server.port) as raw:
            open_stream(server, raw, "/events/many")
    server.wait_for_connections(0)
    wait_until("the descriptors", lambda: server.state()["descriptors"] <= before)


@pytest.mark.each_version
def test_a_server_ends_within_seconds_while_it_has_streams(server: Server) -> None:
    """The last of this file: the server is not there any more."""
    with ExitStack() as stack:
        raws = [stack.enter_context(Raw(server.port)) for _ in range(5)]
        for raw in raws:
            open_stream(server, raw, "/events/last")
        begun = time.monotonic()
        server.end()
        assert time.monotonic() - begun < 10
        for raw in raws:
            rest = raw.rest()
            if (server.kind, server.mode) not in ENDS_ROUGHLY:
                assert rest.endswith(b"\r\n0\r\n\r\n")
    if (server.kind, server.mode) not in ENDS_ROUGHLY:
        assert not re.search("Traceback|Exception|ERROR|WARNING(?!.*handed over)", server.log())


#: It cancels its applications.
ENDS_ROUGHLY = [("daphne", "never")]


@pytest.mark.parametrize("kind", ["uvicorn-h11-asyncio", "uvicorn-httptools-uvloop"])
def test_behind_middlewares_that_hide_the_connection_the_server_sends_and_ends(kind: str) -> None:
    server = Server(kind, "auto", HIDDEN="yes")
    try:
        server.wait_until_it_answers()
        with Raw(server.port) as raw:
            raw.send("/events/a")
            status, head = raw.head()
            assert (status, head["x-stamp"]) == (200, "stamped")
            assert head.get("connection") != "close"
            server.wait_for_connections(1)
            # One whose stream begins only when the server has begun to end.
            with Raw(server.port) as late:
                late.send("/late")
                wait_until("the request", lambda: "late" in server.state()["done"])
                begun = time.monotonic()
                server.end()
                assert time.monotonic() - begun < 10
                assert late.rest().endswith(b"\r\n0\r\n\r\n")
            assert raw.rest().endswith(b"\r\n0\r\n\r\n")
        assert "Traceback" not in server.log()
    finally:
        server.kill()


@pytest.mark.parametrize("kind", ["uvicorn-h11-asyncio", "hypercorn"])
def test_an_application_without_middlewares_gives_connections_away_by_itself(kind: str) -> None:
    server = Server(kind, "require", BARE="yes")
    try:
        server.wait_until_it_answers()
        with Raw(server.port) as raw:
            raw.send("/events/a")
            status, head = raw.head()
            assert (status, head["connection"], head["x-mine"]) == (200, "close", "yes")
            server.post("/publish/a", "hello")
            raw.read_until(b"data: hello\n\n")
            server.end()
            assert raw.rest().endswith(b"\r\n0\r\n\r\n")
        assert "Traceback" not in server.log()
    finally:
        server.kill()
