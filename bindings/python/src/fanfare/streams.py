"""Streams that the program reads, and connections that it hands over."""

from __future__ import annotations

import math
import socket
import ssl
import time
from types import TracebackType
from typing import Any

from ._base import SLICE_MS, Base
from ._convert import (
    Envelope,
    Headers,
    HeartbeatForm,
    Memory,
    Moment,
    Policy,
    Start,
    Text,
    Topics,
    assign,
    begin,
    choose,
    encoded,
    options,
    problem,
    struct,
    taken,
    unix_ms,
)
from ._doorbell import LoopBell, OwnBell, Readable
from ._names import DisconnectReason, disconnect_reason
from ._native import ffi, lib
from ._waiting import bounded, gevent_here, trio_here
from .errors import DisconnectedError, EndedError, check, error
from .listening import fileno, given


def _headers() -> tuple[tuple[str, str], ...]:
    fields, count = ffi.new("fanfare_header **"), ffi.new("size_t *")
    check(lib.fanfare_stream_headers(fields, count))
    return tuple((taken(field.name), taken(field.value)) for field in fields[0][0 : count[0]])


#: The header fields of a response whose body is a stream: its type, which browsers are not to
#: guess, and what keeps proxies and caches from storing, compressing or holding back the events.
STREAM_HEADERS = _headers()


