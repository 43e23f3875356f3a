"""Reads an event stream with one package of PyPI's, and prints what a program that uses it sees: a
line of JSON for each event. A package that does not reconnect by itself is given the id that it
knows.

    python heartbeat_client.py PACKAGE URL
"""

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import NoReturn

import httpx
import requests

DEADLINE_S = 60.0


def see(event: str | None, data: str | None) -> None:
    print(json.dumps({"event": event or "message", "data": data or ""}), flush=True)


def with_id(last_id: str | None) -> dict[str, str]:
    return {"Last-Event-ID": last_id} if last_id else {}


def httpx_sse(url: str) -> NoReturn:
    from httpx_sse import connect_sse

    last_id = ""
    with httpx.Client(timeout=DEADLINE_S) as client:
        while True:
            # As text it takes ASCII alone.
            headers = {name.encode(): id_.encode() for name, id_ in with_id(last_id).items()}
            with connect_sse(client, "GET", url, headers=headers) as source:
                for event in source.iter_sse():
                    last_id = event.id
                    see(event.event, event.data)


def sseclient_py(url: str) -> NoReturn:
    from sseclient import SSEClient

    last_id: str | None = None
    while True:
        with requests.get(url, headers=with_id(last_id), stream=True, timeout=DEADLINE_S) as answer:
            for event in SSEClient(answer.iter_content(None)).events():
                last_id = event.id or last_id
                see(event.event, event.data)


def sseclient(url: str) -> None:
    # Its reconnections are told to standard output.
    with contextlib.redirect_stdout(sys.stderr):
        for event in module_of("sseclient").SSEClient(url, retry=100):
            with contextlib.redirect_stdout(sys.__stdout__):
                see(event.event, event.data)


def module_of(distribution: str) -> ModuleType:
    """The module of a distribution whose name another one's package has as well."""
    files = importlib.metadata.files(distribution) or []
    path = next(file.locate() for file in files if file.name == f"{distribution}.py")
    spec = importlib.util.spec_from_file_location(f"{distribution}_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def aiosseclient(url: str) -> None:
    from aiosseclient import aiosseclient as stream_of

    async def listen() -> NoReturn:
        last_id: str | None = None
        while True:
            async for event in stream_of(url, last_id=last_id):
                last_id = event.id or last_id
                see(event.event, event.data)

    asyncio.run(listen())


def aiohttp_sse_client2(url: str) -> None:
    from aiohttp_sse_client2.client import EventSource

    async def listen() -> None:
        soon = timedelta(milliseconds=100)
        async with EventSource(url, reconnection_time=soon) as source:
            async for event in source:
                see(event.type, event.data)

    asyncio.run(listen())


def launchdarkly_eventsource(url: str) -> None:
    from ld_eventsource import SSEClient
    from ld_eventsource.config import ErrorStrategy

    errors = ErrorStrategy.always_continue()
    for event in SSEClient(url, initial_retry_delay=0.1, error_strategy=errors).events:
        see(event.event, event.data)


CLIENTS: dict[str, Callable[[str], None]] = {
    "httpx-sse": httpx_sse,
    "sseclient-py": sseclient_py,
    "sseclient": sseclient,
    "aiosseclient": aiosseclient,
    "aiohttp-sse-client2": aiohttp_sse_client2,
    "launchdarkly-eventsource": launchdarkly_eventsource,
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](sys.argv[2])
