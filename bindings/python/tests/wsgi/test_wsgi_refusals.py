"""What is said where a connection cannot be handed over."""

from __future__ import annotations

import io
import os
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
from client import DEADLINE_S
from wsgi_servers import (
    WORKERS,
    gunicorn,
    head_of,
    python,
    started,
    until,
)

from fanfare import FanfareError, Grant, GrantError, Hub, OptionsError, RequestError
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
        (Grant(any_topics=True), {}, GrantError),
        ("a/#/b", {}, FanfareError),
        ("a", {"headers": [("Content-Length", "1")]}, RequestError),
        ("a", {"tag": ""}, OptionsError),
    ],
)
def test_what_is_refused_leaves_the_socket_to_the_server(
    topics: Any,  # noqa: ANN401
    more: dict[str, Any],
    error: type[FanfareError],
) -> None:
    ours, client = socket.socketpair()
    with Hub(shards=1) as hub, ours, client:
        with pytest.raises(error):
            event_stream(environ(ours), hub, topics, **more)
        ours.sendall(b"the server's own answer")
        assert client.recv(100) == b"the server's own answer"
        assert hub.connections() == []


def test_a_closed_hub_is_answered_503() -> None:
    hub = Hub(shards=1)
    hub.close()
    ours, client = socket.socketpair()
    with ours, client:
        answer = event_stream(environ(ours), hub, "a")
        assert answer.status == 503
        assert ("Retry-After", "1") in answer.headers


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


def test_a_process_out_of_descriptors_answers_503() -> None:
    ours, client = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Hub(shards=1) as hub, ours, client:
        taken = [os.dup(0) for _ in range(64)]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
            os.close(taken.pop())  # one is free, and two are needed
            answers = [event_stream(environ(ours), hub, "a")]
            os.close(taken.pop())
            answers.append(event_stream(environ(ours), hub, "a"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in taken:
                os.close(fd)
        assert [answer.status for answer in answers] == [503, 200]
        assert "ulimit" in answers[0].text
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
