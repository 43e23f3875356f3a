"""Hubs that have one order of events, by a Redis server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import DEADLINE_S, redis_server

from fanfare import (
    ClusterError,
    FinishedError,
    Hub,
    JournalError,
    OptionsError,
    Publication,
    Stream,
)


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
