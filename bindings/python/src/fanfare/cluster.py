"""What all nodes of a hub's cluster say of their connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._base import Base
from ._convert import Memory, Text, struct
from ._native import ffi, lib
from ._waiting import interruptible, milliseconds, unblocking
from .admin import Connection, listed, selection
from .errors import check


@dataclass(frozen=True)
class ClusterConnections:
    """The connections of a cluster, as each node that has answered had them at one moment."""

    #: How many nodes the cluster has, with the hub that was asked: those that have shown in the
    #: last 10 seconds that they are there, and have not ended in order since.
    nodes: int
    #: How many of them have answered in time.
    answered: int
    #: The number of connections at the nodes that have answered, listed or not.
    count: int
    #: Some of them, at most as many as were asked for, each with its ``node``.
    connections: tuple[Connection, ...] = ()

    @property
    def missing(self) -> int:
        """How many nodes have not answered in time: ``count`` is that of all only if it is 0."""
        return self.nodes - self.answered


class AskingNodes(Base):
    """Questions to all nodes of a hub's cluster. Each may be asked from any thread.

    The nodes are waited for until ``timeout`` is over, which takes some milliseconds if all answer.
    Nodes that have not answered by then are no error, but ``missing`` in the answer. A client that
    goes from a node to another meanwhile may be counted at both or at neither. A question whose
    task is cancelled goes on until its time is over.
    """

    def cluster_connections(
        self,
        *,
        subscription: Text | None = None,
        tag: Text | None = None,
        lagging: bool = False,
        slowest_first: bool = False,
        limit: int = 1000,
        timeout: float = 2.0,
    ) -> ClusterConnections:
        """Counts the connections at all nodes of the cluster, and lists some.

        The id of one is its node's: it is ended or changed there. From asyncio call
        :meth:`cluster_connections_async`.

        :param subscription: Only those with this topic or filter, by its name.
        :param tag: Only those with this tag.
        :param lagging: Only those that lag or replay.
        :param slowest_first: Those that lag most, and these first; else any, in no order.
        :param limit: The most that are listed; 0 lists none. A node lists what fits into 2 MiB.
            Bounds: 0 to 10,000.
        :param timeout: How many seconds to wait for the nodes.
            Bounds: 0.05 to 10; what is beyond them counts as the nearest.
        :raises ClusterError: The hub is in no cluster, or the cluster's server is away or does not
            let it ask.
        :raises BusyError: 16 questions of the hub are on their way.
        :raises SubscriptionError: It is no topic and no filter.
        :raises EncodingError: A tag of ``bytes`` is not UTF-8.
        :raises ClosedError: The hub is closed.
        :raises ForkedError: The hub was made before a fork.
        """
        ask = self._connections_asker(subscription, tag, lagging, slowest_first, limit, timeout)
        return interruptible(ask)

    async def cluster_connections_async(
        self,
        *,
        subscription: Text | None = None,
        tag: Text | None = None,
        lagging: bool = False,
        slowest_first: bool = False,
        limit: int = 1000,
        timeout: float = 2.0,
    ) -> ClusterConnections:
        """Asks as :meth:`cluster_connections` does, without blocking the event loop."""
        ask = self._connections_asker(subscription, tag, lagging, slowest_first, limit, timeout)
        return await unblocking(ask)

    def cluster_subscribers(self, topic: Text, *, timeout: float = 2.0) -> ClusterConnections:
        """Counts the connections at all nodes that get a topic's events, by its name or by filters.

        Each counts once, and none is listed. From asyncio call :meth:`cluster_subscribers_async`.

        :param timeout: As of :meth:`cluster_connections`.
        :raises TopicError: The topic is none.
        :raises ClusterError: As of :meth:`cluster_connections`, which says of the other errors too.
        """
        return interruptible(self._subscribers_asker(topic, timeout))

    async def cluster_subscribers_async(
        self, topic: Text, *, timeout: float = 2.0
    ) -> ClusterConnections:
        """Counts as :meth:`cluster_subscribers` does, without blocking the event loop."""
        return await unblocking(self._subscribers_asker(topic, timeout))

    def _connections_asker(
        self,
        subscription: Text | None,
        tag: Text | None,
        lagging: bool,
        slowest_first: bool,
        limit: int,
        timeout: float,
    ) -> Callable[[], ClusterConnections]:
        if not 0 <= limit <= 10_000:
            raise ValueError("limit may be 0 to 10,000")
        native, wait_ms = self._native, milliseconds(timeout)

        def ask() -> ClusterConnections:
            memory, count = Memory(), struct("fanfare_cluster_count")
            wanted = selection(memory, subscription, tag, lagging, slowest_first, limit)
            # To the library a limit of 0 is its default: none are listed where there is no list.
            out = ffi.new("fanfare_connections **") if limit else ffi.NULL
            check(lib.fanfare_hub_cluster_connections(native, wanted, wait_ms, count, out))
            return _found(count, listed(out[0]) if limit else [])

        return ask

    def _subscribers_asker(self, topic: Text, timeout: float) -> Callable[[], ClusterConnections]:
        native, wait_ms = self._native, milliseconds(timeout)

        def ask() -> ClusterConnections:
            name, count = Memory.passed(topic), struct("fanfare_cluster_count")
            check(lib.fanfare_hub_cluster_subscribers(native, name, wait_ms, count))
            return _found(count, [])

        return ask


def _found(count: Any, connections: list[Connection]) -> ClusterConnections:  # noqa: ANN401 (cffi)
    return ClusterConnections(
        nodes=count.nodes,
        answered=count.answered,
        count=count.count,
        connections=tuple(connections),
    )
