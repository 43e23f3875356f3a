"""What the engine refuses is an exception that says what to do."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
from client import DEADLINE_S, client_that_does_not_read, events, status_of, wait_until

import fanfare
from fanfare import FanfareError, Hub, errors
from fanfare._native import ffi, lib


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(shards=1, event_bytes_max=1000) as hub:
        yield hub


REFUSED = {
    "an empty topic": (fanfare.TopicError, {"topic": ""}),
    "a topic with a wildcard": (fanfare.TopicError, {"topic": "a+"}),
    "a topic that is too long": (fanfare.TopicError, {"topic": "a" * 257}),
    "a topic that is not UTF-8": (fanfare.TopicError, {"topic": b"\xff"}),
    "nothing at all": (fanfare.EventError, {"data": None}),
    "an empty name": (fanfare.EventError, {"name": ""}),
    "a name with a line break": (fanfare.EventError, {"name": "a\nb"}),
    "an id with a NUL": (fanfare.EventError, {"id": "a\0"}),
    "an empty key": (fanfare.EventError, {"key": ""}),
    "a reconnection time below zero": (fanfare.EventError, {"retry_ms": -1}),
    "bytes that are not UTF-8": (fanfare.EncodingError, {"data": b"a\xff"}),
    "a lone surrogate": (fanfare.EncodingError, {"data": "\ud800"}),
    "too much data": (fanfare.TooLargeError, {"data": "a" * 1001}),
}


@pytest.mark.parametrize(("expected", "arguments"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_published_is_refused_and_delivered_to_no_client(
    hub: Hub, expected: type[FanfareError], arguments: dict[str, Any]
) -> None:
    with events(hub.listen().port, "news") as received:
        with pytest.raises(expected) as caught:
            hub.publish(**{"topic": "news", "data": "refused", **arguments})
        assert isinstance(caught.value, (FanfareError, ValueError))
        hub.publish("news", "taken")
        assert next(received).data == "taken"


def test_a_class_says_what_the_library_says_of_its_code() -> None:
    for code, kind in errors._CLASSES.items():
        said = str(ffi.string(lib.fanfare_strerror(code)), "utf-8")
        documented = " ".join((kind.__doc__ or "").split())
        assert documented.startswith(said[0].upper() + said[1:] + "."), kind


def test_text_has_to_be_str_or_bytes(hub: Hub) -> None:
    with pytest.raises(TypeError, match="expected str or bytes, not int"):
        hub.publish("news", 1)  # type: ignore[arg-type]


def test_an_option_out_of_its_bounds_is_refused_with_what_it_may_be() -> None:
    with pytest.raises(fanfare.OptionsError) as caught:
        Hub(shards=0)
    assert str(caught.value) == "the option shards is out of bounds: it may be 1 to 256"
    with pytest.raises(fanfare.OptionsError, match=r"the option any_host .* it may be 0 or 1"):
        Hub(any_host=2)  # type: ignore[arg-type]


def test_an_error_is_the_same_after_it_was_pickled() -> None:
    with pytest.raises(fanfare.OptionsError) as caught:
        Hub(shards=0)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.code, str(copy)) == (
        fanfare.OptionsError,
        caught.value.code,
        str(caught.value),
    )


@pytest.mark.parametrize("percent", [0, 1, 100])
def test_a_share_of_grace_on_its_bounds_is_taken(percent: int) -> None:
    with Hub(shards=1, lag_grace_percent=percent) as hub:
        assert hub.publish("news", "a")


@pytest.mark.parametrize(("any_host", "status"), [(None, 421), (False, 421), (True, 200)])
def test_a_request_by_another_name_is_refused_unless_any_host_is_served(
    any_host: bool | None, status: int
) -> None:
    with Hub(shards=1, any_host=any_host) as hub:
        port = hub.listen().port
        assert status_of(port, "localhost") == 200
        assert status_of(port, "app.example") == status


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="heartbeat"):
        Hub(heartbeat=1)  # type: ignore[call-arg]


def test_there_is_a_class_for_each_code_of_the_header() -> None:
    codes = {getattr(lib, name) for name in dir(lib) if name.startswith("FANFARE_ERR_")}
    assert set(errors._CLASSES) == codes
    assert len({str(errors.error(code)) for code in codes}) == len(codes)


@pytest.mark.parametrize("addr", ["", "nonsense", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_refused(hub: Hub, addr: str) -> None:
    with pytest.raises(fanfare.AddressError, match="must be an IP address and a port"):
        hub.listen(addr)


def test_an_address_in_use_is_refused(hub: Hub) -> None:
    with pytest.raises(fanfare.AddressError):
        hub.listen(f"127.0.0.1:{hub.listen().port}")


def test_a_topic_is_full_until_a_client_that_did_not_read_reads_on() -> None:
    big = "a" * 4096
    patience_ms = 600_000  # the client is waited for, for a tenth of it while it takes nothing
    options: dict[str, Any] = {
        "lag_age_max_ms": patience_ms,
        "lag_grace_ms": patience_ms,
        "lag_grace_percent": 100,  # at less, a connection that has just come is not waited for
    }
    with (
        Hub(shards=1, topic_backlog_bytes_max=1, lag_bytes_max=1 << 16, **options) as hub,
        client_that_does_not_read(hub.listen().port, "news") as client,
    ):
        published, full_in_a_row = 0, 0

        def publish() -> bool:
            nonlocal published, full_in_a_row
            try:
                hub.publish("news", big)
                published, full_in_a_row = published + 1, 0
            except fanfare.FullError:
                full_in_a_row += 1
            return full_in_a_row == 0

        # Every now and then it is full because the engine's thread has not come to it yet.
        wait_until("the topic to stay full", lambda: not publish() and full_in_a_row > 50)
        before = published

        def read_and_publish() -> bool:
            client.recv(1 << 20)
            return publish()

        wait_until("the backlog is released", read_and_publish)
        assert published == before + 1


def _in_a_child(hub: Hub, result: Connection) -> None:
    with pytest.raises(fanfare.ForkedError, match="make a new one in the child"):
        hub.publish("news", "from the child")
    with pytest.raises(fanfare.ForkedError):
        hub.listen()
    hub.close()
    with Hub(shards=1) as own:
        result.send(own.publish("news", "a"))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_hub_is_not_used_after_a_fork_and_serves_the_parent_on() -> None:
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        child = fork.Process(target=_in_a_child, args=(hub, sender), daemon=True)
        child.start()
        try:
            assert receiver.poll(DEADLINE_S)
            assert receiver.recv() != ""
            child.join(DEADLINE_S)
            assert child.exitcode == 0
        finally:
            child.kill()
            child.join(DEADLINE_S)
        hub.publish("news", "from the parent")
        assert next(received).data == "from the parent"
