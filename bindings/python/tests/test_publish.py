"""What is published arrives at a real client as it was."""

from __future__ import annotations

import threading

import pytest
from client import DEADLINE_S, events

from fanfare import Hub

pytestmark = pytest.mark.each_version

TEXTS = {
    "plain text": ("hello", "hello"),
    "text beyond ASCII": ("Grüße, Ελλάδα, 日本語, 🎺", "Grüße, Ελλάδα, 日本語, 🎺"),
    "several lines": ("a\nb\rc\r\n\r\nd\n", "a\nb\nc\n\nd\n"),
    "empty data": ("", ""),
    "bytes": ("Grüße".encode(), "Grüße"),
    "empty bytes": (b"", ""),
    "a hundred thousand bytes": ("0123456789abcde/" * 6250, "0123456789abcde/" * 6250),
}


@pytest.mark.parametrize(("data", "arrives"), TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("name", [None, "greeting", "Grüße"])
def test_a_client_gets_the_text_that_was_published(
    name: str | None, data: str | bytes, arrives: str
) -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        hub.publish("news", data, name=name)
        event = next(received)
    assert (event.event, event.data) == (name or "message", arrives)


def test_a_client_gets_the_publishers_custom_id_and_reconnection_time() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        assert hub.publish("news", "a", id="größe-1", key="size") not in ("", "größe-1")
        assert next(received).id == "größe-1"
        hub.publish("news", retry_ms=1234)  # fires nothing
        hub.publish("news", "b")
        assert next(received).data == "b"


def test_a_client_gets_only_the_topics_that_it_asked_for_in_order() -> None:
    with Hub(shards=2) as hub, events(hub.listen().port, "a", "grüße & co/🎺") as received:
        topics: list[str | bytes] = ["a", "grüße & co/🎺".encode(), "c"]
        ids = [hub.publish(topics[i % 3], str(i)) for i in range(30)]
        expected = [(ids[i], str(i)) for i in range(30) if i % 3 != 2]
        got = [next(received) for _ in expected]
        assert [(event.id, event.data) for event in got] == expected


def test_several_threads_publish_at_once_and_a_client_gets_everything() -> None:
    threads, each = 4, 250
    ids: list[str] = []
    with (
        Hub(shards=1, topic_backlog_bytes_max=1 << 20) as hub,
        events(hub.listen().port, "news") as received,
    ):

        def publish(number: int) -> None:
            ids.extend(hub.publish("news", f"{number} {i}") for i in range(each))

        workers = [threading.Thread(target=publish, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        got = [next(received).data.split() for _ in range(threads * each)]
        for worker in workers:
            worker.join(DEADLINE_S)
    assert len(set(ids)) == threads * each
    for number in range(threads):
        assert [int(i) for n, i in got if n == str(number)] == list(range(each))


def test_the_example_in_the_package_is_right() -> None:
    import doctest

    import fanfare

    assert doctest.testmod(fanfare) == (0, 2)
