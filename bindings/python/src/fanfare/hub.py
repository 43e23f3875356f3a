"""The hub: what a program publishes to and clients listen to."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._convert import (
    Durability,
    HeartbeatForm,
    Memory,
    Policy,
    Text,
    assign,
    choose,
    options,
    problem,
    struct,
)
from ._native import ffi, lib
from ._waiting import blocking, interruptible, milliseconds, unblocking
from .admin import Administering
from .authorizing import Authorizer, Authorizing
from .cluster import AskingNodes
from .errors import check
from .listening import Listening
from .metrics import Counting
from .notices import Noticing
from .publishing import Publishing
from .rules import Ruling
from .streams import Streaming


@dataclass(frozen=True)
class Drained:
    """What became of a hub's connections when it was drained."""

    #: Connections that were sent everything, told when to come back, and closed.
    told: int
    #: Connections that were closed without that, since they did not take all in time.
    cut: int


class Hub(
    Publishing,
    Ruling,
    Listening,
    Streaming,
    Noticing,
    Authorizing,
    Administering,
    AskingNodes,
    Counting,
):
    """A fan-out engine with threads of its own. It is safe to use from any thread.

    Use it with ``with`` or ``async with``, or call :meth:`close` at the end. A hub that is dropped
    without that is closed with a ``ResourceWarning``, and so is one that is there when the
    interpreter exits. After a fork the child needs a hub of its own: there each call raises
    ``ForkedError``. ``None`` stands for an option's default.

    :param shards: Threads that each own a share of the connections.
        Bounds: 1 to 256. Default: one for each core.
    :param heartbeat_ms: How long a connection may be silent before it gets a heartbeat; 0 turns
        heartbeats off.
        Bounds: 0, or 100 ms to 1 day. Default: 15 s.
    :param retry_ms: The reconnection time that a client is told when it connects, drawn for each
        from this to twice this; 0 tells nothing.
        Bounds: at most 1 day. Default: 2 s.
    :param event_bytes_max: The most bytes of data in one event.
        Bounds: at most 64 MiB. Default: 1 MiB.
    :param batch_bytes_max: The most bytes that are gathered into one batch.
        Bounds: 1 byte to 16 MiB. Default: 40 KiB.
    :param topic_backlog_bytes_max: A topic is full when this many bytes of its events wait to be
        sent.
        Bounds: at least 1 byte. Default: 40 KiB.
    :param backlog_bytes_max: The hub is full when this many bytes over all topics wait to be sent.
        Bounds: at least 1 byte. Default: 64 MiB.
    :param history_events_max: The most events of a topic that are kept for clients that come back;
        0 keeps none.
        Bounds: any. Default: 1,000.
    :param history_bytes_max: The most bytes of a topic's events that are kept.
        Bounds: any. Default: 1 MiB.
    :param history_age_max_ms: How long an event is kept.
        Bounds: at most 7 days. Default: 5 min.
    :param history_total_bytes_max: The most bytes of events that are kept over all topics.
        Bounds: any. Default: 64 MiB.
    :param lag_bytes_max: The most bytes that a connection may lag before its policy is applied,
        which is to disconnect unless its query names another one.
        Bounds: any. Default: 1 MiB.
    :param lag_age_max_ms: The longest time that a connection may lag.
        Bounds: at least lag_grace_ms. Default: 30 s.
    :param lag_grace_ms: How long a connection that lags too far is waited for when the publisher is
        faster than the network; 0 waits for none.
        Bounds: at most lag_age_max_ms. Default: 1 s.
    :param lag_grace_percent: The share of the time for which such connections are waited for, in
        percent; beyond it they are disconnected. At 100 all are waited for, however long that is:
        for a hub whose clients are trusted.
        Bounds: 0 to 100. Default: 5.
    :param lag_total_bytes_max: The most bytes that are kept for all connections that lag.
        Bounds: at least 1 byte. Default: 256 MiB.
    :param stall_time_max_ms: How long a connection's socket may take nothing while there is
        something to send to it, before the connection is disconnected; 0 for no bound.
        Bounds: 0, or 100 ms to 1 day. Default: 30 s.
    :param connections_max: The most connections.
        Bounds: 1 to 10,000,000. Default: 100,000.
    :param connections_per_address_max: The most connections from one address (from one /64 network
        in IPv6); 0 for no bound.
        Bounds: any. Default: 0.
    :param subscriptions_max: The most topics and filters that all connections may ask for together.
        Bounds: 1 to 100,000,000. Default: 1,000,000.
    :param subscriptions_per_address_max: The same for the connections from one address; 0 for no
        bound.
        Bounds: any. Default: 0.
    :param connection_age_max_ms: How old a connection may get before it is closed, to come back; 0
        for any age.
        Bounds: 0, or 1 s to 30 days. Default: 0.
    :param any_host: True: listeners on a loopback address serve requests whatever ``Host`` they
        name. False: only those that name an IP address, ``localhost`` or a name below it; others
        get 421. For listeners behind a proxy on the same machine that passes on its clients'
        ``Host``. It gives up what keeps a web page, whose own name is made to point to 127.0.0.1
        (DNS rebinding), from reading streams through a browser on this machine. On other addresses
        any ``Host`` is served.
        Bounds: True or False. Default: False.
    :param finished_age_max_ms: How long a topic that was finished is known: nothing can be
        published to it, and a client that comes late is sent what is kept, and the end. Then its
        name is free.
        Bounds: at most 7 days. Default: 5 min.
    :param heartbeat_form: What a connection is sent when it has been silent for ``heartbeat_ms``,
        and what its stream begins with, unless its query names another form.
        Bounds: id, comment or event. Default: id.
    :param policy: What happens to a connection that lags by more than ``lag_bytes_max`` or
        ``lag_age_max_ms``, unless its query or a rule names another policy.
        Bounds: disconnect, drop-oldest or conflate. Default: disconnect.
    :param gap_event: The name of the event by which a client is told that events are missing from
        its stream; no event of this name can be published.
        Bounds: 1 to 256 bytes without CR, LF or NUL, and none of message, open, error and
        fanfare-heartbeat. Default: fanfare-gap.
    :param data_dir: A folder in which the hub keeps what it keeps in memory as well, so that a hub
        which is started with it later has the same events, finished topics and rules, and clients
        come back with the ids that they had. It is made if it is missing, and belongs to one hub at
        a time.
        Bounds: a folder that can be written, or that can be made. Default: none.
    :param durability: What is promised of events that were accepted, if there is a ``data_dir``;
        :meth:`flush` waits until it holds.
        Bounds: os, interval or always. Default: interval.
    :param sync_interval_ms: How long an event may be with the operating system alone before the
        disk is told to take it, if the durability is ``interval``.
        Bounds: 1 ms to 1 min. Default: 50 ms.
    :param journal_backlog_bytes_max: A publisher finds the hub full when this many bytes wait to be
        written into the ``data_dir``.
        Bounds: at least 1 byte. Default: 16 MiB.
    :param cluster_url: Where the Redis or Valkey server of a cluster is, version 6.2 or later. Hubs
        that have the same server and the same ``cluster_prefix`` have one order of events, and what
        is published at one of them reaches the clients of all.
        redis://[[user]:password@]host[:port][/db], redis+unix:///path, or by Sentinels
        redis+sentinel://[[user]:password@]host[:port][,host[:port]]/service[/db]; the library of
        this package has no TLS to it. To make the hub waits for at most 10 s for the server. Not
        together with ``data_dir``.
        Bounds: redis://, rediss://, redis+unix://, redis+sentinel:// or rediss+sentinel:// with a
        host. Default: none.
    :param cluster_prefix: What the names of all keys begin with, in braces, on the cluster's
        server.
        Bounds: 1 to 128 letters, digits and -_.:. Default: fanfare.
    :param cluster_ca_file: A file with the certificates, in PEM, of those who may vouch for the
        server's certificate, for a library with TLS.
        Bounds: the path of a file. Default: none.
    :param cluster_stream_events_max: How many events the cluster's stream keeps at least, for hubs
        that come late.
        Bounds: 1,000 to 1,000,000,000. Default: 1,000,000.
    :param cluster_stream_bytes_max: After how many bytes the cluster's stream is cut all the same,
        without what the server adds.
        Bounds: at least 1 MiB. Default: 1 GiB.
    :param cluster_backlog_bytes_max: A publisher finds the hub full when this many bytes of its
        events are on their way through the cluster's server.
        Bounds: at least 64 KiB. Default: 16 MiB.
    :raises JournalError: The folder is another hub's, or cannot be written or read.
    :raises ClusterError: The cluster's server does not serve; the log says why.
    :raises OptionsError: An option is out of its bounds.
    :raises OutOfResourcesError: The system is out of descriptors, threads or memory.
    """

    def __init__(
        self,
        *,
        shards: int | None = None,
        heartbeat_ms: int | None = None,
        retry_ms: int | None = None,
        event_bytes_max: int | None = None,
        batch_bytes_max: int | None = None,
        topic_backlog_bytes_max: int | None = None,
        backlog_bytes_max: int | None = None,
        history_events_max: int | None = None,
        history_bytes_max: int | None = None,
        history_age_max_ms: int | None = None,
        history_total_bytes_max: int | None = None,
        lag_bytes_max: int | None = None,
        lag_age_max_ms: int | None = None,
        lag_grace_ms: int | None = None,
        lag_grace_percent: int | None = None,
        lag_total_bytes_max: int | None = None,
        stall_time_max_ms: int | None = None,
        connections_max: int | None = None,
        connections_per_address_max: int | None = None,
        subscriptions_max: int | None = None,
        subscriptions_per_address_max: int | None = None,
        connection_age_max_ms: int | None = None,
        any_host: bool | None = None,
        finished_age_max_ms: int | None = None,
        heartbeat_form: HeartbeatForm | None = None,
        policy: Policy | None = None,
        gap_event: Text | None = None,
        data_dir: str | bytes | os.PathLike[str] | None = None,
        durability: Durability | None = None,
        sync_interval_ms: int | None = None,
        journal_backlog_bytes_max: int | None = None,
        cluster_url: Text | None = None,
        cluster_prefix: Text | None = None,
        cluster_ca_file: str | bytes | os.PathLike[str] | None = None,
        cluster_stream_events_max: int | None = None,
        cluster_stream_bytes_max: int | None = None,
        cluster_backlog_bytes_max: int | None = None,
    ) -> None:
        memory = Memory()
        made = hub_options()
        for option, value in (
            ("shards", shards),
            ("heartbeat_ms", heartbeat_ms),
            ("retry_ms", retry_ms),
            ("event_bytes_max", event_bytes_max),
            ("batch_bytes_max", batch_bytes_max),
            ("topic_backlog_bytes_max", topic_backlog_bytes_max),
            ("backlog_bytes_max", backlog_bytes_max),
            ("history_events_max", history_events_max),
            ("history_bytes_max", history_bytes_max),
            ("history_age_max_ms", history_age_max_ms),
            ("history_total_bytes_max", history_total_bytes_max),
            ("lag_bytes_max", lag_bytes_max),
            ("lag_age_max_ms", lag_age_max_ms),
            ("lag_grace_ms", lag_grace_ms),
            ("lag_grace_percent", lag_grace_percent),
            ("lag_total_bytes_max", lag_total_bytes_max),
            ("stall_time_max_ms", stall_time_max_ms),
            ("connections_max", connections_max),
            ("connections_per_address_max", connections_per_address_max),
            ("subscriptions_max", subscriptions_max),
            ("subscriptions_per_address_max", subscriptions_per_address_max),
            ("connection_age_max_ms", connection_age_max_ms),
            ("any_host", any_host),
            ("finished_age_max_ms", finished_age_max_ms),
            ("sync_interval_ms", sync_interval_ms),
            ("journal_backlog_bytes_max", journal_backlog_bytes_max),
            ("cluster_stream_events_max", cluster_stream_events_max),
            ("cluster_stream_bytes_max", cluster_stream_bytes_max),
            ("cluster_backlog_bytes_max", cluster_backlog_bytes_max),
        ):
            assign(made, option, value)
        choose(made, "heartbeat_form", heartbeat_form)
        choose(made, "policy", policy)
        choose(made, "durability", durability)
        if gap_event is not None:
            made.gap_event = memory.text(gap_event)
        if data_dir is not None:
            made.data_dir = memory.text(os.fsencode(data_dir))
        if cluster_url is not None:
            made.cluster_url = memory.text(cluster_url)
        if cluster_prefix is not None:
            made.cluster_prefix = memory.text(cluster_prefix)
        if cluster_ca_file is not None:
            made.cluster_ca_file = memory.text(os.fsencode(cluster_ca_file))
        out = ffi.new("fanfare_hub **")
        status = lib.fanfare_hub_new(made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_options_problem)
        check(status)
        self._native = ffi.gc(out[0], lib.fanfare_hub_free)
        self._is_clustered = cluster_url is not None
        self._authorizer: Authorizer | None = None
        self._is_open_to_all = False
        self._closing: list[Callable[[], None]] = []  # what ends with the hub
        self._abandoned = weakref.finalize(
            self, _close_abandoned, self._native, self._closing, os.getpid()
        )

    def __repr__(self) -> str:
        return f"<fanfare.Hub{'' if self._abandoned.alive else ' closed'}>"

    def close(self) -> None:
        """Closes the hub. What was published is sent for at most two seconds more.

        Then every connection is closed and the engine's threads have ended when this returns. Calls
        that wait in other threads raise ``ClosedError``. Closing once more does nothing, as does
        closing a hub of the parent's in the child of a fork. From asyncio use :meth:`close_async`.
        """
        self._abandoned.detach()
        blocking(_closer(self._native, self._closing))

    async def close_async(self) -> None:
        """Closes the hub as :meth:`close` does, without blocking the event loop."""
        self._abandoned.detach()
        await unblocking(_closer(self._native, self._closing))

    def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was published before is as safe as ``durability`` promises, or in a
        cluster until the cluster's server has it.

        It is for a program that publishes many events without waiting, and then wants to know once.

        :param timeout: How many seconds to wait; ``None`` for as long as it takes.
        :raises TimedOutError: It was not written within ``timeout``. The events are published.
        :raises JournalError: It cannot be written, or the hub has neither a ``data_dir`` nor a
            cluster.
        :raises ClusterError: The cluster's server cannot be reached.
        :raises ForkedError: The hub was made before a fork.
        """
        check(interruptible(self._flusher(timeout)))

    async def flush_async(self, timeout: float | None = None) -> None:
        """Waits as :meth:`flush` does, without blocking the event loop."""
        check(await unblocking(self._flusher(timeout)))

    def _flusher(self, timeout: float | None) -> Callable[[], int]:
        native = self._native
        wait_ms = milliseconds(timeout)
        return lambda: int(lib.fanfare_hub_flush(native, wait_ms))

    def drain(
        self,
        *,
        window_ms: int | None = None,
        grace_ms: int | None = None,
        retry_ms: int | None = None,
    ) -> Drained:
        """Ends the hub without a storm of reconnections, and closes it.

        No client is accepted any more, and the connections are closed evenly over a window. Each is
        first sent everything, and told when to come back. It takes at most the window, the grace
        and the 2 s of a close. What interrupts it leaves the drain to go on by itself.

        :param window_ms: The connections are closed evenly over this time; 0 closes all at once.
            Bounds: at most 1 hour. Default: 3 s.
        :param grace_ms: How much longer a connection that lags may take what waits for it.
            Bounds: at most 1 hour. Default: 1 s.
        :param retry_ms: Each client is told to come back after a time drawn from this to twice
            this; 0 tells nothing.
            Bounds: at most 1 day. Default: 2 s.
        :raises OptionsError: An option is out of its bounds, and nothing was begun.
        :raises ForkedError: The hub was made before a fork.
        """
        return interruptible(self._drainer(window_ms, grace_ms, retry_ms))

    async def drain_async(
        self,
        *,
        window_ms: int | None = None,
        grace_ms: int | None = None,
        retry_ms: int | None = None,
    ) -> Drained:
        """Drains the hub as :meth:`drain` does, without blocking the event loop."""
        return await unblocking(self._drainer(window_ms, grace_ms, retry_ms))

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Hub:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close_async()

    def _drainer(
        self, window_ms: int | None, grace_ms: int | None, retry_ms: int | None
    ) -> Callable[[], Drained]:
        made = drain_options()
        assign(made, "window_ms", window_ms)
        assign(made, "grace_ms", grace_ms)
        assign(made, "retry_ms", retry_ms)
        native, abandoned, closing = self._native, self._abandoned, self._closing

        def drain() -> Drained:
            drained = struct("fanfare_drained")
            status = lib.fanfare_hub_drain(native, made, drained)
            if status == lib.FANFARE_ERR_OPTIONS:
                raise problem(made, lib.fanfare_drain_options_problem)
            check(status)
            abandoned.detach()
            _close(native, closing)
            return Drained(told=drained.told, cut=drained.cut)

        return drain


def hub_options() -> Any:  # noqa: ANN401 (cffi has no types)
    """Options of a hub that are all at their defaults."""
    return options("fanfare_options")


def drain_options() -> Any:  # noqa: ANN401 (cffi has no types)
    """Options of a drain that are all at their defaults."""
    return options("fanfare_drain_options")


def _close(native: Any, closing: list[Callable[[], None]]) -> None:  # noqa: ANN401 (cffi)
    status = lib.fanfare_hub_close(native)
    while closing:
        closing.pop()()
    if status != lib.FANFARE_ERR_FORKED:
        check(status)


def _closer(native: Any, closing: list[Callable[[], None]]) -> Callable[[], None]:  # noqa: ANN401
    return lambda: _close(native, closing)


def _close_abandoned(
    native: Any,  # noqa: ANN401 (cffi has no types)
    closing: list[Callable[[], None]],
    pid: int,
) -> None:
    """The backstop for a hub that was never closed, which waits for the clients here and now."""
    if os.getpid() == pid:
        warnings.warn("a fanfare.Hub was not closed", ResourceWarning, stacklevel=2)
        _close(native, closing)