class Stream:
    """The event stream of one client, which the program sends to it by its own server.

    :meth:`fanfare.Hub.subscribe` makes it. Iterate it with ``for`` or ``async for``: each item is
    the ``bytes`` of some whole events, as they are to be sent. The iteration ends when the stream
    ends in order, and raises ``DisconnectedError`` when it was cut, which a server passes on as a
    broken response. It is a context manager, which closes it. It may outlive its hub.

    One thread or task reads it at a time; another one that reads gets ``BusyError``. Any thread may
    close it.
    """

    def __init__(self, native: Any) -> None:  # noqa: ANN401 (cffi has no types)
        self._native: Any = ffi.gc(native, lib.fanfare_stream_free)
        self._readable: Readable | OwnBell | None = None

    def read(self, timeout: float | None = None) -> bytes:
        """Reads the next batch. Signals are handled while it waits.

        :param timeout: How many seconds to wait for it; 0 does not wait, ``None`` has no bound.
        :raises TimedOutError: None came within ``timeout``.
        :raises EndedError: The stream has ended in order; ``reason`` says why.
        :raises DisconnectedError: It was cut; ``reason`` says why.
        :raises BusyError: Another thread reads it.
        :raises ForkedError: The hub was made before a fork.
        """
        timeout = bounded(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        slice_ms = SLICE_MS if gevent_here() is None else 0
        while True:
            left_ms = slice_ms if deadline is None else (deadline - time.monotonic()) * 1000
            batch = self._take(max(0, min(slice_ms, math.ceil(left_ms))))
            if batch is not None:
                return batch
            if slice_ms == 0:  # the library waits for nothing: other greenlets run at the doorbell
                self._notified_alone().wait(None if deadline is None else left_ms / 1000)
            if deadline is not None and time.monotonic() >= deadline:
                raise error(lib.FANFARE_ERR_TIMEOUT)

    async def read_async(self) -> bytes:
        """Reads the next batch without blocking the event loop. A cancelled call takes nothing.

        :raises EndedError: The stream has ended in order; ``reason`` says why.
        :raises DisconnectedError: It was cut; ``reason`` says why.
        """
        while (batch := self._take(0)) is None:
            await self._notified()
        return batch

    def close(self) -> None:
        """Ends the stream: its client is gone. What reads it gets ``EndedError``."""
        self._native = None
        readable, self._readable = self._readable, None
        if readable is not None:
            readable.close()

    @property
    def connection_id(self) -> int:
        """Its id among the hub's connections; 0 until its first batch has come."""
        out = ffi.new("uint64_t *")
        check(lib.fanfare_stream_id(self._open(), out))
        return int(out[0])

    @property
    def end_reason(self) -> DisconnectReason | None:
        """Why it has ended, such as "finished", once all of it was read; else ``None``."""
        return self._end()[0]

    @property
    def is_complete(self) -> bool:
        """Whether it is empty, and always was: all topics are finished, and its client has all.

        A server answers the request with the status 204, after which an ``EventSource`` does not
        come back.
        """
        out = ffi.new("uint32_t *")
        check(lib.fanfare_stream_is_complete(self._open(), out))
        return bool(out[0])

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        try:
            return self.read()
        except DisconnectedError:
            raise
        except EndedError:
            raise StopIteration from None

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.read_async()
        except DisconnectedError:
            raise
        except EndedError:
            raise StopAsyncIteration from None

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> Any:  # noqa: ANN401 (cffi has no types)
        native = self._native
        if native is None:
            problem = EndedError(lib.FANFARE_ERR_ENDED, "the stream was closed")
            problem.reason = "closed"
            raise problem
        return native

    def _take(self, timeout_ms: int) -> bytes | None:
        native, batch = self._open(), ffi.new("fanfare_text *")
        status = lib.fanfare_stream_next(native, timeout_ms, batch)
        if status == lib.FANFARE_OK:
            return bytes(ffi.unpack(batch.data, batch.length))
        if status == lib.FANFARE_ERR_TIMEOUT:
            return None
        if status == lib.FANFARE_ERR_ENDED:
            reason, is_cut = self._end()
            ended = DisconnectedError if is_cut else EndedError
            how = "was cut" if is_cut else "has ended"
            problem = ended(status, f"the stream {how}: {reason}")
            problem.reason = reason or ""
            raise problem
        raise error(status)

    def _end(self) -> tuple[DisconnectReason | None, bool]:
        reason, is_cut = ffi.new("int32_t *"), ffi.new("uint32_t *")
        check(lib.fanfare_stream_end(self._open(), reason, is_cut))
        return (disconnect_reason(reason[0]) if reason[0] else None), bool(is_cut[0])

    def _notified(self) -> Readable | OwnBell:
        if trio_here() is not None:
            return self._notified_alone()
        bell = LoopBell.of_running_loop()
        if not isinstance(self._readable, Readable) or self._readable.bell is not bell:
            readable = Readable(bell)
            check(lib.fanfare_stream_notify(self._open(), bell.doorbell.native, readable.token))
            self._readable = readable
            self._open()  # another thread that has closed it meanwhile could not tell of it
        return self._readable

    def _notified_alone(self) -> OwnBell:
        if not isinstance(self._readable, OwnBell):
            bell = OwnBell()
            check(lib.fanfare_stream_notify(self._open(), bell.doorbell.native, bell.token))
            self._readable = bell
            self._open()  # as above
        return self._readable


class Streaming(Base):
    """Streams for the program's own server. Each method may be called from any thread."""

    def subscribe(
        self,
        topics: Topics,
        *,
        last_event_id: Text | None = None,
        tag: Text | None = None,
        addr: Text | None = None,
        start: Start | None = None,
        gap_start: Start | None = None,
        policy: Policy | None = None,
        heartbeat_form: HeartbeatForm | None = None,
        envelope: Envelope | None = None,
        expires_at: Moment | None = None,
        queue_bytes_max: int | None = None,
    ) -> Stream:
        """Subscribes the program itself, for a client that its own server sends the stream to.

        What a client's connection would be sent comes out of the stream, without the head of a
        response (``STREAM_HEADERS`` has its fields). It counts as a connection. Waits for nothing.

        :param topics: A topic or filter, or 1 to 65,536 of them.
        :param last_event_id: The client's ``Last-Event-ID``: its stream begins behind that event.
            At most 4 KiB; one that no event can have is one that is gone.
        :param tag: A label by which the connection is found again, 1 to 256 bytes without control
            characters.
        :param addr: The client's address, which counts against limits per address: an IP address,
            with or without a port.
        :param start: Where the stream of a client without an id begins. Default: now.
        :param gap_start: Where it begins if the id is gone. Default: by the gap's reason.
        :param policy: What happens when it lags too far. Default: that of the rules of its topics,
            or the hub's.
        :param heartbeat_form: The form of heartbeats. Default: the hub's.
        :param envelope: What is around the data of events. Default: nothing.
        :param expires_at: When the stream ends.
        :param queue_bytes_max: The most bytes that wait to be read.
            Bounds: 1 byte to 16 MiB. Default: 128 KiB.
        :raises SubscriptionError: A topic or filter is none, or there are none.
        :raises OptionsError: An option is out of its bounds.
        :raises LimitError: The hub has as many connections or subscriptions as its options allow.
        :raises ClosedError: The hub is closed.
        :raises ForkedError: The hub was made before a fork.
        """
        memory = Memory()
        made = _stream_options(
            memory,
            last_event_id,
            tag,
            addr,
            start,
            gap_start,
            policy,
            heartbeat_form,
            envelope,
            expires_at,
            queue_bytes_max,
        )
        array, count = memory.texts(topics)
        out = ffi.new("fanfare_stream **")
        status = lib.fanfare_hub_subscribe(self._native, array, count, made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_stream_options_problem)
        check(status)
        return Stream(out[0])

    def adopt(
        self,
        sock: socket.socket | int,
        topics: Topics,
        *,
        method: Text = "GET",
        version: Text = "HTTP/1.1",
        headers: Headers = (),
        read_ahead_bytes: int = 0,
        is_tls: bool = False,
        has_unread_content: bool = False,
        last_event_id: Text | None = None,
        tag: Text | None = None,
        addr: Text | None = None,
        start: Start | None = None,
        gap_start: Start | None = None,
        policy: Policy | None = None,
        heartbeat_form: HeartbeatForm | None = None,
        envelope: Envelope | None = None,
        expires_at: Moment | None = None,
    ) -> None:
        """Makes an event stream of a connection whose request the program has read and authorized.

        The engine writes the whole answer, its head included. Nobody else may read from the socket,
        write to it or shut it down any more. Never blocks. Nothing is missed that is published
        after the head was sent. What is not below is as of :meth:`subscribe`.

        :param sock: A connected socket of TCP or a Unix domain, or its descriptor: of plain
            HTTP/1.1 or HTTP/1.0, with nothing that waits to be sent or read. It is the hub's when
            this returns, and a ``socket`` is detached then. After an error it is yours, nothing was
            written to it, and you answer the request, as a rule with 503.
        :param method: ``GET``, or ``POST`` whose content was read whole.
        :param version: The request's version of HTTP, such as ``HTTP/1.1`` or ``1.0``.
        :param headers: Header fields of the answer beside the engine's own, at most 32 and 4 KiB.
        :param read_ahead_bytes: How many bytes behind the request the server has read; more than 0
            are refused.
        :param is_tls: Whether the connection is encrypted by the server, which is refused. It
            always is for an ``ssl.SSLSocket``.
        :param has_unread_content: Whether some of the request's content was not read, which is
            refused.
        :raises SocketError: It is no such socket.
        :raises TLSSocketError: The connection is encrypted; use :meth:`subscribe`.
        :raises UnreadSocketError: The client has sent more than the request.
        :raises UnsentSocketError: Bytes that were written are not sent yet.
        :raises RequestError: A stream cannot answer the method, version or a header field.
        :raises BusyError: Try again a little later.
        :raises FanfareError: As of :meth:`subscribe`.
        """
        memory, request = Memory(), struct("fanfare_adopt_request")
        request.topics, request.topics_count = memory.texts(topics)
        request.options = made = _stream_options(
            memory,
            last_event_id,
            tag,
            addr,
            start,
            gap_start,
            policy,
            heartbeat_form,
            envelope,
            expires_at,
            None,
        )
        request.method = memory.text(method)
        request.version = memory.text(version)
        request.headers, request.headers_count = memory.headers(headers)
        assign(request, "read_ahead_bytes", read_ahead_bytes)
        request.is_tls = bool(is_tls) or isinstance(sock, ssl.SSLSocket)
        request.has_unread_content = bool(has_unread_content)
        status = lib.fanfare_hub_adopt(self._native, fileno(sock), request)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_stream_options_problem)
        check(status)
        given(sock)


def _stream_options(
    memory: Memory,
    last_event_id: Text | None,
    tag: Text | None,
    addr: Text | None,
    start: Start | None,
    gap_start: Start | None,
    policy: Policy | None,
    heartbeat_form: HeartbeatForm | None,
    envelope: Envelope | None,
    expires_at: Moment | None,
    queue_bytes_max: int | None,
) -> Any:  # noqa: ANN401 (cffi has no types)
    made = options("fanfare_stream_options")
    for option, text in (("last_event_id", last_event_id), ("tag", tag), ("addr", addr)):
        if text is not None:
            setattr(made, option, memory.text(encoded(text)))
    begin(made, "start", start)
    begin(made, "gap_start", gap_start)
    choose(made, "policy", policy)
    choose(made, "heartbeat_form", heartbeat_form)
    choose(made, "envelope", envelope)
    made.expires_at_unix_ms = unix_ms(expires_at)
    assign(made, "queue_bytes_max", queue_bytes_max)
    return made
