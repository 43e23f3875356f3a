"""Hubs that have one order of events, by a Redis server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from client import wait_until
from loops import Run, run  # noqa: F401 (a fixture)
from redis_server import DEADLINE_S, redis_server

from fanfare import (
    BusyError,
    ClosedError,
    ClusterConnections,
    ClusterError,
    EncodingError,
    FinishedError,
    Hub,
    JournalError,
    OptionsError,
    Publication,
    Stream,
    SubscriptionError,
    TopicError,
)

#: A node with a stream, which ends with what it reads.
NODE = """
import sys
from fanfare import Hub

with Hub(cluster_url=sys.argv[1], shards=1) as hub, hub.subscribe("rooms/1"):
    print("is there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path) as url:
        yield url


def _read_until(stream: Stream, text: str) -> str:
    """What a stream has up to a text; fails when that does not come."""
    got = ""
    while text not in got:
        got += bytes(stream.read(timeout=DEADLINE_S)).decode()
    return got


@contextmanager
def _node(server: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, once it is there."""
    command = [sys.executable, "-c", NODE, server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"is there\n"
            yield process
        finally:
            process.kill()


def _stop(node: subprocess.Popen[bytes]) -> None:
    """Has a process stand still, and waits until it does."""
    node.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(node.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def _wait_for_nodes(hub: Hub, count: int) -> None:
    """A node shows itself a moment after it has come."""

    def is_whole() -> bool:
        found = hub.cluster_subscribers("rooms/1", timeout=5)
        return (found.nodes, found.missing) == (count, 0)

    wait_until(f"{count} nodes", is_whole)


def test_what_a_hub_publishes_reaches_the_clients_of_another(server: str) -> None:
    options = {"cluster_url": server, "cluster_prefix": "py"}
    with (
        Hub(**options, shards=1) as hub,  # type: ignore[arg-type]
        Hub(**options, shards=1) as other,  # type: ignore[arg-type]
        other.subscribe("news") as stream,
    ):
        # Its id is the server's, and not known yet.
        assert hub.publish("news", "at once") == ""
        assert "data: at once\n" in _read_until(stream, "data: at once\n")
        published = hub.publish("news", "waited for", timeout=DEADLINE_S)
        assert published
        assert f"id: {published}\n" in _read_until(stream, "data: waited for\n")
        [many] = hub.publish_many([Publication("news", "many")], timeout=DEADLINE_S)
        assert f"id: {many}\n" in _read_until(stream, "data: many\n")
        hub.flush(timeout=DEADLINE_S)
        metrics = hub.metrics()
        assert (metrics.cluster_failing, metrics.cluster_connects) == (0, 1)
        assert metrics.cluster_batches >= 1
        assert hub.finish("run/7", "the last", timeout=DEADLINE_S)
        with pytest.raises(FinishedError):
            other.publish("run/7", "too late", timeout=DEADLINE_S)


def test_a_loop_waits_for_the_id_and_until_the_server_has_all(server: str) -> None:
    async def publish() -> str:
        async with Hub(cluster_url=server, shards=1) as hub:
            published = await hub.publish_async("news", "hello", timeout=DEADLINE_S)
            hub.publish("news", "more")
            await hub.flush_async(timeout=DEADLINE_S)
            assert hub.metrics().cluster_backlog_bytes == 0
            return published

    assert asyncio.run(publish())


def test_a_cluster_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError):  # there is no TLS in this library
        Hub(cluster_url="rediss://127.0.0.1:1")
    with pytest.raises(OptionsError, match=r"^the option cluster_url is out of bounds"):
        Hub(cluster_url="http://127.0.0.1")
    with pytest.raises(OptionsError, match=r"cluster_url .* given without data_dir"):
        Hub(cluster_url="redis://127.0.0.1", data_dir=tmp_path)
    with pytest.raises(OptionsError, match=r"^the option cluster_prefix is out of bounds"):
        Hub(cluster_prefix="a{b}")
    with Hub(shards=1) as hub, pytest.raises(JournalError):
        hub.flush(timeout=1)


def _by_node(found: ClusterConnections) -> dict[str | None, list[tuple[int, str | None]]]:
    """The ids and tags of the connections of each node."""
    nodes: dict[str | None, list[tuple[int, str | None]]] = {}
    for one in found.connections:
        nodes.setdefault(one.node, []).append((one.id, one.tag))
    return {node: sorted(connections) for node, connections in nodes.items()}


def test_any_node_counts_and_lists_the_connections_of_all(server: str) -> None:
    with (
        Hub(cluster_url=server, shards=1) as hub,
        Hub(cluster_url=server, shards=1) as other,
        other.subscribe("rooms/1", tag="7"),
        other.subscribe("rooms/2", tag="8"),
        hub.subscribe("rooms/1", tag="7"),
        hub.subscribe("rooms/#", tag="9"),
    ):
        wait_until("the streams", lambda: len(hub.connections() + other.connections()) == 4)
        assert {one.node for one in hub.connections()} == {None}
        here = sorted((one.id, one.tag) for one in hub.connections())
        there = sorted((one.id, one.tag) for one in other.connections())
        lists = []
        for asked in (hub, other):
            _wait_for_nodes(asked, 2)
            found = asked.cluster_connections(timeout=DEADLINE_S)
            assert (found.nodes, found.answered, found.missing, found.count) == (2, 2, 0, 4)
            lists.append(_by_node(found))
            assert sorted(lists[-1].values()) == sorted([here, there])
            assert {len(node or "") for node in lists[-1]} == {16}

            found = asked.cluster_connections(tag="7", timeout=DEADLINE_S)
            assert found.count == 2
            assert [one.subscriptions for one in found.connections] == [("rooms/1",)] * 2
            assert len({one.node for one in found.connections}) == 2
            found = asked.cluster_connections(subscription="rooms/2", timeout=DEADLINE_S)
            assert (found.count, [one.tag for one in found.connections]) == (1, ["8"])
            found = asked.cluster_connections(subscription="rooms/1", tag="9", timeout=DEADLINE_S)
            assert (found.answered, found.count, found.connections) == (2, 0, ())
            found = asked.cluster_connections(lagging=True, slowest_first=True, timeout=DEADLINE_S)
            assert (found.answered, found.count) == (2, 0)
            for limit in (0, 1):
                found = asked.cluster_connections(limit=limit, timeout=DEADLINE_S)
                assert (found.count, len(found.connections)) == (4, limit)

            found = asked.cluster_subscribers("rooms/1", timeout=DEADLINE_S)
            assert (found.nodes, found.answered, found.count, found.connections) == (2, 2, 3, ())
            assert asked.cluster_subscribers("rooms/2", timeout=DEADLINE_S).count == 2
            assert asked.cluster_subscribers("news", timeout=DEADLINE_S).count == 0
        assert lists[0] == lists[1]


async def _while_others_run(
    question: Callable[[], Awaitable[ClusterConnections]],
) -> ClusterConnections:
    """The answer to a question; fails if no other task has run until it came."""
    answers, ticks = [], 0

    async def ask() -> None:
        answers.append(await question())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while not answers:
            await anyio.sleep(0.001)
            ticks += 1
    assert ticks > 3
    return answers[0]


def test_a_node_that_stands_still_is_missing_and_the_loop_goes_on(
    server: str,
    run: Run,  # noqa: F811
) -> None:
    async def main() -> None:
        async with Hub(cluster_url=server, shards=1) as hub:
            with hub.subscribe("rooms/#"), _node(server) as node:
                await anyio.to_thread.run_sync(_wait_for_nodes, hub, 2)
                found = await hub.cluster_connections_async(tag="nobody", timeout=DEADLINE_S)
                assert (found.missing, found.count) == (0, 0)
                found = await hub.cluster_subscribers_async("rooms/1", timeout=DEADLINE_S)
                assert (found.missing, found.count) == (0, 2)

                _stop(node)
                for question in (
                    lambda: hub.cluster_connections_async(timeout=0.2),
                    lambda: hub.cluster_subscribers_async("rooms/1", timeout=0.2),
                ):
                    found = await _while_others_run(question)
                    assert (found.nodes, found.answered, found.missing) == (2, 1, 1)
                    assert found.count == 1

    run(main)


def test_the_seventeenth_question_at_once_is_refused(server: str) -> None:
    async def main() -> None:
        async with Hub(cluster_url=server, shards=1) as hub:
            with _node(server) as node:
                await asyncio.to_thread(_wait_for_nodes, hub, 2)
                _stop(node)
                questions = [hub.cluster_subscribers_async("news", timeout=5) for _ in range(17)]
                answers = await asyncio.gather(*questions, return_exceptions=True)
                assert [type(answer) for answer in answers].count(BusyError) == 1

    asyncio.run(main())


def test_a_question_that_cannot_be_asked_is_an_error(server: str) -> None:
    with Hub(shards=1) as alone:
        with pytest.raises(ClusterError):
            alone.cluster_connections()
        with pytest.raises(ClusterError):
            alone.cluster_subscribers("news")
        with pytest.raises(ClusterError):
            asyncio.run(alone.cluster_connections_async())
        with pytest.raises(ClusterError):
            asyncio.run(alone.cluster_subscribers_async("news"))
    with Hub(cluster_url=server, shards=1) as hub:
        with pytest.raises(SubscriptionError):
            hub.cluster_connections(subscription="a/#/b")
        with pytest.raises(EncodingError):
            hub.cluster_connections(tag=b"\xff")
        with pytest.raises(TopicError):
            hub.cluster_subscribers("rooms/+")
        for limit in (-1, 10_001):
            with pytest.raises(ValueError, match="limit may be 0 to 10,000"):
                hub.cluster_connections(limit=limit)
        _wait_for_nodes(hub, 1)
        for timeout in (-1, 0, 1e9):  # they count as the nearest that is possible
            assert hub.cluster_connections(timeout=timeout).nodes == 1
        host, port = server.removeprefix("redis://").partition("/")[0].split(":")
        with socket.create_connection((host, int(port)), DEADLINE_S) as connection:
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            assert connection.recv(1) == b""
        with pytest.raises(ClusterError):
            hub.cluster_connections(timeout=0.1)
        with pytest.raises(ClusterError):
            hub.cluster_subscribers("news", timeout=0.1)
    with pytest.raises(ClosedError):
        hub.cluster_connections()
    with pytest.raises(ClosedError):
        hub.cluster_subscribers("news")
