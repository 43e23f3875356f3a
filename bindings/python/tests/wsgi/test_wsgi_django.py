"""Django, under gunicorn and under its own server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from client import DEADLINE_S, events, wait_until
from wsgi_servers import (
    EXAMPLES,
    GUNICORN_READY,
    WORKERS,
    Server,
    gunicorn,
    head_of,
    python,
    started,
    until,
)

from fanfare import Hub, PublishServer

RUNSERVER_READY = r"Starting development server at http://127\.0\.0\.1:(\d+)"
EVENTS = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=[*WORKERS, "runserver"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The example, under each server."""
    log = tmp_path_factory.mktemp("django") / "log"
    if request.param == "runserver":
        command = python("django_app.py", "runserver", "127.0.0.1:0", "--noreload")
        ready = RUNSERVER_READY
    else:
        command, ready = gunicorn(request.param, "django_app:application"), GUNICORN_READY
    with started(command, log, ready, EXAMPLES) as server:
        yield server
    assert server.complaints() == []


@pytest.mark.each_version
def test_a_view_hands_its_connection_over(server: Server) -> None:
    with server.events("/events") as (stream, source):
        assert source.response.headers["content-type"] == "text/event-stream"
        server.get("/press", "POST")
        first = next(stream)
        assert first.event == "pressed"
    server.get("/press", "POST")
    with server.events("/events", headers={"Last-Event-ID": first.id}) as (stream, _):
        assert next(stream).json()["times"] == first.json()["times"] + 1


def test_a_post_opens_a_stream(server: Server) -> None:
    with server.events("/events", "POST", data={"a": "b"}) as (stream, _):
        server.get("/press", "POST")
        assert next(stream).event == "pressed"


def test_a_worker_answers_while_clients_listen(server: Server) -> None:
    clients = [server.connect(EVENTS) for _ in range(10)]
    for client in clients:
        assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
    assert server.get("/").text.startswith("<!doctype html>")
    server.get("/press", "POST")
    for client in clients:
        with client:
            until(client, "event: pressed")


def test_other_methods_and_requests_behind_are_answered(server: Server) -> None:
    assert server.get("/events", "PUT").status_code == 405
    with server.connect(EVENTS + EVENTS) as client:
        assert head_of(client).startswith("HTTP/1.1 400 Bad Request\r\n")


def touch_until_it_ends(app: Path, client: socket.socket) -> None:
    """Changes a file, again while Django has yet to look at it for the first time."""
    client.settimeout(3)
    seen, later = b"", time.time()
    for _ in range(int(DEADLINE_S / 3)):
        later += 5
        os.utime(app, (later, later))
        with suppress(TimeoutError):
            while piece := client.recv(65536):
                seen += piece
            break
    assert seen.endswith(b"0\r\n\r\n")  # it has ended in order


def test_autoreload_makes_a_new_hub_and_drains_the_old_one(tmp_path: Path) -> None:
    app = tmp_path / "django_app.py"
    shutil.copy(EXAMPLES / "django_app.py", app)
    command = python("django_app.py", "runserver", "127.0.0.1:0")
    with started(command, tmp_path / "log", RUNSERVER_READY, tmp_path) as server:
        with server.connect(EVENTS) as client:
            assert head_of(client).startswith("HTTP/1.1 200 OK\r\n")
            touch_until_it_ends(app, client)
        # The port 0 is another one each time.
        wait_until("the server anew", lambda: server.log().count("Starting development") == 2)
        server.port = int(server.log().split("http://127.0.0.1:")[-1].split("/")[0])
        with server.events("/events") as (stream, _):
            server.get("/press", "POST")
            assert next(stream).event == "pressed"
        assert server.complaints() == []


