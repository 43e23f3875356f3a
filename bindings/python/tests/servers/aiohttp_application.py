"""The same application for aiohttp's server: ``python aiohttp_application.py``."""

from __future__ import annotations

import os
from typing import cast

from aiohttp import web

from fanfare import Grant, Hub
from fanfare.aiohttp import HandoverMode, event_stream

MODE = cast(HandoverMode, os.environ.get("HANDOVER", "auto"))

hub = Hub(shards=1, lag_bytes_max=100_000, lag_grace_ms=0)
run_hub = Hub(shards=1)
small_hub = Hub(shards=1, connections_max=1)
closed_hub = Hub(shards=1)
closed_hub.close()
routes = web.RouteTableDef()
done: list[str] = []


@routes.route("*", "/events/{topic:.*}")
async def events(request: web.Request) -> web.StreamResponse:
    said = await request.json() if request.method == "POST" else {}
    topic = request.match_info["topic"]
    mine = {"X-Mine": said.get("mine", "yes"), "Set-Cookie": "seen=1; Path=/; SameSite=lax"}
    try:
        return await event_stream(request, hub, topic, handover=MODE, headers=mine, tag="client")
    finally:
        done.append(topic)


@routes.post("/unread/{topic}")
async def unread(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, hub, request.match_info["topic"], handover=MODE)


@routes.get("/chosen")
async def chosen(request: web.Request) -> web.StreamResponse:
    grant = Grant(["news", "user/7/#"])
    return await event_stream(request, hub, grant, query_topics=True, handover=MODE)


@routes.get("/run")
async def run(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, run_hub, "run", start="earliest", handover=MODE)


@routes.post("/run/publish")
async def run_publish(request: web.Request) -> web.Response:
    name = request.query.get("name")
    return web.json_response(run_hub.publish("run", await request.read(), name=name))


@routes.post("/run/finish")
async def run_finish(_: web.Request) -> web.Response:
    return web.json_response(run_hub.finish("run", "end"))


@routes.get("/small")
async def small(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, small_hub, "news", handover=MODE)


@routes.get("/closed")
async def closed(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, closed_hub, "news", handover=MODE)


@routes.get("/required/{topic}")
async def required(request: web.Request) -> web.StreamResponse:
    return await event_stream(request, hub, request.match_info["topic"], handover="require")


@routes.get("/plain")
async def plain(_: web.Request) -> web.Response:
    return web.json_response("plain")


@routes.post("/publish/{topic:.*}")
async def publish(request: web.Request) -> web.Response:
    topic, name = request.match_info["topic"], request.query.get("name")
    data = await request.read()
    return web.json_response(await hub.publish_async(topic, data, name=name, timeout=60))


@routes.post("/finish/{topic:.*}")
async def finish(request: web.Request) -> web.Response:
    return web.json_response(hub.finish(request.match_info["topic"], "end"))


@routes.get("/state")
async def state(_: web.Request) -> web.Response:
    metrics = hub.metrics()
    return web.json_response(
        {
            "connections": metrics.connections + small_hub.metrics().connections,
            "disconnects": dict(metrics.disconnects),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "done": done,
        }
    )


async def add_fields(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Stamp"] = "stamped"
    if request.headers.get("Origin") == "https://app.example":
        response.headers["Access-Control-Allow-Origin"] = "https://app.example"


async def close(_: web.Application) -> None:
    await hub.close_async()
    await run_hub.close_async()
    await small_hub.close_async()


app = web.Application(client_max_size=4 << 20)
app.on_response_prepare.append(add_fields)
app.on_cleanup.append(close)
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=0)
