"""The application that the tests run under each server: FastAPI with as many middlewares as one has.

The environment variable ``HANDOVER`` says the mode, and ``LAYERS`` which middlewares there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from fanfare import Grant, Hub
from fanfare.asgi import EventStream, Handover, HandoverMode


MODE: HandoverMode = os.environ.get("HANDOVER", "auto")  # type: ignore[assignment]
LAYERS = os.environ.get("LAYERS", "")
LIMIT = int(os.environ.get("CONNECTIONS_MAX", "100000"))

hub = Hub(shards=1, connections_max=LIMIT, heartbeat_ms=int(os.environ.get("HEARTBEAT", "15000")))
done: list[str] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await hub.close_async()


app = FastAPI(lifespan=lifespan)


@app.api_route("/events/{topic:path}", methods=["GET", "POST", "HEAD", "PUT"])
async def events(topic: str, request: Request) -> EventStream:
    said = json.loads(await request.body() or b"{}") if request.method == "POST" else {}
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


@app.post("/unread")
async def unread() -> EventStream:
    return EventStream(hub, "news", handover=MODE)


@app.get("/chosen")
async def chosen() -> EventStream:
    return EventStream(hub, Grant(["news", "user/7/#"]), query_topics=True, handover=MODE)


@app.get("/plain")
async def plain() -> str:
    return "plain"


@app.post("/publish/{topic:path}")
async def publish(topic: str, request: Request) -> str:
    return hub.publish(topic, await request.body(), name=request.query_params.get("name"))


@app.post("/finish/{topic:path}")
async def finish(topic: str) -> str:
    return hub.finish(topic, "end") or ""


@app.get("/state")
async def state() -> dict[str, object]:
    metrics = hub.metrics()
    return {
        "connections": metrics.connections,
        "disconnects": dict(metrics.disconnects),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "done": done,
        "pid": os.getpid(),
    }


class Stamp(BaseHTTPMiddleware):
    """What hides the server's ``send`` from what is within."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["X-Stamp"] = "stamped"
        return response


if "base" in LAYERS:
    app.add_middleware(Stamp)
if "gzip" in LAYERS:
    app.add_middleware(GZipMiddleware)
if "cors" in LAYERS:
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
if "more" in LAYERS:
    app.add_middleware(Stamp)
if "handover" in LAYERS:
    app.add_middleware(Handover)