def django(code: str, settings: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A program with Django's settings of ours, in an interpreter of its own."""
    made = f"""
from django.conf import settings
settings.configure(INSTALLED_APPS=["fanfare.django"], FANFARE={settings})
import django
django.setup()
import asyncio
from fanfare.django import event_stream, finish, finish_async, hub
from fanfare.django import publish, publish_async, publisher
{code}
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ}
    command = [sys.executable, "-W", "error", "-c", made]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"HUBS": {}}, "HUBS is not known; there are HUB, PUBLISH_TO, TIMEOUT, TOKEN."),
        ({"PUBLISH_TO": "nonsense"}, "PUBLISH_TO, TIMEOUT or TOKEN: 'nonsense' is no address"),
        (
            {"PUBLISH_TO": "unix:/a", "TOKEN": "a b"},
            "PUBLISH_TO, TIMEOUT or TOKEN: a token is 1 to",
        ),
        ({"PUBLISH_TO": "unix:/a", "HUB": {"shards": 1}}, "leave out one"),
    ],
)
def test_settings_that_are_wrong_are_told_at_the_start(
    settings: dict[str, object], problem: str
) -> None:
    ran = django("", repr(settings))
    assert f"ImproperlyConfigured: FANFARE: {problem}" in ran.stderr or problem in ran.stderr
    assert ran.returncode == 1


def test_the_hub_is_made_at_its_first_use_with_the_options_of_the_settings() -> None:
    code = """
import threading
assert threading.active_count() == 1
from fanfare.errors import OptionsError
try:
    publish("a", "data")
except OptionsError as why:
    assert "heartbeat_ms" in str(why)
else:
    raise SystemExit("the options are not those of the settings")
from django.test import override_settings
with override_settings(FANFARE={"HUB": {"shards": 1}}):
    from datetime import date
    stream = hub().subscribe("a", start="earliest")
    assert publish("a", json={"b": date(2026, 11, 30)}, name="c")
    text = b""
    while b'data: {"b":"2026-11-30"}' not in text:
        text += stream.read()
    stream.close()
    try:
        publish("a", "data", json=1)
    except TypeError:
        pass
    else:
        raise SystemExit("both are taken")
    assert hub().prometheus()
    assert asyncio.run(publish_async("a", json=date(2026, 11, 30)))
    assert finish("a", "end")
    assert asyncio.run(finish_async("b", "end"))
    try:
        publisher()
    except Exception as why:
        assert "there is no PUBLISH_TO" in str(why)
"""
    ran = django(code, '{"HUB": {"heartbeat_ms": 1}}')
    assert (ran.returncode, ran.stderr) == (0, "")


def test_several_workers_publish_to_one_engine(tmp_path: Path) -> None:
    code = """
from django.core.exceptions import ImproperlyConfigured
assert publish(["news", "sport"], "from django")
assert publisher().publish_many([]) == 0
for call in (hub, lambda: event_stream(None, "a")):
    try:
        call()
    except ImproperlyConfigured as why:
        assert "with PUBLISH_TO there is no hub in this process" in str(why)
    else:
        raise SystemExit("there is a hub")
async def both():
    await publish_async("sport", json=[1])
    await finish_async("sport")
asyncio.run(both())
finish("news")
"""
    address = f"unix:{tmp_path / 'fanfare.sock'}"
    settings = {"PUBLISH_TO": address, "TOKEN": "a-token", "TIMEOUT": DEADLINE_S}
    with Hub(shards=1) as own, PublishServer(own, address, token="a-token"):
        port = own.listen().port
        with events(port, "news", "sport") as stream:
            ran = django(code, repr(settings))
            assert (ran.returncode, ran.stderr) == (0, "")
            assert [event.data for event in stream] == ["from django", "[1]"]


def test_an_asgi_request_is_refused() -> None:
    code = """
import asyncio, io
from django.core.handlers.asgi import ASGIRequest
request = ASGIRequest({"method": "GET", "path": "/", "headers": []}, io.BytesIO())
from fanfare.wsgi import NoSocketError
try:
    event_stream(request, "a")
except NoSocketError as why:
    assert "fanfare.asgi" in str(why) and why.response.status == 501
else:
    raise SystemExit("it is not refused")
"""
    ran = django(code, '{"HUB": {"shards": 1}}')
    assert (ran.returncode, ran.stderr) == (0, "")


def test_header_fields_that_come_twice_are_all_in_an_answer_of_djangos() -> None:
    code = """
import io
from django.core.handlers.wsgi import WSGIRequest
asked = WSGIRequest({"REQUEST_METHOD": "HEAD", "wsgi.input": io.BytesIO()})
twice = [("Vary", "Origin"), ("Set-Cookie", "a=1; Path=/a")]
twice += [("vary", "Cookie"), ("Set-Cookie", "b=2")]
answer = event_stream(asked, "a", headers=twice)
assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/event-stream"
assert answer.headers["Vary"] == "Origin, Cookie"
assert sorted(answer.cookies.output(header="").split("\\r\\n ")) == [" a=1; Path=/a", "b=2"]
"""
    ran = django(code, '{"HUB": {"shards": 1}}')
    assert (ran.returncode, ran.stderr) == (0, "")
