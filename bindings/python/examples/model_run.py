"""A language model's run that outlives its client's connection, with FastAPI.

``POST /runs`` opens a run and answers with its stream. The model writes into a topic of its own
however many read it: a client that lost its connection, or whose page was loaded anew, goes on with
``GET /runs/ID``, from its ``Last-Event-ID`` or else from the beginning. When the run is over its
topic is finished: the stream ends, and one that comes back with the last id is answered 204.

Run it with ``uvicorn model_run:app``, and open http://127.0.0.1:8000.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from pydantic import BaseModel

from fanfare import FinishedError, Hub
from fanfare.asgi import EventStream, Handover

PAUSE_S = float(os.environ.get("PAUSE_S", "0.1"))

#: A run's events are kept for an hour: what is not kept cannot be gone on with. The hub is made as
#: this is imported, so a server that forks its workers has to import it after that.
hub = Hub(history_age_max_ms=3_600_000, finished_age_max_ms=3_600_000)
hub.set_rule("run/#", history_events_max=100_000, history_bytes_max=4 << 20)
runs: dict[str, asyncio.Task[None]] = {}
RUNS_MAX = 10_000


class Prompt(BaseModel):
    text: str


async def model(prompt: str) -> AsyncIterator[str]:
    """A stand-in for a model: it says what it was told, word by word."""
    for word in f"You said: {prompt}".split():
        await asyncio.sleep(PAUSE_S)
        yield f"{word} "


async def run(topic: str, prompt: str) -> None:
    try:
        async for token in model(prompt):
            await hub.publish_async(topic, json={"token": token})
        await hub.finish_async(topic, "", name="done")
    except BaseException:  # cancelled, or failed, for a reason that is not for the client
        with suppress(FinishedError):
            await hub.finish_async(topic, "", name="failed", timeout=1)
        raise


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    for task in runs.values():
        task.cancel()
    await asyncio.gather(*runs.values(), return_exceptions=True)
    await hub.close_async()


app = FastAPI(lifespan=lifespan)


@app.post("/runs")
async def open_run(prompt: Prompt) -> EventStream:
    if len(runs) == RUNS_MAX:  # the oldest is forgotten
        runs.pop(next(iter(runs))).cancel()
    run_id = secrets.token_urlsafe(16)  # a client that knows it may read the run
    runs[run_id] = asyncio.create_task(run(f"run/{run_id}", prompt.text))
    location = {"Location": f"/runs/{run_id}"}
    return EventStream(hub, f"run/{run_id}", start="earliest", headers=location)


@app.get("/runs/{run_id}")
async def follow_run(run_id: str) -> EventStream:
    if run_id not in runs:
        raise HTTPException(404, "there is no such run, or it was long ago")
    return EventStream(hub, f"run/{run_id}", start="earliest")


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_suffix(".html"))


app.add_middleware(Handover)
