"""Connections are listed, counted, changed and ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from client import DEADLINE_S, client_that_does_not_read, events, wait_until

from fanfare import (
    ClosedError,
    EncodingError,
    FullError,
    Hub,
    OptionsError,
    StaleError,
    Stream,
    SubscriptionError,
    TopicError,
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(shards=2) as hub:
        yield hub


def streams(hub: Hub, *of: str) -> list[Stream]:
    """A stream of each topic, tagged with the topic's name, once all are there."""
    opened = [hub.subscribe(topic, tag=f"tag {topic}") for topic in of]
    wait_until("the streams", lambda: hub.metrics().connections == len(of))
    return opened


def reason(stream: Stream) -> str:
    for _ in stream:
        pass
    assert stream.end_reason is not None
    return stream.end_reason


def test_connections_are_listed_and_described(hub: Hub) -> None:
    with events(hub.listen().port, "news", "a/#") as received:
        hub.publish("news", "hello")
        assert next(received).data == "hello"
        (one,) = hub.connections()
        assert set(one.subscriptions) == {"news", "a/#"}
        assert one.addr is not None
        assert one.addr.startswith("127.0.0.1:")
        assert (one.tag, one.state, one.policy, one.lag_events) == (None, "live", "disconnect", 0)
        assert abs(one.since - time.time()) < DEADLINE_S
        described = hub.connection(one.id)
        assert (described.id, described.subscriptions) == (one.id, one.subscriptions)
        assert abs(described.since - one.since) < 1
        assert hub.connections(lagging=True) == []
    wait_until("the client to be gone", lambda: hub.connections() == [])
    with pytest.raises(StaleError):
        hub.connection(one.id)


def test_connections_are_found_by_subscription_and_tag_and_counted(hub: Hub) -> None:
    with_names = streams(hub, "news", "a/#", "a/b")
    assert len(hub.connections(limit=2)) == 2
    assert hub.connections(limit=0) == []
    assert [one.subscriptions for one in hub.connections(subscription="a/#")] == [("a/#",)]
    assert [one.subscriptions for one in hub.connections(tag="tag news")] == [("news",)]
    assert (hub.subscribers("a/b"), hub.subscribers("news"), hub.subscribers("x")) == (2, 1, 0)
    assert hub.subscription_counts() == {"news": 1, "a/#": 1, "a/b": 1}
    assert len(hub.subscription_counts(1)) == 1
    assert len(with_names) == 3


def test_one_that_lags_is_listed_first() -> None:
    patient_ms = 600_000
    with (
        Hub(
            shards=1,
            lag_bytes_max=1 << 30,
            lag_grace_ms=patient_ms,
            lag_age_max_ms=patient_ms,
            lag_grace_percent=100,
        ) as hub,
        client_that_does_not_read(hub.listen().port, "news"),
        hub.subscribe("other"),
    ):

        def lags() -> bool:
            with contextlib.suppress(FullError):
                hub.publish("news", "a" * 10_000)
            return bool(hub.connections(lagging=True))

        wait_until("the client to lag", lags)
        first = hub.connections(slowest_first=True)[0]
        assert (first.subscriptions, first.state) == (("news",), "lagging")
        assert first.lag_bytes > 0
        assert first.lag_events > 0
        assert first.lag_age >= 0


def test_connections_are_ended_by_id_tag_subscription_and_all(hub: Hub) -> None:
    one, tagged, named, *rest = streams(hub, "one", "tagged", "named", "rest/1", "rest/2")
    (described,) = hub.connections(tag="tag one")
    hub.disconnect(described.id, retry_ms=100)
    assert reason(one) == "kicked"
    with pytest.raises(StaleError):
        hub.disconnect(described.id)
    assert hub.disconnect_tag("tag tagged") == 1
    assert reason(tagged) == "kicked"
    assert hub.disconnect_tag("tag tagged") == 0
    assert hub.disconnect_subscription("named") == 1
    assert reason(named) == "kicked"
    assert hub.disconnect_all(retry_ms=5) == 2
    assert [reason(stream) for stream in rest] == ["kicked", "kicked"]


def test_a_connection_is_given_other_topics(hub: Hub) -> None:
    (stream,) = streams(hub, "before")
    (described,) = hub.connections()
    hub.set_subscriptions(described.id, ["after", "more/#"])
    hub.publish("before", "no")
    hub.publish("after", "yes")
    got = b""
    while b"data: yes" not in got:
        got += stream.read(DEADLINE_S)
    assert b"data: no" not in got
    stream.close()
    wait_until("the stream to be gone", lambda: hub.metrics().connections == 0)
    with pytest.raises(StaleError):
        hub.set_subscriptions(described.id, "after")


def test_what_is_wrong_is_refused(hub: Hub) -> None:
    with pytest.raises(SubscriptionError):
        hub.connections(subscription="a/#/b")
    with pytest.raises(SubscriptionError):
        hub.disconnect_subscription("")
    with pytest.raises(EncodingError):
        hub.disconnect_tag(b"\xff")
    with pytest.raises(TopicError):
        hub.subscribers("a/#")
    with pytest.raises(OptionsError, match="the option retry_ms"):
        hub.disconnect_all(retry_ms=-1)
    for wrong in (0, -1, 2**64, 12345):
        with pytest.raises(StaleError):
            hub.disconnect(wrong)
    for limit in (-1, 1_000_001):
        with pytest.raises(ValueError, match="limit may be"):
            hub.connections(limit=limit)
    with pytest.raises(ValueError, match="limit may be"):
        hub.subscription_counts(-1)
    hub.close()
    with pytest.raises(ClosedError):
        hub.connections()
