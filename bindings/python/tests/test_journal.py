"""Hubs whose events outlive them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse

from fanfare import Hub, JournalError


def test_events_are_there_in_the_next_hub_of_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with Hub(data_dir=folder, durability="always", shards=1) as hub:
        published = hub.publish("news", "hello")
        hub.flush(timeout=30)
        assert hub.metrics().journal_syncs > 0
        with pytest.raises(JournalError):
            Hub(data_dir=folder)
    with Hub(data_dir=folder, shards=1) as hub:
        port = hub.listen("127.0.0.1:0").port
        url = f"http://127.0.0.1:{port}/events?topic=news&start=earliest"
        with httpx.Client() as client, connect_sse(client, "GET", url) as source:
            event = next(event for event in source.iter_sse() if event.data)
        assert (event.data, event.id) == ("hello", published)


def test_a_loop_waits_until_events_are_durable(tmp_path: Path) -> None:
    async def publish() -> None:
        async with Hub(data_dir=str(tmp_path), shards=1) as hub:
            hub.publish("news", "hello")
            await hub.flush_async(timeout=30)

    asyncio.run(publish())


def test_a_hub_without_a_folder_or_with_one_that_cannot_be_says_so(tmp_path: Path) -> None:
    with Hub(shards=1) as hub, pytest.raises(JournalError):
        hub.flush(timeout=1)
    with pytest.raises(JournalError):
        Hub(data_dir=tmp_path / "no" / "such" / "folder")
