"""Small events are published in memory that is used again: none has anything of another."""

from __future__ import annotations

import gc
import signal
import threading

import pytest
from client import DEADLINE_S, events

from fanfare import EncodingError, EventError, Hub
from fanfare._now import DATA_BYTES_MAX, NAME_BYTES_MAX

pytestmark = pytest.mark.each_version

SIZES = [0, 1, 5, DATA_BYTES_MAX - 1, DATA_BYTES_MAX, DATA_BYTES_MAX + 1, 3, 0, 70_000, 1]


@pytest.mark.parametrize("kind", ["handle", "name"])
def test_events_of_all_sizes_with_and_without_names_arrive_as_they_were(kind: str) -> None:
    with (
        Hub(shards=1, topic_backlog_bytes_max=1 << 24) as hub,
        events(hub.listen().port, "news") as arriving,
    ):
        topic = hub.topic("news") if kind == "handle" else "news"
        expected = []
        for number, size in enumerate(SIZES):
            data = chr(ord("a") + number) * size
            for name in (None, "n", "x" * NAME_BYTES_MAX, "ü" * (NAME_BYTES_MAX // 2), None):
                for key in (None, "k"):
                    published = hub.publish(topic, data, name=name, key=key)
                    expected.append((published, name or "message", data))
        got = [next(arriving) for _ in expected]
        assert [(event.id, event.event, event.data) for event in got] == expected


def test_what_is_refused_leaves_nothing_behind() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as arriving:
        news = hub.topic("news")
        for refused in (b"\xff", "\ud800"):
            with pytest.raises(EncodingError):
                news.publish(refused)
        for name in ("", "a\nb", "x" * (NAME_BYTES_MAX + 1)):
            with pytest.raises(EventError):
                news.publish("long data that is refused", name=name)
        with pytest.raises(TypeError, match="expected str or bytes, not int"):
            news.publish(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="data or json"):
            news.publish("a", json=1)
        published = news.publish("b")
        got = next(arriving)
        assert (got.id, got.event, got.data) == (published, "message", "b")


def test_a_signals_handler_and_a_finalizer_publish_in_the_middle_of_publishing() -> None:
    with Hub(shards=1) as hub:
        news, sports = hub.topic("news"), hub.topic("sports")
        inner: list[str] = []

        class Dropped:
            def __init__(self) -> None:
                self.circle = self  # the collector finds it at any time

            def __del__(self) -> None:
                inner.append(sports.publish("of a finalizer", name="dropped"))

        def handle(*_: object) -> None:
            inner.append(sports.publish("of a handler"))
            inner.append(sports.publish("of a handler", name="signal"))

        before = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            ids = []
            while len(inner) < 60:
                ids += [news.publish("a"), news.publish("b", name="outer")]
                Dropped()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        gc.collect()
        assert len(set(ids) | set(inner)) == len(ids) + len(inner)
        assert hub.metrics().published_events == len(ids) + len(inner)


def test_threads_that_publish_with_one_handle_get_ids_and_events_of_their_own() -> None:
    threads, each = 4, 500
    ids: dict[str, str] = {}
    with (
        Hub(shards=1, topic_backlog_bytes_max=1 << 24) as hub,
        events(hub.listen().port, "news") as arriving,
    ):
        news = hub.topic("news")

        def publish(number: int) -> None:
            for count in range(each):
                data = f"{number}/{count}/" + "x" * (count % 90)
                ids[news.publish(data, name=f"n{number}" if count % 2 else None)] = data

        workers = [threading.Thread(target=publish, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(DEADLINE_S)
        assert len(ids) == threads * each
        for _ in range(threads * each):
            got = next(arriving)
            assert ids[got.id] == got.data
            number, count, _rest = got.data.split("/")
            assert got.event == (f"n{number}" if int(count) % 2 else "message")
