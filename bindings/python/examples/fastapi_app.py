"""FastAPI: a page on which all who have it open see what anybody says.

Run it with ``uvicorn fastapi_app:app``, or under any other server of ASGI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware

from fanfare import FullError, Hub
from fanfare.asgi import EventStream, Handover

PAGE = """<!doctype html><meta charset="utf-8"><title>chat</title>
<form><input name="text" autofocus><button>say</button></form><ul></ul>
<script>
const [form, list] = [document.querySelector('form'), document.querySelector('ul')]
form.onsubmit = event => {
  event.preventDefault()
  fetch('/rooms/lobby', {method: 'POST', body: JSON.stringify(form.text.value),
                         headers: {'Content-Type': 'application/json'}})
  form.reset()
}
new EventSource('/rooms/lobby').onmessage = event => {
  list.appendChild(document.createElement('li')).textContent = event.data
}
</script>"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Hub() as app.state.hub:  # each worker process has its own
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.get("/rooms/{room}")
async def listen(room: str, request: Request) -> EventStream:
    if room not in ("lobby", "garden"):
        raise HTTPException(404)
    return EventStream(request.app.state.hub, f"room/{room}", start=20)


@app.post("/rooms/{room}")
async def say(room: str, request: Request, text: str = Body()) -> dict[str, str]:
    try:
        return {"id": request.app.state.hub.publish(f"room/{room}", text)}
    except FullError:
        raise HTTPException(503, "try again a little later") from None


app.add_middleware(GZipMiddleware)
app.add_middleware(Handover)  # the last, which is the outermost
