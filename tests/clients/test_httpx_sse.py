"""httpx-sse: what Python programs read event streams with."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse

from server import CASES, DEADLINE_S, Case, Server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_httpx_sse_reads(server: Server, case: Case) -> None:
    with (
        httpx.Client(timeout=DEADLINE_S) as client,
        connect_sse(client, "GET", server.events("text")) as source,
    ):
        assert source.response.http_version == "HTTP/1.1"
        events = source.iter_sse()
        published_id = server.publish_case("text", case)
        got = next(event for event in events if event.retry is None)
    assert got.data == case.arrives
    assert (got.event, got.id) == (case.event or "message", published_id)


def test_asynchronous_clients_hear_their_topics_in_the_order_of_publishing(server: Server) -> None:
    async def listen(
        client: httpx.AsyncClient, ready: asyncio.Semaphore, *topics: str
    ) -> list[str]:
        async with aconnect_sse(client, "GET", server.events(*topics)) as source:
            ready.release()
            heard: list[ServerSentEvent] = []
            async for event in source.aiter_sse():
                heard += [event] if event.data else []
                if event.data == "the end":
                    return [event.data for event in heard]
        raise AssertionError("the stream ended")

    async def main() -> list[list[str]]:
        ready = asyncio.Semaphore(0)
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(listen(client, ready, *topics, "end"))
                for topics in (["a"], ["grüße & co/🎺"], ["a", "grüße & co/🎺"])
            ]
            for _ in tasks:
                await asyncio.wait_for(ready.acquire(), DEADLINE_S)
            for i in range(20):
                topic = ["a", "grüße & co/🎺"][i % 2]
                await asyncio.to_thread(server.publish, topic, str(i))
            await asyncio.to_thread(server.publish, "end", "the end")
        return [task.result() for task in tasks]

    even, odd, both = asyncio.run(asyncio.wait_for(main(), DEADLINE_S))
    assert even == [*map(str, range(0, 20, 2)), "the end"]
    assert odd == [*map(str, range(1, 20, 2)), "the end"]
    assert both == [*map(str, range(20)), "the end"]


def test_a_heartbeat_keeps_a_quiet_stream_from_timing_out(start: Callable[..., Server]) -> None:
    server = start("--heartbeat", "200ms")
    with (
        httpx.Client(timeout=httpx.Timeout(DEADLINE_S, read=2.0)) as client,
        client.stream("GET", server.events("quiet")) as response,
    ):
        text = response.iter_text()
        seen = ""
        while seen.count("\n:") < 15:  # three seconds, in which only comments come
            seen += next(text)
    assert all(line.startswith((":", "retry: ")) for line in seen.splitlines() if line)
