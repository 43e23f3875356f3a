"""The applications in the page of asynchronous servers, as they are there, also behind nginx."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from client import wait_until
from documented import ASYNC, block
from raw import Raw
from running import PYTHON, Server

UVICORN = "uvicorn-httptools-uvloop"
FASTAPI = """
import time
from fanfare import Grant

class User:
    id = 7

def current_user():
    return User()

{application}
{chosen}

@app.post("/publish/{{topic:path}}")
async def publish(topic: str, request: Request) -> str:
    return request.app.state.hub.publish(topic, await request.body())

@app.get("/addresses")
def addresses(request: Request) -> list[str]:
    return [each.addr for each in request.app.state.hub.connections()]
"""
AIOHTTP = """
from fanfare import Hub

HUB = web.AppKey("HUB", Hub)

async def engine(app):
    async with Hub(shards=1) as app[HUB]:
        yield

async def publish(request):
    return web.json_response(request.app[HUB].publish("news", await request.read()))

app = web.Application()
app.cleanup_ctx.append(engine)
app.add_routes([web.get("/news", news), web.post("/publish", publish)])
web.run_app(app, host="127.0.0.1", port=0)
"""
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
{location}
    }}
}}
"""


@pytest.fixture
def fastapi(tmp_path: Path) -> Server:
    application, chosen = block(ASYNC, "lifespan"), block(ASYNC, "query_topics=True")
    code = FASTAPI.format(application=application, chosen=chosen)
    (tmp_path / "documented_app.py").write_text(code)
    return Server(UVICORN, "auto", "--app-dir", str(tmp_path), app="documented_app:app")


def test_fastapi(fastapi: Server) -> None:
    try:
        fastapi.wait_until_it_answers("/addresses")
        for target in ("/mail", "/events?topic=user/7/mail", "/events"):
            with Raw(fastapi.port) as raw:
                raw.send(target)
                status, head = raw.head()
                assert (status, head["connection"]) == (200, "close")
                raw.read_until(b"\nid: ")
                fastapi.post("/publish/user/7/mail", target)
                raw.read_until(f"data: {target}\n".encode())
        assert fastapi.get("/events?topic=user/8/mail").status_code == 403
        fastapi.end()
        assert "Traceback" not in fastapi.log()
    finally:
        fastapi.kill()


def test_the_run_of_a_model_is_that_of_the_example() -> None:
    example = (PYTHON / "examples" / "model_run.py").read_text(encoding="utf-8")
    shown = block(ASYNC, "async def open_run")
    assert [part for part in shown.split("\n\n\n") if part.strip() not in example] == []


def test_aiohttp(tmp_path: Path) -> None:
    file = tmp_path / "documented_app.py"
    file.write_text(block(ASYNC, "async def news(request: web.Request)") + AIOHTTP)
    server = Server("aiohttp", "auto", app=str(file))
    try:
        with Raw(server.port) as raw:
            raw.send("/news")
            status, head = raw.head()
            assert (status, head["connection"]) == (200, "close")
            raw.read_until(b"\nid: ")
            server.post("/publish", "hello")
            raw.read_until(b"data: hello\n")
        server.end()
        assert "Traceback" not in server.log()
    finally:
        server.kill()


def test_nginx_passes_streams_on_and_says_who_the_client_is(
    fastapi: Server, tmp_path: Path
) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "run tests/setup"
    location = block(ASYNC, "proxy_pass", "nginx")
    assert ":8000" in location
    try:
        fastapi.wait_until_it_answers("/addresses")
        location = location.replace(":8000", f":{fastapi.port}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        conf = tmp_path / "nginx.conf"
        conf.write_text(NGINX.format(folder=tmp_path, port=port, location=location))
        log = tmp_path / "nginx.log"
        with log.open("wb") as out:
            proxy = subprocess.Popen(
                [nginx, "-c", str(conf), "-p", str(tmp_path)], stdout=out, stderr=out
            )
        try:
            wait_until("nginx", lambda: "start worker process" in log.read_text())
            with Raw(port) as raw:
                raw.send("/mail", "X-Forwarded-For: 192.0.2.7")
                status, head = raw.head()
                assert status == 200
                assert head["content-type"] == "text/event-stream"
                raw.read_until(b"\nid: ")
                # The client is on this machine, and is believed as nginx is.
                assert fastapi.get("/addresses").json() == ["192.0.2.7:0"]
                fastapi.post("/publish/user/7/mail", "through nginx")
                raw.read_until(b"data: through nginx\n")
            wait_until("its end", lambda: fastapi.get("/addresses").json() == [])
        finally:
            proxy.terminate()
            proxy.wait()
    finally:
        fastapi.kill()
