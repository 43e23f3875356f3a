"""The heads of requests and responses, over bare sockets."""

import time
import urllib.error
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from server import DEADLINE_S, Server, events_target, publish_target
from wire import Client, Event, events_in

VERSIONS = pytest.mark.parametrize("version", ["1.0", "1.1"])
TARGET = events_target("news")
ORIGIN = "https://app.example"


def assert_head_of_stream(headers: dict[str, str]) -> None:
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
    assert "content-encoding" not in headers


@VERSIONS
def test_a_stream_has_its_head_and_then_its_events(server: Server, version: str) -> None:
    with Client(server) as client:
        head = client.request(TARGET, version=version)
        assert head.status == HTTPStatus.OK
        assert_head_of_stream(head.headers)
        client.preamble(head)
        ids = [server.publish("news", "x" * 5000), server.publish("news", "größe", event="tick")]
        assert events_in(client.stream(head, 2)) == [
            Event("message", "x" * 5000, ids[0]),
            Event("tick", "größe", ids[1]),
        ]


def test_a_stream_is_chunked_on_http_1_1(server: Server) -> None:
    with Client(server) as client:
        head = client.request(TARGET)
        assert (head.version, head.headers["transfer-encoding"]) == ("1.1", "chunked")


def test_a_stream_is_ended_by_the_close_on_http_1_0(server: Server) -> None:
    with Client(server) as client:
        head = client.request(TARGET, version="1.0")
        assert "transfer-encoding" not in head.headers
        assert head.headers.get("connection", "close") == "close"
        assert client.preamble(head).startswith(b"retry: ")


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "*/*",
        "text/*",
        "text/html, text/event-stream;q=0.5",
        "Text/Event-Stream",
    ],
)
def test_a_stream_is_given_to_clients_that_accept_one(server: Server, accept: str) -> None:
    with Client(server) as client:
        assert client.request(TARGET, f"Accept: {accept}").status == HTTPStatus.OK


@pytest.mark.parametrize(
    "accept",
    ["application/json", "text/html", "text/event-streams", "text/event-stream;q=0, text/html"],
)
def test_a_stream_is_not_given_to_clients_that_accept_none(server: Server, accept: str) -> None:
    with Client(server) as client:
        assert client.request(TARGET, f"Accept: {accept}").status == HTTPStatus.NOT_ACCEPTABLE


@VERSIONS
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/events", HTTPStatus.BAD_REQUEST),
        ("GET", "/events?topic=", HTTPStatus.BAD_REQUEST),
        ("GET", "/events?topic=%FF", HTTPStatus.BAD_REQUEST),
        ("GET", "/events?topic=a%2Bb", HTTPStatus.BAD_REQUEST),
        ("GET", f"/events?topic={'x' * 257}", HTTPStatus.BAD_REQUEST),
        ("GET", "/event", HTTPStatus.NOT_FOUND),
        ("GET", "/events/", HTTPStatus.NOT_FOUND),
        ("GET", "/..%2fetc/passwd", HTTPStatus.NOT_FOUND),
        ("DELETE", TARGET, HTTPStatus.METHOD_NOT_ALLOWED),
        ("POST", TARGET, HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/publish?topic=news", HTTPStatus.NOT_FOUND),
        ("POST", "/publish?topic=news", HTTPStatus.NOT_FOUND),
        ("GET", "/metrics", HTTPStatus.NOT_FOUND),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(
    server: Server, version: str, method: str, target: str, status: HTTPStatus
) -> None:
    with Client(server) as client:
        length = ["Content-Length: 0"] if method == "POST" else []
        head = client.request(target, *length, method=method, version=version)
        assert head.status == status
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            assert "GET" in head.headers["allow"].replace(",", " ").split()


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET /events?topic=news\r\n\r\n",
        b"GET /events?topic=news HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n",
        b"GET /events?topic=news HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /events?topic=\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /events?topic=news HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_bad_request(server: Server, request_head: bytes) -> None:
    with Client(server) as client:
        assert client.send(request_head).status == HTTPStatus.BAD_REQUEST
        client.rest()


def test_an_oversized_head_is_refused(server: Server) -> None:
    with Client(server) as client:
        head = client.request(TARGET, *[f"X-Filler-{i}: {'x' * 1000}" for i in range(128)])
        assert head.status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    with Client(server) as client:
        head = client.request(f"{TARGET}&topic={'x' * 128_000}")
        assert head.status in (
            HTTPStatus.REQUEST_URI_TOO_LONG,
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        )


def test_a_head_that_never_ends_is_timed_out_however_steadily_it_drips(
    start: Callable[..., Server],
) -> None:
    with Client(start("--head-time-max", "1s")) as client:
        client.socket.sendall(b"GET /events?topic=news HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        client.socket.settimeout(0.2)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                client.seen = client.socket.recv(1 << 16)
                break
            except TimeoutError:
                client.socket.sendall(b"x")
        assert client.head().status == HTTPStatus.REQUEST_TIMEOUT
        client.rest()


def test_a_head_may_come_byte_by_byte(server: Server) -> None:
    with Client(server) as client:
        request = f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for byte in request.encode():
            client.socket.sendall(bytes([byte]))
        assert client.head().status == HTTPStatus.OK


@VERSIONS
def test_head_is_answered_like_get_but_without_a_body(server: Server, version: str) -> None:
    with Client(server) as client:
        head = client.request(TARGET, "Connection: close", method="HEAD", version=version)
        assert head.status == HTTPStatus.OK
        assert_head_of_stream(head.headers)
        assert client.rest() == b""
    with Client(server) as client:
        head = client.request("/events", "Connection: close", method="HEAD", version=version)
        assert head.status == HTTPStatus.BAD_REQUEST
        assert client.rest() == b""


def preflight(server: Server, origin: str) -> dict[str, str]:
    with Client(server) as client:
        head = client.request(
            TARGET,
            f"Origin: {origin}",
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Headers: last-event-id, cache-control",
            method="OPTIONS",
        )
        assert head.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
        return head.headers


def test_a_preflight_is_granted_to_allowed_origins_only(start: Callable[..., Server]) -> None:
    server = start("--cors", ORIGIN, "--cors", "http://localhost:3000", "--cors-credentials")
    for origin in (ORIGIN, "http://localhost:3000"):
        headers = preflight(server, origin)
        assert headers["access-control-allow-origin"] == origin
        assert headers["access-control-allow-credentials"] == "true"
        assert "origin" in headers["vary"].lower()
        allowed = headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
        assert {"last-event-id", "cache-control"} <= set(allowed)
        assert "GET" in headers.get("access-control-allow-methods", "GET")
    assert "access-control-allow-origin" not in preflight(server, "https://app.example.org")


def test_a_preflight_is_granted_to_no_one_by_default(server: Server) -> None:
    assert "access-control-allow-origin" not in preflight(server, ORIGIN)


def test_credentials_are_allowed_only_when_asked_for(start: Callable[..., Server]) -> None:
    assert "access-control-allow-credentials" not in preflight(start("--cors", ORIGIN), ORIGIN)


def test_a_stream_names_the_origin_that_may_read_it(start: Callable[..., Server]) -> None:
    server = start("--cors", ORIGIN)
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None), ("null", None)):
        with Client(server) as client:
            head = client.request(TARGET, f"Origin: {origin}")
            assert head.headers.get("access-control-allow-origin") == allowed
            assert "origin" in head.headers["vary"].lower(), "a cache must not mix the answers up"


