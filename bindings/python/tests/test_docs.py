"""What the README and the page of asynchronous servers show of a hub, as it is there."""

from __future__ import annotations

import socket
import subprocess
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from client import events, wait_until
from documented import ASYNC, README, block, run_block
from loops import Run, run  # noqa: F401 (a fixture)
from test_authorizing import ask

import fanfare

NAMES = {name: getattr(fanfare, name) for name in fanfare.__all__}


def test_the_quick_start_tells_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = block(README, "time.strftime").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    line = block(README, "/events?topic=time", "sh").replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    with subprocess.Popen([sys.executable, "-c", code]) as program:
        try:
            command = f"{line.strip()} -s --retry 100 --retry-connrefused --retry-delay 0"
            with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE) as curl:
                assert curl.stdout is not None
                seen = b""
                while b"data: " not in seen:
                    piece = curl.stdout.readline()
                    assert piece, seen
                    seen += piece
                curl.terminate()
        finally:
            program.terminate()


class Sessions:
    """Who a client is, by its cookie."""

    async def find(self, cookie: str | None) -> Any:  # noqa: ANN401 (what the program makes of it)
        await anyio.sleep(0)
        return SimpleNamespace(id=7) if cookie == "me" else None


async def check(port: int) -> None:
    for query, cookie, status in (
        ("topic=user/7/mail", "me", 200),
        ("topic=user/8/mail", "me", 403),
        ("topic=user/7/mail", "", 401),
    ):
        answer = await anyio.to_thread.run_sync(partial(ask, port, query, cookie=cookie))
        assert answer.status_code == status


def test_a_coroutine_publishes(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        names = dict(NAMES)
        await run_block(block(README, "waits for space"), names)
        assert names["hub"].metrics().published_events == 1

    run(main)


def test_the_authorizer_of_the_readme_decides(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async with fanfare.Hub(shards=1) as hub:
            names: dict[str, Any] = {"hub": hub, "sessions": Sessions()}
            await run_block(block(README, "@hub.authorize"), names)
            await check(names["listener"].port)

    run(main)


def test_the_authorizer_of_the_page_decides(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        async def serve() -> None:
            await check(names["listener"].port)

        names: dict[str, Any] = NAMES | {"sessions": Sessions(), "serve": serve}
        await run_block(block(ASYNC, "@hub.authorize"), names)
        assert names["hub"].metrics().accepted_connections == 1

    run(main)


def test_a_stream_is_sent_by_hand(run: Run) -> None:  # noqa: F811
    async def main() -> None:
        sent = b""

        async def send(batch: bytes) -> None:
            nonlocal sent
            sent += batch

        with fanfare.Hub(shards=1) as hub:
            request = SimpleNamespace(headers={"last-event-id": hub.publish("news", "one")})
            hub.publish("news", "two")
            hub.finish("news")
            names = {"hub": hub, "request": request, "send": send}
            await run_block(block(README, "hub.subscribe("), names)
        assert b"data: two\n" in sent
        assert b"data: one\n" not in sent

    run(main)


@pytest.mark.parametrize("interested", [True, False])
def test_a_hub_tells_its_notices(run: Run, interested: bool) -> None:  # noqa: F811
    async def main() -> None:
        with fanfare.Hub(shards=1) as hub:
            topic = "sensor/1" if interested else "news"
            port = hub.listen().port

            def come_and_go() -> None:
                wait_until("the notices", lambda: hub.metrics().interest_watchers == 1)
                with events(port, topic):
                    # A topic that is not wanted any more when it is looked at is told of no more.
                    told = "topic" if interested else "addr"
                    wait_until("what is told of it", lambda: told in names)
                wait_until("its end", lambda: "reason" in names)

            names: dict[str, Any] = NAMES | {"hub": hub}
            async with anyio.create_task_group() as group:
                group.start_soon(run_block, block(README, "async for notice"), names)
                await anyio.to_thread.run_sync(come_and_go)
                await hub.close_async()
            assert names["reason"] == "client_closed"
            assert ("topic" in names and names["topic"] == topic) == interested

    run(main)
