"""Forks, and hubs that are dropped or left open."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import traceback
from collections.abc import Callable

import pytest
from client import DEADLINE_S, events, wait_until

from fanfare import ForkedError, FunctionAuthorizer, Grant, Hub, Publication

pytestmark = pytest.mark.each_version


def in_a_child(function: Callable[[], None]) -> None:
    """Calls a function in a child of a fork, and fails as it does."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told = ""
        try:
            function()
        except BaseException:
            told = traceback.format_exc()
        os.write(writer, told.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    assert told == ""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_all_that_a_hub_has_is_refused_in_the_child_of_a_fork_and_goes_on_in_the_parent() -> None:
    with Hub(shards=1) as hub:
        listener, topic = hub.listen(), hub.topic("news")
        stream, notices = hub.subscribe("news"), hub.notices()
        authorizer = FunctionAuthorizer(lambda _: True)
        hub.listen(authorizer=authorizer)
        calls: list[Callable[[], object]] = [
            lambda: topic.publish("a"),
            lambda: topic.publish("a", timeout=None),
            lambda: hub.publish_many([Publication("news", "a")]),
            lambda: asyncio.run(hub.publish_async("news", "a")),
            lambda: hub.finish("news"),
            lambda: hub.set_rule("news", policy="conflate"),
            lambda: hub.rules(),
            lambda: hub.metrics(),
            lambda: hub.prometheus(),
            lambda: hub.connections(),
            lambda: hub.cluster_connections(),
            lambda: asyncio.run(hub.cluster_subscribers_async("news")),
            lambda: hub.drain(),
            lambda: hub.subscribe("news"),
            lambda: hub.notices(),
            lambda: hub.adopt(0, "news"),
            lambda: hub.listen(),
            lambda: listener.close(),
            lambda: listener.admit(0),
            lambda: stream.read(),
            lambda: asyncio.run(_read(stream)),
            lambda: next(notices),
            lambda: asyncio.run(_next(notices)),
        ]

        def child() -> None:
            for number, call in enumerate(calls):
                try:
                    call()
                except ForkedError:
                    continue
                raise AssertionError(f"call {number} was not refused")
            stream.close()
            notices.close()
            authorizer.close()
            hub.close()
            with Hub(shards=1) as own:
                assert own.publish("news", "a")

        in_a_child(child)
        with events(listener.port, "news") as received:
            topic.publish("from the parent")
            assert next(received).data == "from the parent"


async def _read(stream: object) -> None:
    await stream.read_async()  # type: ignore[attr-defined]


async def _next(notices: object) -> None:
    await notices.__anext__()  # type: ignore[attr-defined]


def test_a_hub_that_is_dropped_ends_its_streams_notices_and_threads() -> None:
    hub = Hub(shards=1)
    hub.authorize(lambda _: Grant("news"))
    hub.listen()
    notices, stream = hub.notices(), hub.subscribe("news")
    gc.collect()
    with pytest.warns(ResourceWarning, match="was not closed"):
        del hub  # nothing else refers to it
    for _ in stream:
        pass
    assert stream.end_reason == "closed"
    assert [type(notice).__name__ for notice in notices] == ["Connected", "Disconnected"]
    wait_until(
        "the threads to end",
        lambda: all(thread.name != "fanfare-authorizer" for thread in threading.enumerate()),
    )


def test_hubs_that_were_closed_leave_no_thread_and_no_descriptor() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    def live() -> None:
        with Hub(shards=2) as hub:
            hub.authorize(lambda _: Grant("news"))
            hub.listen()
            with hub.notices() as notices, hub.subscribe("news") as stream:
                hub.publish("news", "a")
                stream.read(DEADLINE_S)
                next(notices)

    live()
    gc.collect()
    wait_until("the threads to end", lambda: threading.active_count() == 1)
    descriptors, before = len(os.listdir("/proc/self/fd")), threads()
    for _ in range(10):
        live()
    gc.collect()
    wait_until("the threads to end", lambda: threads() <= before)
    # What a thread had is closed by the thread when it ends.
    wait_until("the rest to be closed", lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


def test_threads_use_a_hub_whose_last_name_is_dropped() -> None:
    hub = Hub(shards=1)
    news, done = hub.topic("news"), threading.Event()

    def publish() -> None:
        for _ in range(100):
            news.publish("a", timeout=DEADLINE_S)
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    closes = hub.close
    del hub
    thread.join(DEADLINE_S)
    assert done.is_set()
    closes()
