"""What is said where a connection cannot be handed over."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import resource
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import werkzeug
from client import DEADLINE_S, wait_until
from test_wsgi_django import django
from wsgi_servers import (
    WORKERS,
    gunicorn,
    head_of,
    python,
    started,
    until,
)

from fanfare import (
    STREAM_HEADERS,
    ClosedError,
    Grant,
    Hub,
    OptionsError,
    OutOfResourcesError,
    RequestError,
    SubscriptionError,
)
from fanfare._serving import Overload
from fanfare._wsgi_sockets import finish_content
from fanfare.wsgi import NoSocketError, event_stream

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    named = ["-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*made, *named], cwd=folder, check=True, capture_output=True)
    return folder


def test_a_connection_with_tls_is_refused(certificate: Path, tmp_path: Path) -> None:
    tls = ["--certfile", str(certificate / "cert.pem"), "--keyfile", str(certificate / "key.pem")]
    ready = r"Listening at: https://127\.0\.0\.1:(\d+)"
    with ExitStack() as servers, ThreadPoolExecutor() as pool:

        def answer(worker: str) -> httpx.Response:
            command = gunicorn(worker, "wsgi_app:app", *tls)
            server = servers.enter_context(started(command, tmp_path / worker, ready))
            url = f"https://127.0.0.1:{server.port}/streams/a"
            return httpx.get(url, verify=False, timeout=DEADLINE_S, trust_env=False)

        for answered in pool.map(answer, WORKERS):
            assert answered.status_code == 501
            assert "TLS" in answered.text
            assert "Hub.listen" in answered.text


def test_waitress_gives_no_socket(tmp_path: Path) -> None:
    command = python("-m", "waitress", "--listen=127.0.0.1:0", "wsgi_app:app")
    with started(command, tmp_path / "log", r"Serving on http://127\.0\.0\.1:(\d+)") as server:
        answer = server.get("/streams/a")
        assert answer.status_code == 501
        assert answer.text.startswith("This WSGI server gives no socket of its requests. Run the")


def test_the_uwsgi_protocol_is_refused(tmp_path: Path) -> None:
    command = gunicorn("sync", "wsgi_app:app", "--protocol", "uwsgi")
    with started(command, tmp_path / "log", r"Listening at: \w+://127\.0\.0\.1:(\d+)") as server:
        said = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/streams/a",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
        }
        texts = [text.encode() for pair in said.items() for text in pair]
        packet = b"".join(struct.pack("<H", len(text)) + text for text in texts)
        with server.connect("") as client:
            client.sendall(struct.pack("<BHB", 0, len(packet), 0) + packet)
            answer = until(client)
        assert " 501 " in answer.split("\r\n")[0]
        assert "uwsgi" in answer


def environ(sock: object, **more: object) -> dict[str, Any]:
    """What a gunicorn before version 25 gives to applications, in parts that matter."""

    class Part:
        buf = io.BytesIO()

    Part.unreader = Part.reader = Part  # type: ignore[attr-defined]
    Part.read = staticmethod(lambda _size: b"")  # type: ignore[attr-defined]
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": Part,
        "wsgi.input_terminated": True,
        "gunicorn.socket": sock,
        **more,
    }


@pytest.mark.parametrize(
    "more",
    [{"SERVER_PROTOCOL": "HTTP/2.0"}, {"HTTP_VERSION": "2"}, {"SERVER_PROTOCOL": "INCLUDED"}],
)
def test_another_protocol_is_refused(more: dict[str, object]) -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        with pytest.raises(NoSocketError, match="cannot be handed over") as raised:
            event_stream(environ(ours, **more), hub, "a")
        assert raised.value.response.status == 501


def test_a_gunicorn_that_hides_what_it_has_read_is_refused() -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        hidden = {"wsgi.input": io.BytesIO(), "wsgi.input_terminated": False}
        with pytest.raises(NoSocketError, match="read ahead"):
            event_stream(environ(ours, **hidden), hub, "a")


def test_a_request_without_an_environ_is_refused() -> None:
    with Hub(shards=1) as hub, pytest.raises(NoSocketError, match="under ASGI"):
        event_stream(object(), hub, "a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topics", "more", "error"),
    [
        (Grant(any_topics=True), {}, ValueError),
        ("a", {"headers": [("Content-Length", "1")]}, ValueError),
        ("a", {"headers": [("X-A", "a\r\nSet-Cookie: b=1")]}, ValueError),
        ("a", {"headers": [(f"X-{n}", "a") for n in range(33)]}, RequestError),
        ("a", {"overload": "never"}, ValueError),
        ("a", {"tag": ""}, OptionsError),
    ],
)
def test_what_is_refused_leaves_the_socket_to_the_server(
    topics: Any,  # noqa: ANN401
    more: dict[str, Any],
    error: type[Exception],
) -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        with pytest.raises(error):
            event_stream(environ(ours), hub, topics, **more)
        ours.sendall(b"the server's own answer")
        assert client.recv(100) == b"the server's own answer"
        assert hub.connections() == []


def test_clients_of_a_closed_hub_are_told_to_come_again() -> None:
    """As at a listener: any status but 200 ends an EventSource for good."""
    hub = Hub(shards=1)
    hub.close()
    ours, client = socket.socketpair()
    with ours, client:
        mine = {"Access-Control-Allow-Origin": "*"}
        browser = environ(ours, HTTP_ACCEPT="text/event-stream")
        answer = event_stream(browser, hub, "a", headers=mine)
        assert answer.status == 200
        assert re.fullmatch(r"retry: 1\d{4}\n\n", answer.text)
        assert isinstance(answer.refused, ClosedError)
        overloads: list[tuple[dict[str, Any], Overload]]
        overloads = [(environ(ours), "come-again"), (browser, "unavailable")]
        for asked, overload in overloads:
            answer = event_stream(asked, hub, "a", headers=mine, overload=overload)
            assert answer.status == 503
            assert ("retry-after", "5") in answer.headers
            assert ("Access-Control-Allow-Origin", "*") in answer.headers


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("topic=news&topic=user/7/mail", 200),
        ("topic=user/7/%23", 200),
        ("topic=news&topic=user/8/mail", 403),
        ("topic=%23", 403),
        ("topic=%FF", 400),
    ],
)
def test_topics_of_the_query_are_taken_only_within_what_is_granted(query: str, status: int) -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        asked, grant = environ(ours, QUERY_STRING=query), Grant(["news", "user/7/#"])
        assert event_stream(asked, hub, grant, query_topics=True).status == status


def test_a_query_that_names_no_topics_may_be_anything() -> None:
    for query in ("topic=other", "a=%FF", "\xff"):
        ours, client = socket.socketpair()
        with Hub(shards=1) as hub, ours, client:
            assert event_stream(environ(ours, QUERY_STRING=query), hub, "a").status == 200
            wait_until("the stream", lambda hub=hub: len(hub.connections()) == 1)  # type: ignore[misc]
            assert hub.connections()[0].subscriptions == ("a",)


def test_topics_that_are_none_are_answered_400() -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        answer = event_stream(environ(ours), hub, "a/#/b")
        assert (answer.status, type(answer.refused)) == (400, SubscriptionError)


def test_the_head_is_that_of_a_stream() -> None:
    with Hub(shards=1) as hub:
        asked = {"REQUEST_METHOD": "HEAD"}
        answer = event_stream(asked, hub, "a", headers={"X-Mine": "yes"})
        assert {*STREAM_HEADERS, ("X-Mine", "yes")} <= set(answer.headers)
        answer = event_stream({"REQUEST_METHOD": "PUT"}, hub, "a")
        assert (answer.status, dict(answer.headers)["allow"]) == (405, "GET, HEAD, POST")


def test_what_the_server_does_afterwards_does_not_reach_the_client() -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        assert event_stream(environ(ours), hub, "a").status == 200
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
        assert ours.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            ours.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        ours.shutdown(socket.SHUT_RDWR)
        ours.close()
        hub.publish("a", "still here")
        until(client, "data: still here")


def test_a_process_out_of_descriptors_answers_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    ours, client = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Hub(shards=1) as hub, ours, client:
        gc.collect()  # what earlier tests have left
        before = sorted(os.listdir("/proc/self/fd"))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # which are taken
            answers = [event_stream(environ(ours), hub, "a")]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with monkeypatch.context() as patched:  # one is had, and one is not
            patched.setattr(os, "dup", full)
            answers.append(event_stream(environ(ours), hub, "a"))
        assert sorted(os.listdir("/proc/self/fd")) == before
        answers.append(event_stream(environ(ours), hub, "a"))
        assert [answer.status for answer in answers] == [503, 503, 200]
        for answer in answers[:2]:
            assert isinstance(answer.refused, OutOfResourcesError)
            assert "ulimit" in str(answer.refused)
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")


def test_content_that_a_framework_has_read_and_kept_is_read() -> None:
    content = b"x" * 100_000
    given: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": f"{len(content)}",
        "CONTENT_TYPE": "application/json",
    }
    environ = given | {"wsgi.input": io.BytesIO(content)}
    request = werkzeug.Request(environ)
    assert request.get_data() == content
    assert not request.form  # which makes a stream of what was kept
    assert finish_content(request, environ)

    code = f"""
import io
from django.core.handlers.wsgi import WSGIRequest
from fanfare._wsgi_sockets import finish_content
def made():
    return WSGIRequest({given!r} | {{"wsgi.input": io.BytesIO(b"x" * {len(content)})}})
request = made()
assert not finish_content(request, request.environ)  # it is too long to be thrown away
request = made()
assert len(request.body) == {len(content)}
assert finish_content(request, request.environ)
"""
    ran = django(code, "{}")
    assert (ran.returncode, ran.stderr) == (0, "")
