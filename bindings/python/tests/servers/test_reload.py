"""``uvicorn --reload``, and so ``fastapi dev``: a file is edited while a client listens."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from client import wait_until
from raw import Raw
from running import Server

APPLICATION = """
import os
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from fanfare import Hub
from fanfare.asgi import EventStream

{at_import}

@asynccontextmanager
async def lifespan(app):
    {in_lifespan}:
        yield

async def events(request):
    return EventStream(hub, "news", handover=os.environ["HANDOVER"])

async def publish(request):
    return JSONResponse(hub.publish("news", await request.body()))

async def state(request):
    return JSONResponse({{"version": {version}, "pid": os.getpid()}})

app = Starlette(
    routes=[
        Route("/events", events),
        Route("/publish", publish, methods=["POST"]),
        Route("/state", state),
    ],
    lifespan=lifespan,
)
"""
STYLES = {
    "a hub of the import": {"at_import": "hub = Hub(shards=1)", "in_lifespan": "async with hub"},
    "a hub of the lifespan": {
        "at_import": "hub = None",
        "in_lifespan": "global hub\n    async with Hub(shards=1) as hub",
    },
    "a hub that is never closed": {"at_import": "hub = Hub(shards=1)", "in_lifespan": "if True"},
}


def processes(mark: str) -> set[int]:
    """The processes that have a mark in their environment."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.add(int(folder.name))
    return found


@pytest.mark.parametrize(
    ("mode", "of"), [*(("require", of) for of in STYLES), ("never", "a hub of the lifespan")]
)
def test_a_reload_ends_the_old_worker_and_its_streams_and_the_new_one_serves(
    mode: str, of: str, tmp_path: Path
) -> None:
    mark, file, style = secrets.token_hex(8), tmp_path / "reloaded.py", STYLES[of]
    file.write_text(APPLICATION.format(version=1, **style))
    reloads = ["--reload", "--reload-dir", str(tmp_path), "--app-dir", str(tmp_path)]
    server = Server("uvicorn-h11-asyncio", mode, *reloads, app="reloaded:app", MARK=mark)

    def version() -> int:
        with suppress(httpx.TransportError):
            return int(server.get("/state").json()["version"])
        return 0

    try:
        server.wait_until_it_answers("/state")
        first = server.get("/state").json()
        assert first["version"] == 1
        with Raw(server.port) as raw:
            raw.send("/events")
            assert raw.head()[0] == 200
            raw.read_until(b"\nid: ")
            file.write_text(APPLICATION.format(version=2, **style))
            os.utime(file, (time.time() + 5, time.time() + 5))
            # Uvicorn's process ends by its signal: what is open then is broken off.
            assert raw.rest().endswith(b"0\r\n\r\n") == ("never closed" not in of)
        wait_until("the new worker", lambda: version() == 2)
        wait_until("the end of the old one", lambda: first["pid"] not in processes(mark))
        with Raw(server.port) as raw:
            raw.send("/events")
            assert raw.head()[0] == 200
            raw.read_until(b"\nid: ")
            server.post("/publish", "anew")
            raw.read_until(b"data: anew\n\n")
        assert server.get("/state").json()["pid"] in processes(mark)
        server.end()
        wait_until("the end of all processes", lambda: not processes(mark))
        assert "Traceback" not in server.log()
        assert "ERROR" not in server.log()
    finally:
        server.kill()
