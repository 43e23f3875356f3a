"""The application that the tests run under each server."""

from __future__ import annotations

import os
import threading
import time

from flask import Flask, request
from flask.typing import ResponseReturnValue

from fanfare import Grant, Hub, PerProcess
from fanfare.wsgi import NoSocketError, event_stream

app = Flask(__name__)
hub = PerProcess(drain_ms=100)
small = PerProcess(lambda: Hub(shards=1, connections_max=1), drain_ms=0)


@app.route("/streams/<topic>", methods=["GET", "POST", "PUT"])
def streams(topic: str) -> ResponseReturnValue:
    try:
        return event_stream(request, hub, topic)
    except NoSocketError as why:
        return why.response


@app.post("/read/<topic>")
def read(topic: str) -> ResponseReturnValue:
    return event_stream(request, hub, topic, headers={"X-Content": request.get_data(as_text=True)})


@app.route("/environ/<topic>", methods=["GET", "POST"])
def environ(topic: str) -> ResponseReturnValue:
    return event_stream(request.environ, hub, topic)


@app.get("/granted")
def granted() -> ResponseReturnValue:
    grant = Grant(["a", "b/#"], headers={"Set-Cookie": "seen=1"}, tag="granted", start="latest")
    return event_stream(request, hub, grant, headers={"X-More": "yes"})


@app.get("/expired")
def expired() -> ResponseReturnValue:
    return event_stream(request, hub, Grant("a", expires_at=time.time() - 1))


@app.get("/small")
def one_alone() -> ResponseReturnValue:
    return event_stream(request, small, "a")


@app.post("/publish/<topic>")
def publish(topic: str) -> ResponseReturnValue:
    return {"id": hub.get().publish(topic, request.get_data())}


@app.post("/finish/<topic>")
def finish(topic: str) -> ResponseReturnValue:
    return {"id": hub.get().finish(topic)}


@app.get("/stats")
def stats() -> ResponseReturnValue:
    return {
        "pid": os.getpid(),
        "connections": len(hub.get().connections()),
        "tags": [connection.tag for connection in hub.get().connections()],
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "cpu": time.process_time(),
    }
