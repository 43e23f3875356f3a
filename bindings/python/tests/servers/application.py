"""The application that the tests run under each server: Starlette with middlewares.

The environment variable ``HANDOVER`` says the mode; ``HIDDEN`` leaves out what reaches connections
behind middlewares, and ``BARE`` all middlewares.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fanfare import Grant, Hub
from fanfare.asgi import EventStream, Handover, HandoverMode

MODE = cast(HandoverMode, os.environ.get("HANDOVER", "auto"))

hub = Hub(shards=1, lag_bytes_max=100_000, lag_grace_ms=0)
run_hub = Hub(shards=1)
small_hub = Hub(shards=1, connections_max=1)
closed_hub = Hub(shards=1)
closed_hub.close()
done: list[str] = []


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    yield
    await hub.close_async()
    await run_hub.close_async()
    await small_hub.close_async()


async def events(request: Request) -> Response:
    said = await request.json() if request.method == "POST" else {}
    topic = request.path_params["topic"]
    stream = EventStream(
        hub,
        topic,
        handover=MODE,
        headers={"X-Mine": said.get("mine", "yes")},
        tag="client",
        background=BackgroundTask(done.append, topic),
    )
    stream.set_cookie("seen", "1")
    return stream


async def unread(request: Request) -> Response:
    return EventStream(hub, request.path_params["topic"], handover=MODE)


async def chosen(_: Request) -> Response:
    return EventStream(hub, Grant(["news", "user/7/#"]), query_topics=True, handover=MODE)


async def run(_: Request) -> Response:
    return EventStream(run_hub, "run", start="earliest", handover=MODE)


async def run_publish(request: Request) -> Response:
    name = request.query_params.get("name")
    return JSONResponse(run_hub.publish("run", await request.body(), name=name))


async def run_finish(_: Request) -> Response:
    return JSONResponse(run_hub.finish("run", "end"))


async def small(_: Request) -> Response:
    return EventStream(small_hub, "news", handover=MODE)


async def closed(_: Request) -> Response:
    return EventStream(closed_hub, "news", handover=MODE)


async def required(request: Request) -> Response:
    return EventStream(hub, request.path_params["topic"], handover="require")


async def late(_: Request) -> Response:
    done.append("late")
    await asyncio.sleep(1)
    return EventStream(hub, "news", handover=MODE)


async def plain(_: Request) -> Response:
    return JSONResponse("plain")


async def publish(request: Request) -> Response:
    topic, name = request.path_params["topic"], request.query_params.get("name")
    data = await request.body()
    return JSONResponse(await hub.publish_async(topic, data, name=name, timeout=60))


async def finish(request: Request) -> Response:
    return JSONResponse(hub.finish(request.path_params["topic"], "end"))


async def state(_: Request) -> Response:
    metrics = hub.metrics()
    return JSONResponse(
        {
            "connections": metrics.connections + small_hub.metrics().connections,
            "disconnects": dict(metrics.disconnects),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "done": done,
        }
    )


class Stamp(BaseHTTPMiddleware):
    """What hides the server's ``send`` from what is within."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["X-Stamp"] = "stamped"
        return response


layers = [
    Middleware(Stamp),
    Middleware(CORSMiddleware, allow_origins=["https://app.example"]),
    Middleware(GZipMiddleware),
    Middleware(Stamp),
]
if "BARE" in os.environ:
    layers = []
elif "HIDDEN" not in os.environ:
    layers.insert(0, Middleware(Handover))

app = Starlette(
    routes=[
        Route("/events/{topic:path}", events, methods=["GET", "POST", "HEAD", "PUT"]),
        Route("/unread/{topic}", unread, methods=["POST"]),
        Route("/chosen", chosen),
        Route("/run", run),
        Route("/run/publish", run_publish, methods=["POST"]),
        Route("/run/finish", run_finish, methods=["POST"]),
        Route("/small", small),
        Route("/closed", closed),
        Route("/required/{topic}", required),
        Route("/late", late),
        Route("/plain", plain),
        Route("/publish/{topic:path}", publish, methods=["POST"]),
        Route("/finish/{topic:path}", finish, methods=["POST"]),
        Route("/state", state),
    ],
    middleware=layers,
    lifespan=lifespan,
)
