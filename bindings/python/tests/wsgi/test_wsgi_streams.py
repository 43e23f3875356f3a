"""Hand-over under each server that gives its sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client import wait_until
from wsgi_servers import WORKERS, Server, head_of, serving, until

HAND_OVERS = int(os.environ.get("HAND_OVERS", "200"))
GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=[*WORKERS, "gevent_pywsgi", "werkzeug"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with serving(request.param, tmp_path_factory.mktemp("wsgi") / "log") as server:
        yield server
    # A hand-over and the end of a stream are nothing to complain about, for any test here.
    assert server.complaints() == []


@pytest.mark.each_version
def test_a_client_gets_what_is_published_and_resumes_where_it_was(server: Server) -> None:
    with server.events("/streams/resume") as (events, source):
        assert source.response.headers["content-type"] == "text/event-stream"
        server.publish("resume", "one")
        one = next(events)
        assert one.data == "one"
    server.publish("resume", "two")
    again: tuple[dict[str, Any], ...] = (
        {"headers": {"Last-Event-ID": one.id}},
        {"params": {"last-event-id": one.id}},
    )
    for more in again:
        with server.events("/streams/resume", **more) as (events, _):
            assert next(events).data == "two"


@pytest.mark.each_version
@pytest.mark.parametrize("path", ["/streams/post", "/read/post"])
def test_a_post_opens_a_stream_whether_its_content_was_read_or_not(
    server: Server, path: str
) -> None:
    with server.events(path, "POST", content=b"x" * 60_000 if "streams" in path else b"hello") as (
        events,
        source,
    ):
        if path == "/read/post":
            assert source.response.headers["x-content"] == "hello"
        server.publish("post", "data")
        assert next(events).data == "data"


def test_chunked_content_is_read_to_its_end(server: Server) -> None:
    with server.events("/streams/chunked", "POST", content=iter([b"some ", b"content"])) as (
        events,
        _,
    ):
        server.publish("chunked", "data")
        assert next(events).data == "data"


def test_too_much_content_that_the_handler_has_not_read_is_refused(server: Server) -> None:
    answer = server.get("/streams/post", "POST", content=b"x" * 70_000)
    assert answer.status_code == 413
    assert "content" in answer.text


def test_a_client_of_http_1_0_gets_a_stream_without_chunks(server: Server) -> None:
    with server.connect("GET /streams/old HTTP/1.0\r\n\r\n") as client:
        assert "transfer-encoding" not in head_of(client).lower()
        server.publish("old", "data")
        until(client, "data: data\n\n")


def test_the_environ_alone_will_do(server: Server) -> None:
    with server.events("/environ/bare") as (events, _):
        server.publish("bare", "data")
        assert next(events).data == "data"


def test_a_grant_says_topics_header_fields_tag_and_start(server: Server) -> None:
    server.publish("a", "old")
    server.publish("c", "not granted")
    with server.events("/granted") as (events, source):
        assert source.response.headers["set-cookie"] == "seen=1"
        assert source.response.headers["x-more"] == "yes"
        assert next(events).data == "old"
        assert "granted" in server.stats()["tags"]
        newest = server.publish("a", "newest")
    # A client whose id is gone begins there as well.
    with server.events("/granted", headers={"Last-Event-ID": "gone"}) as (events, _):
        assert next(event for event in events if event.event == "message").id == newest
    with server.events("/expired") as (events, _):
        assert list(events) == []


def test_a_connection_that_had_other_requests_before_is_handed_over(server: Server) -> None:
    with server.connect(GET.format("/stats")) as client:
        head = head_of(client).lower()
        until(client, "}")
        if "connection: close" in head:
            assert client.recv(1) in (b"\n", b"")  # it is for one request alone
            return
        client.sendall(GET.format("/streams/later").encode())
        text = until(client, "retry: ")
        assert "HTTP/1.1 200 OK\r\n" in text
        server.publish("later", "data")
        until(client, "data: data")


def test_a_stream_in_which_nothing_will_come_is_answered_204(server: Server) -> None:
    server.get("/finish/over", "POST")
    assert server.get("/streams/over").status_code == 204


def test_a_client_that_goes_is_seen(server: Server) -> None:
    before = server.stats()["connections"]
    with server.connect(GET.format("/streams/gone")) as client:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
        assert server.stats()["connections"] >= before
    wait_until("the end of the connection", lambda: server.stats()["connections"] == 0)


def test_a_request_behind_that_for_the_stream_is_not_lost_in_silence(server: Server) -> None:
    with server.connect(GET.format("/streams/a") + GET.format("/stats")) as client:
        head = head_of(client).lower()
        assert head.startswith("http/1.1 400 bad request\r\n")
        # The server goes on with the connection, or says that it does not.
        assert "connection: close" in head or '"pid"' in until(client, '"pid"')


def test_line_breaks_behind_the_request_are_let_pass(server: Server) -> None:
    with server.connect(GET.format("/streams/breaks") + "\r\n") as client:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")


def test_what_the_hub_refuses_is_answered_and_nothing_is_half_done(server: Server) -> None:
    with server.connect(GET.format("/small")) as client:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
        refused = server.get("/small")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        again = server.get("/small", headers={"Accept": "text/event-stream"})
        assert (again.status_code, again.text[:7]) == (200, "retry: ")
        assert again.headers["content-type"] == "text/event-stream"
        assert server.get("/streams/a", "PUT").status_code == 405
        head = server.get("/streams/a", "HEAD")
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"x" * 6000], ids=["not UTF-8", "too long"])
def test_an_id_that_no_event_can_have_is_one_that_is_gone(server: Server, odd: bytes) -> None:
    with server.connect("GET /streams/odd HTTP/1.1\r\nHost: localhost\r\n") as client:
        client.sendall(b"Last-Event-ID: " + odd + b"\r\n\r\n")
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
        until(client, "fanfare-gap")


@pytest.mark.each_version
def test_no_descriptor_or_thread_is_left_of_many_hand_overs(server: Server) -> None:
    def hand_over() -> None:
        with server.connect(GET.format("/streams/many")) as client:
            assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")

    hand_over()
    wait_until("the end of the connection", lambda: server.stats()["connections"] == 0)
    before = server.stats()
    for _ in range(HAND_OVERS):
        hand_over()
    wait_until(
        f"the descriptors of {HAND_OVERS} connections to be closed",
        lambda: server.stats()["descriptors"] <= before["descriptors"],
    )
    assert server.stats()["threads"] <= before["threads"] + 1


def test_what_a_client_sends_later_keeps_no_event_loop_busy(server: Server) -> None:
    clients = [server.connect(GET.format("/streams/busy")) for _ in range(20)]
    for client in clients:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
        client.sendall(b"nobody reads this")
    server.publish("busy", "data")
    for client in clients:
        until(client, "data: data")
    before, began = server.stats()["cpu"], time.monotonic()
    time.sleep(0.4)  # there is nothing to wait for: the server is to do nothing
    busy, took = server.stats()["cpu"] - before, time.monotonic() - began
    assert busy < 0.5 * took
    for client in clients:
        client.close()
    wait_until("the end of the connections", lambda: server.stats()["connections"] == 0)
