"""The programs in the page of WSGI applications, as they are there, but for addresses."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
from client import DEADLINE_S, events
from documented import WSGI, block, run_block
from wsgi_servers import WERKZEUG_READY, python, started

import fanfare

NAMES = {name: getattr(fanfare, name) for name in fanfare.__all__}


def test_flask(tmp_path: Path) -> None:
    (tmp_path / "documented_app.py").write_text(block(WSGI, "from flask import"))
    command = python("-m", "flask", "--app", "documented_app", "run", "-p", "0")
    with started(command, tmp_path / "log", WERKZEUG_READY, tmp_path) as server:
        with server.events("/rooms/lobby/events") as (stream, _):
            assert server.get("/rooms/lobby", "POST", data={"text": "hello"}).status_code == 204
            assert next(stream).json() == {"text": "hello"}
        assert server.get("/rooms/cellar/events").status_code == 404
        assert server.complaints() == []


DJANGO = """
from types import SimpleNamespace
from django.conf import settings
INSTALLED_APPS = FANFARE = None
urlpatterns = []
{settings}
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *INSTALLED_APPS[1:]],
    FANFARE=FANFARE,
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    ROOT_URLCONF=__name__,
    LOGIN_URL="/login",
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="secret",
)
import django
django.setup()
from django.http import HttpResponse
{views}

class Message:
    class objects:
        @staticmethod
        def create(to, text):
            return SimpleNamespace(as_json=lambda: {{"text": text}})

from django.test import RequestFactory
from fanfare.django import hub
stream = hub().subscribe("user/7")
request = RequestFactory().post("/", {{"text": "hello"}})
assert send(request, SimpleNamespace(pk=7)).status_code == 204
text = b""
while b'data: {{"text":"hello"}}' not in text:
    text += stream.read(60)
assert b"event: mail" in text
stream.close()
asked = RequestFactory().head("/")
asked.user = SimpleNamespace(pk=7, is_authenticated=True)
assert inbox(asked)["Content-Type"] == "text/event-stream"
asked.user = SimpleNamespace(pk=7, is_authenticated=False)
assert inbox(asked).status_code == 302
"""


def test_django() -> None:
    code = DJANGO.format(
        settings=block(WSGI, "INSTALLED_APPS").replace("...", "None"),
        views=block(WSGI, "login_required"),
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_process_owns_the_engine_and_another_one_publishes_to_it(tmp_path: Path) -> None:
    place = str(tmp_path / "fanfare.sock")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    owner = block(WSGI, "PublishServer(hub").replace("/run/app/fanfare.sock", place)
    owner = owner.replace("127.0.0.1:8081", f"127.0.0.1:{port}")
    said = f"print('owns {port}', flush=True)\n    signal.sigwait"
    owner = re.sub(r"signal\.sigwait", said, owner)
    workers = block(WSGI, "publish_many(").replace("/run/app/fanfare.sock", place)
    names: dict[str, Any] = NAMES | {"lines": ["one", "two"]}
    command = python("-c", owner)
    with (
        started(command, tmp_path / "log", r"owns (\d+)", tmp_path) as server,
        events(server.port, "news") as stream,
    ):
        anyio.run(run_block, workers, names)
        names["publisher"].close()
        got = [next(stream).data for _ in range(5)]
        assert got == ["hello", '{"temperature":21.5}', "one", "two", "hello"]
        assert server.stop() == 0
        assert server.complaints() == []


def test_a_hub_of_its_own_listens_beside_the_framework() -> None:
    names = dict(NAMES)
    code = block(WSGI, "def listening():").replace("127.0.0.1:8081", "127.0.0.1:0")
    code = code.replace("hub.listen(", "hub.listener = hub.listen(")
    anyio.run(run_block, code, names)
    own = names["hub"]
    try:
        with events(own.get().listener.port, "news") as stream:
            own.get().publish("news", "hello")
            assert next(stream).data == "hello"
    finally:
        own.close()
