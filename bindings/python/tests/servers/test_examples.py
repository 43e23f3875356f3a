"""The applications of the examples, as they are."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from client import DEADLINE_S
from httpx_sse import connect_sse
from running import PYTHON, Server

EXAMPLES = PYTHON / "examples"
UVICORN = "uvicorn-httptools-uvloop"


@pytest.fixture(scope="module")
def examples() -> Iterator[dict[str, Server]]:
    started = {
        "fastapi": Server(UVICORN, "auto", app="fastapi_app:app"),
        "starlette": Server(UVICORN, "auto", app="starlette_app:app"),
        "run": Server(UVICORN, "auto", app="model_run:app", PAUSE_S="0.02"),
        "aiohttp": Server("aiohttp", "auto", app=str(EXAMPLES / "aiohttp_app.py"), PORT="0"),
    }
    yield started
    for server in started.values():
        server.kill()


def events(
    url: str, count: int | None = None, method: str = "GET", **options: object
) -> list[tuple[str, str, str]]:
    """Ids, names and data of the first events, or of all of a stream that ends."""
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, method, url, **options) as source,
    ):
        assert source.response.headers["connection"] == "close"  # the engine has it
        got = []
        for event in source.iter_sse():
            if event.data or event.event != "message":
                got.append((event.id, event.event, event.data))
            if len(got) == count:
                break
        return got


def test_fastapi(examples: dict[str, Server]) -> None:
    server = examples["fastapi"]
    server.wait_until_it_answers("/")
    said = server.client.post(f"{server.url}/rooms/lobby", json="hello")
    assert events(f"{server.url}/rooms/lobby", 1) == [(said.json()["id"], "message", "hello")]
    assert server.get("/rooms/cellar").status_code == 404


def test_starlette(examples: dict[str, Server]) -> None:
    server, ada = examples["starlette"], {"Authorization": "Bearer secret-of-ada"}
    server.wait_until_it_answers("/events", 401)
    first = server.client.post(f"{server.url}/publish/news", content="a").text
    server.client.post(f"{server.url}/publish/user/ada/mail", content="b")
    server.client.post(f"{server.url}/publish/user/bob/mail", content="c")
    server.client.post(f"{server.url}/publish/news", content="d")
    back = {**ada, "Last-Event-ID": first}
    assert [e[2] for e in events(f"{server.url}/events", 2, headers=back)] == ["b", "d"]
    assert [e[2] for e in events(f"{server.url}/events?topic=news", 1, headers=back)] == ["d"]
    assert server.get("/events?topic=user/bob/mail", **ada).status_code == 403


def test_aiohttp(examples: dict[str, Server]) -> None:
    server = examples["aiohttp"]
    assert server.port
    (_, _, one), (_, _, two) = events(f"{server.url}/clock", 2)
    assert one < two or two.startswith("00:")


def test_a_models_run_is_opened_by_post_and_gone_on_with_by_get(
    examples: dict[str, Server],
) -> None:
    server = examples["run"]
    server.wait_until_it_answers("/")
    prompt = {"text": " ".join(map(str, range(30)))}
    # A client that leaves after some tokens, in the middle of the run.
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, "POST", f"{server.url}/runs", json=prompt) as source,
    ):
        run = server.url + source.response.headers["location"]
        begun = source.iter_sse()
        first = [next(event for event in begun if event.data) for _ in range(3)]
    rest = events(run, headers={"Last-Event-ID": first[-1].id})
    assert [name for _, name, _ in rest].count("done") == 1
    said = [event.data for event in first] + [data for _, name, data in rest if name == "message"]
    assert "".join(json.loads(data)["token"] for data in said) == f"You said: {prompt['text']} "
    # A page that is loaded anew has no id, and gets all of it.
    whole = events(run)
    assert [data for _, name, data in whole if name == "message"] == said
    # An EventSource that comes back when all is over is told not to.
    answer = server.get(run.removeprefix(server.url), **{"Last-Event-ID": whole[-1][0]})
    assert answer.status_code == 204
    assert server.get("/runs/unknown").status_code == 404


def test_a_models_run_that_fails_ends_and_tells_no_client_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("model_run")

    async def model(_prompt: str) -> AsyncIterator[str]:
        yield "one "
        raise RuntimeError("the key sk-123 is wrong")

    async def run() -> bytes:
        monkeypatch.setattr(example, "model", model)
        with pytest.raises(RuntimeError):
            await example.run("run/1", "a")
        with example.hub.subscribe("run/1", start="earliest") as stream:
            return b"".join([batch async for batch in stream])

    with example.hub:
        sent = asyncio.run(asyncio.wait_for(run(), DEADLINE_S))
    assert b"event: failed\n" in sent
    assert b"sk-123" not in sent
