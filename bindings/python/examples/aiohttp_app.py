"""aiohttp: a clock that all look at.

Run it with ``python aiohttp_app.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator

from aiohttp import web

from fanfare import Hub
from fanfare.aiohttp import event_stream

HUB = web.AppKey("HUB", Hub)


async def clock(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, request.app[HUB], "clock", start="latest")


async def tick(hub: Hub) -> None:
    while True:
        hub.publish("clock", time.strftime("%H:%M:%S"))
        await asyncio.sleep(1)


async def engine(app: web.Application) -> AsyncIterator[None]:
    async with Hub() as hub:
        app[HUB] = hub
        task = asyncio.create_task(tick(hub))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(engine)
    app.router.add_get("/clock", clock)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
