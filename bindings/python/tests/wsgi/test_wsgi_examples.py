"""The examples of Flask and of several workers. That of Django has tests of its own."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from client import events, wait_until
from wsgi_servers import (
    EXAMPLES,
    GUNICORN_READY,
    PACKAGE,
    PROGRAM,
    WERKZEUG_READY,
    gunicorn,
    python,
    started,
)


@pytest.mark.parametrize("kind", ["sync", "werkzeug"])
def test_the_chat_of_flask(kind: str, tmp_path: Path) -> None:
    if kind == "werkzeug":
        command = python("-m", "flask", "--app", "flask_app.py", "run", "-p", "0")
        ready = WERKZEUG_READY
    else:
        command, ready = gunicorn(kind, "flask_app:app"), GUNICORN_READY
    with started(command, tmp_path / "log", ready, EXAMPLES) as server:
        assert "EventSource" in server.get("/").text
        assert server.get("/rooms/secret/events").status_code == 404
        say = {"data": {"text": "hello"}}
        assert server.get("/rooms/lobby", "POST", **say).status_code == 204
        with server.events("/rooms/lobby/events") as (stream, _):
            assert next(stream).json() == {"text": "hello"}  # said before it came
            server.get("/rooms/lobby", "POST", **say)
            assert next(stream).json() == {"text": "hello"}
        assert server.complaints() == []


def owner(kind: str, path: Path) -> tuple[list[str], str]:
    """The process that owns the engine, and what its log has with the port for clients."""
    if kind == "program":
        control = ["--control-listen", f"unix:{path}"]
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", *control]
        return command, r"listening on http://127\.0\.0\.1:(\d+)\n(?s:.*)control on "
    return python("prefork.py", str(path), "127.0.0.1:0"), r"listening on 127\.0\.0\.1:(\d+)"


@pytest.mark.parametrize("kind", ["program", "Python"])
def test_three_preloaded_workers_share_one_engine(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "fanfare.sock"
    command, ready = owner(kind, path)
    workers = gunicorn("sync", "prefork:app", "--preload", "-w", "3")
    where = {"FANFARE": f"unix:{path}"}
    with started(workers, tmp_path / "workers.log", GUNICORN_READY, EXAMPLES, **where) as server:
        alone = server.get("/publish/news", "POST", content=b"lost")
        assert alone.status_code == 503
        assert "Nothing was published" in alone.json()["error"]
        with started(command, tmp_path / "owner.log", ready, EXAMPLES) as engine:
            with events(engine.port, "news") as stream:
                pids: set[int] = set()
                said: list[str] = []

                def all_workers_have_published() -> bool:
                    said.append(f"event {len(said)}")
                    answer = server.get("/publish/news", "POST", content=said[-1].encode())
                    pids.add(answer.json()["worker"])
                    return len(pids) == 3

                wait_until("all workers", all_workers_have_published)
                assert [next(stream).data for _ in said] == said
            assert engine.stop() == 0
        assert server.get("/publish/news", "POST", content=b"lost").status_code == 503
        # The engine's process comes back, and the workers go on by themselves.
        with started(command, tmp_path / "again.log", ready, EXAMPLES) as engine:
            assert server.get("/publish/news", "POST", content=b"again").status_code == 200
        assert server.complaints() == []


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""


def test_nginx_sends_streams_to_the_owner_and_all_else_to_the_workers(tmp_path: Path) -> None:
    path = tmp_path / "fanfare.sock"
    command, ready = owner("program", path)
    command += ["--host", "app.example"]
    workers = gunicorn("sync", "prefork:app", "-w", "2")
    where = {"FANFARE": f"unix:{path}"}
    page = (PACKAGE.parents[1] / "docs/python-wsgi.md").read_text()
    locations = page.split("```nginx\n")[1].split("```")[0]
    with (
        started(command, tmp_path / "owner.log", ready, EXAMPLES) as engine,
        started(workers, tmp_path / "workers.log", GUNICORN_READY, EXAMPLES, **where) as server,
    ):
        for documented, port in ((":8081", engine.port), (":8000", server.port)):
            assert documented in locations
            locations = locations.replace(documented, f":{port}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        conf = tmp_path / "nginx.conf"
        conf.write_text(NGINX.format(folder=tmp_path, port=port, locations=locations))
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert nginx, "run tests/setup"
        run = [nginx, "-c", str(conf), "-p", str(tmp_path)]
        log = tmp_path / "nginx.log"
        with started(run, log, r"(?:start worker process) (\d+)", tmp_path) as proxy:
            proxy.port = port
            host = {"Host": "app.example"}
            with proxy.events("/events", params={"topic": "news"}, headers=host) as (stream, _):
                published = proxy.get("/publish/news", "POST", content=b"hello", headers=host)
                assert published.status_code == 200
                assert next(stream).data == "hello"


def test_the_workers_of_uvicorn_publish_as_well(tmp_path: Path) -> None:
    (tmp_path / "asgi_app.py").write_text(
        """
import os
from fanfare import Publisher

publisher = Publisher(os.environ["FANFARE"])

async def app(scope, receive, send):
    if scope["type"] == "http":
        await publisher.publish_async("news", str(os.getpid()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
    )
    command, ready = owner("Python", tmp_path / "fanfare.sock")
    workers = python("-m", "uvicorn", "--workers", "2", "--port", "0", "asgi_app:app")
    up = r"Uvicorn running on http://127\.0\.0\.1:(\d+)(?s:.*startup complete){2}"
    where = {"FANFARE": f"unix:{tmp_path / 'fanfare.sock'}"}
    with (
        started(command, tmp_path / "owner.log", ready, EXAMPLES) as engine,
        started(workers, tmp_path / "workers.log", up, tmp_path, **where) as server,
        events(engine.port, "news") as stream,
    ):
        pids: list[str] = []

        def both_have_published() -> bool:
            pids.append(server.get("/").text)
            return len(set(pids)) == 2

        wait_until("both workers", both_have_published)
        assert [next(stream).data for _ in pids] == pids
