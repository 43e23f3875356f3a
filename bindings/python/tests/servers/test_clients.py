"""What clients that others wrote read of streams, handed over and sent by the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from aiohttp_sse_client2.client import EventSource
from client import DEADLINE_S
from httpx_sse import connect_sse
from ld_eventsource import SSEClient
from ld_eventsource.actions import Event
from running import Server

KINDS = [
    ("uvicorn-httptools-uvloop", "auto"),
    ("uvicorn-httptools-uvloop", "never"),
    ("aiohttp", "auto"),
    ("aiohttp", "never"),
]


class Case(NamedTuple):
    """A text that every client has to read as it was published."""

    name: str | None
    data: str
    arrives: str


def cases() -> list[Case]:
    file = Path(__file__).parents[4] / "tests/conformance/texts.json"
    made = []
    for case in json.loads(file.read_text("utf-8")):
        times, data = case.get("times", 1), case["data"]
        arrives = case.get("arrives", data)
        made.append(Case(case.get("event"), data * times, arrives * times))
    return made


CASES = cases()
Read = Callable[[str, int], list[tuple[str, str]]]


def httpx_sse(url: str, count: int) -> list[tuple[str, str]]:
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        connect_sse(client, "GET", url) as source,
    ):
        events = source.iter_sse()
        # It gives the block without data as well with which the stream begins.
        got = [(event.event, event.data) for event in events if event.retry is None]
        assert len(got) == count
        return got


def launchdarkly(url: str, count: int) -> list[tuple[str, str]]:
    with SSEClient(url) as client:
        events: Iterator[Event] = iter(client.events)
        return [(event.event, event.data) for event, _ in zip(events, range(count), strict=False)]


def aiohttp_sse_client2(url: str, count: int) -> list[tuple[str, str]]:
    async def listen() -> AsyncIterator[tuple[str, str]]:
        async with EventSource(url, reconnection_time=timedelta(milliseconds=10)) as source:
            async for event in source:
                yield event.type or "message", event.data

    async def main() -> list[tuple[str, str]]:
        got: list[tuple[str, str]] = []
        async for event in listen():
            got.append(event)
            if len(got) == count:
                break
        return got

    return asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


@pytest.fixture(scope="module", params=KINDS, ids=lambda both: "-".join(both))
def told(
    request: pytest.FixtureRequest,
) -> Iterator[Server]:
    """A server whose topic ``run`` has all cases, and is finished."""
    kind, mode = request.param
    server = Server(kind, mode)
    try:
        server.wait_until_it_answers()
        for case in CASES:
            params = {"name": case.name} if case.name else {}
            server.post("/run/publish", case.data.encode(), **params)
        server.post("/run/finish")
        yield server
    finally:
        server.kill()


def stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n")).rstrip("\n")


@pytest.mark.parametrize("read", [httpx_sse, launchdarkly, aiohttp_sse_client2])
def test_clients_read_what_was_published(told: Server, read: Read) -> None:
    expected = [(case.name or "message", case.arrives) for case in CASES] + [("message", "end")]
    got = read(f"{told.url}/run", len(expected))
    if read is aiohttp_sse_client2:  # it drops white space around lines
        assert len(got) == len(expected)
        both = [(g, e) for g, e in zip(got, expected, strict=True) if e[1] == stripped(e[1])]
        got, expected = [g for g, _ in both], [e for _, e in both]
        assert len(got) > 10
    assert got == expected