@pytest.mark.parametrize(
    "header",
    [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Forwarded: for=192.0.2.1",
        "X-Forwarded-For: 192.0.2.1",
        "Via: 1.1 proxy",
    ],
)
def test_publishing_without_a_token_is_for_local_programs_only(server: Server, header: str) -> None:
    with Client(server, control=True) as client:
        head = client.request(
            publish_target("news"), header, "Content-Length: 0", "Connection: close", method="POST"
        )
        assert head.status == HTTPStatus.FORBIDDEN


def status_of_publishing(server: Server, *headers: str, control: bool) -> int:
    with Client(server, control=control) as client:
        target = publish_target("news")
        return client.request(target, "Content-Length: 0", *headers, method="POST").status


def test_publishing_needs_the_token_where_there_is_one(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret-token\n")
    for server in (
        start("--publish-token-file", str(file)),
        start(env={"FANFARE_PUBLISH_TOKEN": "s3cret-token"}),
    ):
        for control in (False, True):
            for shown in ([], ["s3cret-toke"], ["s3cret-tokens"]):
                fields = [f"Authorization: Bearer {token}" for token in shown]
                status = status_of_publishing(server, *fields, control=control)
                assert status == HTTPStatus.UNAUTHORIZED
            field = "Authorization: Bearer s3cret-token"
            assert status_of_publishing(server, field, control=control) == HTTPStatus.OK


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/publish", b"x"),
        ("/publish?topic=", b"x"),
        (publish_target("x" * 257), b"x"),
        (publish_target("news", event="a\ndata: injected"), b"x"),
        (publish_target("news", event="a\rb"), b"x"),
        (publish_target("news", id="a\nb"), b"x"),
        (publish_target("news", id="a\0b"), b"x"),
        (publish_target("news", retry="soon"), b"x"),
        (publish_target("news"), b"not \xff UTF-8"),
    ],
)
def test_what_cannot_be_published_as_it_is_is_refused(
    server: Server, target: str, body: bytes
) -> None:
    with Client(server) as client:
        client.preamble(head := client.request(TARGET))
        with pytest.raises(urllib.error.HTTPError) as error:
            server.post(target, body)
        assert error.value.code == HTTPStatus.BAD_REQUEST
        error.value.close()
        server.publish("news", "the next one")
        assert [event.data for event in events_in(client.stream(head, 1))] == ["the next one"]


def test_the_metrics_count_what_happens(start: Callable[..., Server]) -> None:
    server = start()
    with Client(server) as one, Client(server) as two:
        for client in (one, two):
            client.preamble(head := client.request(TARGET))
        assert server.metrics()["fanfare_connections"] == 2
        server.publish("news", "x")
        server.publish("other", "x")
        for client in (one, two):
            client.stream(head, 1)
        wait_for_metrics(server, fanfare_delivered_events_total=2)
        metrics = server.metrics()
        assert metrics["fanfare_published_events_total"] == 2
        assert metrics["fanfare_delivered_bytes_total"] > 0
        assert metrics["fanfare_lagging_connections"] == 0
        assert metrics['fanfare_publish_to_socket_seconds_bucket{le="+Inf"}'] >= 1
    wait_for_metrics(server, fanfare_connections=0)
    assert server.metrics()['fanfare_disconnects_total{reason="client_closed"}'] == 2


def wait_for_metrics(server: Server, **wanted: float) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not wanted.items() <= (metrics := server.metrics()).items():
        assert time.monotonic() < deadline, {name: metrics.get(name) for name in wanted}


def test_the_program_says_that_it_is_well_and_ends_when_asked(start: Callable[..., Server]) -> None:
    server = start()
    with Client(server) as client:
        assert client.request("/healthz").status == HTTPStatus.OK
    with Client(server) as client:
        client.preamble(client.request(TARGET))
        assert server.stop() == 0
        client.rest()
