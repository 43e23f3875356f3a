"""The hub: what a program publishes to and clients listen to."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Union

from ._native import ffi, lib
from .errors import FanfareError, check, error

#: Text that is sent: ``bytes`` have to be UTF-8 already.
Text = Union[str, bytes]


class Hub:
    """A fan-out engine with threads of its own. It is safe to use from any thread.

    Use it with ``with``, or call :meth:`close` at the end. ``None`` stands for an option's default.

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
    ) -> None:
        options = _options(
            shards=shards,
            heartbeat_ms=heartbeat_ms,
            retry_ms=retry_ms,
            event_bytes_max=event_bytes_max,
            batch_bytes_max=batch_bytes_max,
            topic_backlog_bytes_max=topic_backlog_bytes_max,
            backlog_bytes_max=backlog_bytes_max,
            history_events_max=history_events_max,
            history_bytes_max=history_bytes_max,
            history_age_max_ms=history_age_max_ms,
            history_total_bytes_max=history_total_bytes_max,
            lag_bytes_max=lag_bytes_max,
            lag_age_max_ms=lag_age_max_ms,
            lag_grace_ms=lag_grace_ms,
            lag_grace_percent=lag_grace_percent,
            lag_total_bytes_max=lag_total_bytes_max,
            stall_time_max_ms=stall_time_max_ms,
            connections_max=connections_max,
            connections_per_address_max=connections_per_address_max,
            subscriptions_max=subscriptions_max,
            subscriptions_per_address_max=subscriptions_per_address_max,
            connection_age_max_ms=connection_age_max_ms,
            any_host=any_host,
            finished_age_max_ms=finished_age_max_ms,
        )
        out = ffi.new("fanfare_hub **")
        status = lib.fanfare_hub_new(options, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise _problem(options)
        check(status)
        self._hub = out[0]
        self._pid = os.getpid()
        self._closed = False
        self._callers: list[int] = []  # the threads that are in a call of the library's
        self._state = threading.Condition()  # guards the two above
        self._abandoned = weakref.finalize(self, _free_abandoned, self._hub)
        self._abandoned.atexit = False  # a daemon thread may still be in a call then

    def listen(self, addr: str = "127.0.0.1:0") -> int:
        """Accepts clients on an address such as ``127.0.0.1:8080`` until the hub is closed.

        Their streams have the path ``/events?topic=NAME``. Returns the port, which the system
        chooses if it is 0 in ``addr``.

        :raises AddressError: The address is not one, is in use, or may not be bound.
        :raises ClosedError: The hub is closed.
        """
        text = _text(addr)
        port = ffi.new("uint16_t *")
        with self._calling() as hub:
            check(lib.fanfare_hub_listen(hub, _lent(text), ffi.NULL, ffi.NULL, port))
        return int(port[0])

    def publish(
        self,
        topic: Text,
        data: Text | None = None,
        *,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
    ) -> str:
        r"""Publishes an event to every client that wants its topic. Never blocks.

        Returns the hub's id of the event, also when the event has an id of your own: an opaque
        text, which is empty when the event is published but its id is not known yet.

        :param topic: 1 to 256 bytes of UTF-8 without control characters, ``+`` and ``#``.
        :param data: CR, LF and CRLF in it are line breaks. ``""`` is empty data, which a client
            gets, and ``None`` is none at all, which fires nothing.
        :param name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
        :param id: An id of your own, instead of the hub's.
        :param key: What the event is about: of events with one key only the newest matters.
        :param retry_ms: The reconnection time that clients are to use from now on.
        :raises FullError: Too many bytes wait to be sent; nothing was published, try again a little
            later.
        :raises TopicError: The topic is not as it has to be.
        :raises EventError: The event is empty, or a field of it is not as it has to be.
        :raises EncodingError: ``bytes`` are not UTF-8, or a ``str`` has a lone surrogate.
        :raises TooLargeError: The event is larger than the option ``event_bytes_max``.
        :raises ClosedError: The hub is closed.
        """
        topic = _text(topic)
        event = ffi.new("fanfare_event *")
        event.size = ffi.sizeof("fanfare_event")
        texts = []  # keeps alive what the event points to
        for field, text in (("data", data), ("name", name), ("id", id), ("key", key)):
            if text is not None:
                texts.append(_lent(_text(text)))
                setattr(event, field, texts[-1])
        if retry_ms is not None:
            _assign(event, "retry_ms", retry_ms, lib.FANFARE_ERR_EVENT)
        published = ffi.new("fanfare_event_id *")
        with self._calling() as hub:
            check(lib.fanfare_hub_publish(hub, _lent(topic), event, published))
        return str(ffi.unpack(published.text, published.length), "ascii")

    def close(self) -> None:
        """Closes the hub. What was published is sent for at most two seconds more.

        Then every connection is closed and the threads have ended when this returns. Closing once
        more does nothing, as does closing a hub of the parent's in the child of a fork.
        """
        if os.getpid() != self._pid:
            self._abandoned.detach()
            return
        with self._state:
            self._closed = True
            # A call of this thread can only be one that a signal handler interrupted: it
            # cannot be waited for, and frees the hub itself when it ends.
            me = threading.get_ident()
            self._state.wait_for(lambda: all(caller == me for caller in self._callers))
        self._free_if_unused()

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _calling(self) -> Iterator[Any]:
        """The hub for the library, which must not be freed as long as a call is under way."""
        if os.getpid() != self._pid:  # the lock may be held by a thread that is not here
            raise error(lib.FANFARE_ERR_FORKED)
        me = threading.get_ident()
        with self._state:
            if self._closed:
                raise error(lib.FANFARE_ERR_CLOSED)
            self._callers.append(me)
        try:
            yield self._hub
        finally:
            with self._state:
                self._callers.remove(me)
                closed = self._closed
                if closed:
                    self._state.notify_all()
            if closed:
                self._free_if_unused()

    def _free_if_unused(self) -> None:
        with self._state:
            # Only one caller ever gets it from `detach`.
            unused = not self._callers and self._abandoned.detach() is not None
        if unused:
            lib.fanfare_hub_free(self._hub)


def _free_abandoned(hub: Any) -> None:  # noqa: ANN401 (cffi has no types)
    """The backstop for a hub that was never closed, which waits for the clients here and now."""
    warnings.warn("a fanfare.Hub was not closed", ResourceWarning, stacklevel=2)
    lib.fanfare_hub_free(hub)


def _options(**given: int | None) -> Any:  # noqa: ANN401 (cffi has no types)
    options = ffi.new("fanfare_options *")
    options.size = ffi.sizeof("fanfare_options")
    check(lib.fanfare_options_init(options))
    for option, value in given.items():
        if value is not None:
            message = _out_of_bounds(option, "a whole number from 0 to 2**64 - 1")
            _assign(options, option, value, lib.FANFARE_ERR_OPTIONS, message)
    return options


def _problem(options: Any) -> FanfareError:  # noqa: ANN401 (cffi has no types)
    """The error for options that the library has refused: it says which, and what it may be."""
    name, bounds = ffi.new("fanfare_text *"), ffi.new("fanfare_text *")
    check(lib.fanfare_options_problem(options, name, bounds))
    option, may_be = (ffi.unpack(text.data, text.length).decode() for text in (name, bounds))
    return error(lib.FANFARE_ERR_OPTIONS, _out_of_bounds(option, may_be))


def _out_of_bounds(option: str, bounds: str) -> str:
    return f"the option {option} is out of bounds: it may be {bounds}"


def _assign(
    struct: Any,  # noqa: ANN401 (cffi has no types)
    field: str,
    value: int,
    code: int,
    message: str = "",
) -> None:
    try:
        setattr(struct, field, value)
    except OverflowError:
        raise error(code, message) from None


def _lent(text: bytes) -> tuple[Any, int]:
    """A ``fanfare_text``, for as long as this tuple lives."""
    return ffi.from_buffer(text), len(text)


def _text(text: Text) -> bytes:
    """The bytes of a text; what UTF-8 has no bytes for is left for the engine to refuse."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    raise TypeError(f"expected str or bytes, not {type(text).__name__}")
