"""What a hub says of its connections, and what it does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ._base import Base
from ._convert import (
    POLICIES,
    Memory,
    Policy,
    Text,
    Topics,
    all_taken,
    assign,
    decoded,
    struct,
    taken,
)
from ._names import ConnectionState, connection_state
from ._native import ffi, lib
from .errors import check

_POLICY_NAMES = {number: name for name, number in POLICIES.items()}


@dataclass(frozen=True)
class Connection:
    """A connection, as it was at one moment."""

    #: Its id, which no other connection of its hub ever has.
    id: int
    #: What it is subscribed to, each once, in no order.
    subscriptions: tuple[str, ...]
    #: The client's address and port; ``None`` at a Unix domain socket.
    addr: str | None
    #: What the client calls itself: a label that any client can claim.
    tag: str | None
    #: Since when it is an event stream: seconds since 1970, as of ``time.time()``.
    since: float
    #: The number of events that its socket took whole.
    events: int
    #: Bytes of events that its socket took, without what HTTP adds.
    bytes: int
    #: The number of events that it has yet to be sent, with the one that was begun.
    lag_events: int
    #: Their bytes that it has yet to be sent.
    lag_bytes: int
    #: How many seconds ago the oldest event was published that it has not taken whole.
    lag_age: float
    #: Whether it takes what it is sent, did not take all, or is sent what it has missed.
    state: ConnectionState
    #: What happens to it when it lags too far.
    policy: Policy
    #: The name of its node, to whose hub the id belongs, in a list of ``cluster_connections``;
    #: ``None`` in other lists.
    node: str | None = None


class Administering(Base):
    """A hub's connections. Each method may be called from any thread, several at once.

    Each asks the engine's threads, and blocks for about a millisecond per 10,000 connections, and
    at most 10 seconds: from asyncio call it by ``asyncio.to_thread``. Each raises ``BusyError``
    when 64 such questions wait already, ``TimedOutError``, ``ClosedError`` or ``ForkedError``.
    """

    def connections(
        self,
        *,
        subscription: Text | None = None,
        tag: Text | None = None,
        lagging: bool = False,
        slowest_first: bool = False,
        limit: int = 1000,
    ) -> list[Connection]:
        """Lists connections.

        :param subscription: Only those with this topic or filter, by its name.
        :param tag: Only those with this tag.
        :param lagging: Only those that lag or replay.
        :param slowest_first: Those that lag most, and these first; else any, in no order.
        :param limit: The most that are listed; 0 lists none.
            Bounds: 0 to 1,000,000.
        :raises SubscriptionError: It is no topic and no filter.
        """
        if not 0 <= limit <= 1_000_000:
            raise ValueError("limit may be 0 to 1,000,000")
        memory = Memory()
        # To the library a limit of 0 is its default: one is asked for, and none is given.
        wanted = selection(memory, subscription, tag, lagging, slowest_first, max(limit, 1))
        out = ffi.new("fanfare_connections **")
        check(lib.fanfare_hub_connections(self._native, wanted, out))
        return listed(out[0])[:limit]

    def connection(self, id: int) -> Connection:  # noqa: A002 (what it is)
        """Describes one connection.

        :raises StaleError: It has ended.
        """
        out = ffi.new("fanfare_connections **")
        check(lib.fanfare_hub_connection(self._native, _id(id), out))
        return listed(out[0])[0]

    def subscribers(self, topic: Text) -> int:
        """How many connections get a topic's events, by its name or by filters, each once.

        :raises TopicError: The topic is none.
        """
        memory, out = Memory(), ffi.new("uint64_t *")
        check(lib.fanfare_hub_subscribers(self._native, memory.text(topic), out))
        return int(out[0])

    def subscription_counts(self, limit: int = 1000) -> dict[str, int]:
        """The topics and filters with the most subscribers, most first.

        :param limit: The most that are listed.
            Bounds: 0 to 1,000,000.
        """
        if not 0 <= limit <= 1_000_000:
            raise ValueError("limit may be 0 to 1,000,000")
        out = ffi.new("fanfare_subscription_counts **")
        check(lib.fanfare_hub_subscription_counts(self._native, limit, out))
        owned = ffi.gc(out[0], lib.fanfare_subscription_counts_free)
        count, counts = struct("fanfare_subscription_count"), {}
        for index in range(lib.fanfare_subscription_counts_count(owned)):
            check(lib.fanfare_subscription_counts_get(owned, index, count))
            counts[taken(count.subscription)] = int(count.subscribers)
        return counts

    def disconnect(self, id: int, *, retry_ms: int = 0) -> None:  # noqa: A002 (what it is)
        """Ends one connection. An ``EventSource`` comes back by itself.

        :param retry_ms: Its client is told to come back after a time drawn from this to twice
            this; 0 tells nothing.
            Bounds: at most 1 day, which is taken for what is beyond it.
        :raises StaleError: It has ended already.
        """
        check(lib.fanfare_hub_disconnect(self._native, _id(id), _retry(retry_ms)))

    def disconnect_tag(self, tag: Text, *, retry_ms: int = 0) -> int:
        """Ends all connections with a tag, as :meth:`disconnect` does; returns how many.

        :raises EncodingError: ``bytes`` are not UTF-8.
        """
        memory = Memory()
        return self._ended(lib.fanfare_hub_disconnect_tag, retry_ms, memory.text(tag))

    def disconnect_subscription(self, subscription: Text, *, retry_ms: int = 0) -> int:
        """Ends all connections with a topic or filter, by its name; returns how many.

        :raises SubscriptionError: It is no topic and no filter.
        """
        memory = Memory()
        function = lib.fanfare_hub_disconnect_subscription
        return self._ended(function, retry_ms, memory.text(subscription))

    def disconnect_all(self, *, retry_ms: int = 0) -> int:
        """Ends all connections, as :meth:`disconnect` does; returns how many."""
        return self._ended(lib.fanfare_hub_disconnect_all, retry_ms)

    def set_subscriptions(self, id: int, topics: Topics) -> None:  # noqa: A002 (what it is)
        """Changes what a connection gets to the events of these topics and filters.

        It happens between two events. The client is not told, and asks for the topics of its URL
        when it comes back.

        :param topics: A topic or filter, or 1 to 65,536 of them.
        :raises StaleError: The connection has ended.
        :raises SubscriptionError: One is none, or there is none.
        :raises BusyError: Also when the client is still being sent what it has missed.
        """
        memory = Memory()
        array, count = memory.texts(topics)
        check(lib.fanfare_hub_set_subscriptions(self._native, _id(id), array, count))

    def _ended(self, function: Any, retry_ms: int, *which: Any) -> int:  # noqa: ANN401 (cffi)
        count = ffi.new("uint64_t *")
        check(function(self._native, *which, _retry(retry_ms), count))
        return int(count[0])


def _id(given: int) -> int:
    """What the ABI has no number for is the id of none."""
    return given if 0 <= given < 2**64 else 0


def _retry(retry_ms: int) -> int:
    made = ffi.new("fanfare_drain_options *")
    assign(made, "retry_ms", retry_ms)
    return int(made.retry_ms)


def selection(
    memory: Memory,
    subscription: Text | None,
    tag: Text | None,
    lagging: bool,
    slowest_first: bool,
    limit: int,
) -> Any:  # noqa: ANN401 (cffi has no types)
    """Which connections are listed, as the library takes it; it lasts as long as the memory."""
    wanted = struct("fanfare_connection_filter")
    if subscription is not None:
        wanted.subscription = memory.text(subscription)
    if tag is not None:
        wanted.tag = memory.text(tag)
    wanted.limit = limit
    wanted.lagging = bool(lagging)
    wanted.slowest_first = bool(slowest_first)
    return wanted


def listed(out: Any) -> list[Connection]:  # noqa: ANN401 (cffi has no types)
    """The connections of a list of the library's, which is freed."""
    owned = ffi.gc(out, lib.fanfare_connections_free)
    read, connections = struct("fanfare_connection"), []
    for index in range(lib.fanfare_connections_count(owned)):
        check(lib.fanfare_connections_get(owned, index, read))
        connections.append(
            Connection(
                id=read.id,
                subscriptions=all_taken(read.subscriptions, read.subscriptions_count),
                addr=decoded(read.addr),
                tag=decoded(read.tag),
                since=read.since_unix_ms / 1000,
                events=read.events,
                bytes=read.bytes,
                lag_events=read.lag_events,
                lag_bytes=read.lag_bytes,
                lag_age=read.lag_age_ms / 1000,
                state=connection_state(read.state),
                policy=cast("Policy", _POLICY_NAMES.get(read.policy, "disconnect")),
                node=decoded(read.node),
            )
        )
    return connections
