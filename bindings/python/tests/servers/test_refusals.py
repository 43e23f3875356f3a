"""What the engine, or the system, refuses: the connection stays the server's."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from client import DEADLINE_S

from fanfare import BusyError, ClosedError, Hub, LimitError, PerProcess, UnsentSocketError
from fanfare._native import lib
from fanfare.aiohttp import event_stream
from fanfare.asgi import EventStream

Serving = Callable[[Hub | PerProcess], Any]


@asynccontextmanager
async def aiohttp_server(hub: Hub | PerProcess) -> AsyncIterator[int]:
    async def stream(request: web.Request) -> web.StreamResponse:
        return await event_stream(request, hub, "news", overload="unavailable")

    runner = web.AppRunner(app_of(stream))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def uvicorn_server(hub: Hub | PerProcess) -> AsyncIterator[int]:
    app = EventStream(hub, "news", overload="unavailable")
    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def app_of(stream: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/", stream)])
    return app


SERVERS = pytest.mark.parametrize("serving", [aiohttp_server, uvicorn_server])


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main(), DEADLINE_S)

    asyncio.run(bounded())


def refusing(problem: Exception) -> Callable[..., Any]:
    def refuse(*_args: object, **_more: object) -> None:
        raise problem

    return refuse


@SERVERS
@pytest.mark.parametrize("refusal", ["descriptors", "busy", "limit", "closed"])
def test_a_client_that_cannot_be_served_now_is_told_so_by_the_server(
    serving: Serving, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = {
        "busy": BusyError(lib.FANFARE_ERR_BUSY),
        "limit": LimitError(lib.FANFARE_ERR_LIMIT),
        "closed": ClosedError(lib.FANFARE_ERR_CLOSED),
    }

    async def main() -> None:
        with Hub(shards=1) as hub:
            async with serving(hub) as port, client(port) as asks:
                assert (await asks.head("/")).status_code == 200
                before = descriptors()
                with monkeypatch.context() as patched:
                    if refusal == "descriptors":
                        full = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                        patched.setattr(os, "dup", refusing(full))
                    else:
                        patched.setattr(hub, "adopt", refusing(problems[refusal]))
                    answer = await asks.get("/")
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
                assert descriptors() == before
                async with asks.stream("GET", "/") as stream:
                    assert stream.status_code == 200
                    assert stream.headers["connection"] == "close"

    run(main)


@SERVERS
def test_what_the_engine_cannot_send_the_server_sends(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with Hub(shards=1) as hub:
            refused = UnsentSocketError(lib.FANFARE_ERR_SOCKET_UNSENT)
            monkeypatch.setattr(hub, "adopt", refusing(refused))
            async with serving(hub) as port, client(port) as asks:
                assert (await asks.head("/")).status_code == 200
                before = descriptors()
                async with asks.stream("GET", "/") as stream:
                    assert stream.headers["transfer-encoding"] == "chunked"
                    assert "connection" not in stream.headers
                    assert descriptors() <= before + 2  # the queue of notices
                    hub.finish("news", "the last")
                    assert "data: the last\n" in (await stream.aread()).decode()

    run(main)


@SERVERS
def test_the_hub_may_be_the_one_of_this_process(serving: Serving) -> None:
    hub = PerProcess(lambda: Hub(shards=1), drain_ms=0)

    async def main() -> None:
        async with (
            serving(hub) as port,
            client(port) as asks,
            asks.stream("GET", "/") as stream,
        ):
            hub.get().finish("news", "the last")
            assert "data: the last\n" in (await stream.aread()).decode()

    try:
        run(main)
    finally:
        hub.close()


def test_a_server_of_aiohttps_that_has_ended_is_freed() -> None:
    async def main() -> weakref.ref[Any]:
        with Hub(shards=1) as hub:

            async def stream(request: web.Request) -> web.StreamResponse:
                servers.append(weakref.ref(request.protocol._manager))
                return await event_stream(request, hub, "news", handover="never")

            servers: list[weakref.ref[Any]] = []
            async with TestClient(TestServer(app_of(stream))) as asks:
                for _ in range(2):
                    answer = await asks.get("/")
                    assert await answer.content.readuntil(b"id: ")
                    answer.close()
            assert servers[0] is servers[1]
            return servers[0]

    server = asyncio.run(main())
    gc.collect()
    assert server() is None


def descriptors() -> int:
    gc.collect()  # those of earlier tests
    return len(os.listdir("/proc/self/fd"))


def client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, trust_env=False
    )
