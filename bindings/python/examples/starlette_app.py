"""Starlette: each user's own events, and the news.

Run it with ``uvicorn starlette_app:app``, or under any other server of ASGI.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fanfare import Grant, Hub
from fanfare.asgi import EventStream, Handover

USERS = {"secret-of-ada": "ada", "secret-of-bob": "bob"}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Hub() as app.state.hub:
        yield


async def events(request: Request) -> Response:
    """Without a query it is all that the user may see, with ``?topic=news`` a part of it."""
    user = USERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))
    if user is None:
        return PlainTextResponse("Who are you?", 401, {"WWW-Authenticate": "Bearer"})
    until = time.time() + 3600
    grant = Grant(["news", f"user/{user}/#"], tag=f"user {user}", expires_at=until)
    return EventStream(request.app.state.hub, grant, query_topics=True)


async def publish(request: Request) -> Response:
    topic = request.path_params["topic"]
    event_id = await request.app.state.hub.publish_async(topic, await request.body(), timeout=1)
    return PlainTextResponse(event_id)


app = Starlette(
    routes=[
        Route("/events", events),
        Route("/publish/{topic:path}", publish, methods=["POST"]),
    ],
    middleware=[Middleware(Handover)],  # the first of them is the outermost
    lifespan=lifespan,
)
