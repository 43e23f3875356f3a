"""httpx-sse: what Python programs read event streams with."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from itertools import islice

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
        got = next(event for event in events if event.id == published_id)
    assert (got.event, got.data) == (case.event or "message", case.arrives)


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


@pytest.mark.parametrize(("kept", "heartbeat"), [("1000", r"id: \S+"), ("0", ":.*")])
def test_a_heartbeat_keeps_a_quiet_stream_from_timing_out(
    start: Callable[..., Server], kept: str, heartbeat: str
) -> None:
    server = start("--heartbeat", "200ms", "--history-events-max", kept)
    deadline = time.monotonic() + DEADLINE_S
    with (
        httpx.Client(timeout=httpx.Timeout(DEADLINE_S, read=2.0)) as client,
        client.stream("GET", server.events("quiet")) as response,
    ):
        text = response.iter_text()
        seen = ""
        # Three seconds, in which nothing else comes.
        while len(re.findall(rf"^{heartbeat}\n\n", seen, re.MULTILINE)) < 15:
            assert time.monotonic() < deadline, seen
            seen += next(text)
    assert re.fullmatch(rf"retry: \d+\n\n({heartbeat}\n\n)+", seen)


def test_blocks_that_fire_nothing_come_out_of_httpx_sse_without_data(
    start: Callable[..., Server],
) -> None:
    server = start("--heartbeat", "100ms")
    newest = server.publish("other", "x")
    with (
        httpx.Client(timeout=DEADLINE_S) as client,
        connect_sse(client, "GET", server.events("quiet")) as source,
    ):
        first, *more = islice(source.iter_sse(), 4)
    assert (first.data, first.id, first.retry is None) == ("", "", False)
    assert [(event.data, event.id) for event in more] == [("", newest)] * 3


def test_httpx_sse_misses_nothing_when_it_says_what_it_had_last(
    start: Callable[..., Server],
) -> None:
    server = start()
    numbers = [str(n) for n in range(1000)]
    lines = [json.dumps({"topic": "ab"[int(n) % 2], "data": n}) + "\n" for n in numbers]
    heard: list[str] = []
    last_id = ""
    with httpx.Client(timeout=DEADLINE_S) as client:
        for turn in range(21):
            headers = {"Last-Event-ID": last_id} if last_id else {}
            enough = min(len(heard) + 53, 50 * turn)
            with connect_sse(client, "GET", server.events("a", "b"), headers=headers) as source:
                # The first one leaves with nothing but an id, the others in the middle of it all.
                for event in source.iter_sse():
                    last_id = event.id
                    heard += [event.data] if event.data else []
                    if last_id and len(heard) >= enough:
                        break
            server.post(
                "/publish",
                "".join(lines[50 * turn : 50 * turn + 50]),
                Content_Type="application/x-ndjson",
            )
    assert heard == numbers


def test_httpx_sse_is_told_first_when_the_server_was_restarted(
    start: Callable[..., Server],
) -> None:
    last_id = start().publish("a", "in another life")
    server = start()
    ids = [server.publish("a", "one"), server.publish("a", "two")]
    with (
        httpx.Client(timeout=DEADLINE_S) as client,
        connect_sse(
            client, "GET", server.events("a"), headers={"Last-Event-ID": last_id}
        ) as source,
    ):
        events = (event for event in source.iter_sse() if event.data)
        told, *rest = islice(events, 3)
    assert told.event == "fanfare-gap"
    to = ids[0].replace("-1", "-0")
    assert told.json() == {"from": last_id, "to": to, "reason": "restarted", "missed": None}
    assert [(event.data, event.id) for event in rest] == [("one", ids[0]), ("two", ids[1])]


def test_httpx_sse_reads_a_finished_topic_to_its_end_and_later_from_its_start(
    server: Server,
) -> None:
    def read(client: httpx.Client, ready: Callable[[], None]) -> list[tuple[str, str]]:
        with connect_sse(client, "GET", server.events("run/7") + "&start=earliest") as source:
            assert source.response.status_code == 200
            ready()
            return [(event.event, event.data) for event in source.iter_sse() if event.data]

    def run() -> None:
        for n in range(100):
            server.publish("run/7", str(n))
        server.post("/finish?topic=run/7&event=end", "complete")

    whole = [("message", str(n)) for n in range(100)] + [("end", "complete")]
    with httpx.Client(timeout=DEADLINE_S) as client:
        assert read(client, run) == whole
        assert read(client, lambda: None) == whole
        nothing_left = client.get(server.events("run/7"))
        assert (nothing_left.status_code, nothing_left.content) == (204, b"")


def test_httpx_sse_opens_a_runs_stream_by_post_and_comes_back_with_its_last_id(
    start: Callable[..., Server],
) -> None:
    server = start("--route", "/runs/{id}/events:topic=run/{id},methods=GET+POST")
    url, prompt = f"{server.url}/runs/7/events", {"prompt": "why?"}
    traced = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    ids = [server.publish("run/7", word) for word in ("one", "two", "three")]
    with httpx.Client(timeout=DEADLINE_S) as client:
        resumed = {**traced, "Last-Event-ID": ids[0]}
        with connect_sse(client, "POST", url, json=prompt, headers=resumed) as source:
            words = (event.data for event in source.iter_sse() if event.data)
            assert list(islice(words, 2)) == ["two", "three"]
