"""Requests for paths without streams: the program's own server answers them on the same port."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._convert import decoded, out_of_bounds
from ._doorbell import Doorbell
from ._native import ffi, lib
from ._waiting import bounded
from .errors import check, error

_TOKEN = 1


@dataclass(frozen=True)
class Unhandled:
    """A connection whose request is for a path without streams. It is the program's now."""

    #: The connection. It blocks if :meth:`Fallback.accept` has given it, or an iteration with
    #: ``for``; it does not if :meth:`Fallback.accept_async` has.
    sock: socket.socket
    #: What was read of it, at least the request's head: what comes next is behind that.
    read: bytes
    #: The client's address and port; ``""`` at a Unix domain socket.
    addr: str
    #: Where the connection is from, if that is another address: a proxy of the listener's option
    #: ``trusted_proxies``. Else ``""``.
    peer: str
    #: Whether it is from a proxy that speaks for clients which it does not name.
    is_proxy: bool


class Fallback:
    """Takes a listener's connections whose requests are for paths without streams.

    Give it to :meth:`fanfare.Hub.listen`, to several listeners if you like. Then accept its
    connections, as of a socket that listens::

        fallback = Fallback()
        listener = hub.listen("127.0.0.1:8080", fallback=fallback)
        for unhandled in fallback:  # or `async for`
            with unhandled.sock as sock:
                sock.sendall(answer(unhandled.read))

    A client that asks for events later on such a connection is given back by
    :meth:`fanfare.Listener.admit`, with the ``addr``, ``peer`` and ``is_proxy`` of here. One thread
    or task accepts at a time; another one gets ``BusyError``. Any thread may close it, and it is a
    context manager, which closes it. Keep it as long as its listeners: requests to those of one
    that is closed or dropped are answered 503.

    :param capacity: The most connections that wait to be accepted; requests beyond them are
        answered 503.
        Bounds: 1 to 65,536. Default: 1,024.
    :raises OptionsError: ``capacity`` is out of its bounds.
    """

    def __init__(self, capacity: int = 1024) -> None:
        if not 1 <= capacity <= 65_536:
            raise out_of_bounds("capacity", "1 to 65,536")
        self._doorbell = Doorbell(1)  # one at a time: the others wait in the library
        out = ffi.new("fanfare_fallback **")
        check(lib.fanfare_fallback_new(self._doorbell.native, _TOKEN, capacity, out))
        #: Freed with the last reference to it, which each call under way has.
        self._native: Any = ffi.gc(out[0], lib.fanfare_fallback_free)

    def accept(self, timeout: float | None = None) -> Unhandled:
        """Waits for the next connection. Signals are handled meanwhile.

        :param timeout: How many seconds to wait; 0 does not wait, and ``None`` has no bound.
        :raises TimedOutError: None has come within ``timeout``.
        :raises ClosedError: It is closed.
        :raises BusyError: Another thread or task accepts.
        """
        timeout = bounded(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._begin()
            accepted = self._next()
            if accepted is not None:
                accepted.sock.setblocking(True)
                return accepted
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise error(lib.FANFARE_ERR_TIMEOUT)
            self._doorbell.wait(left)

    async def accept_async(self) -> Unhandled:
        """Waits for the next connection without blocking the event loop.

        A cancelled call takes none. Errors are as of :meth:`accept`.
        """
        self._begin()
        while (accepted := self._next()) is None:
            await self._doorbell.wait_async()
            self._begin()
        return accepted

    def close(self) -> None:
        """Closes the connections that wait to be accepted, and ends what waits for one.

        Closing once more does nothing.
        """
        self._native = None
        self._doorbell.wake()

    def __iter__(self) -> Fallback:
        return self

    def __next__(self) -> Unhandled:
        while self._native is not None:
            accepted = self._next()
            if accepted is not None:
                accepted.sock.setblocking(True)
                return accepted
            self._doorbell.wait(None)
        raise StopIteration

    def __aiter__(self) -> Fallback:
        return self

    async def __anext__(self) -> Unhandled:
        while self._native is not None:
            accepted = self._next()
            if accepted is not None:
                return accepted
            await self._doorbell.wait_async()
        raise StopAsyncIteration

    def __enter__(self) -> Fallback:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> Any:  # noqa: ANN401 (cffi has no types)
        """The library's fallback, for a listener's options."""
        native = self._native
        if native is None:
            raise error(lib.FANFARE_ERR_CLOSED, "the fallback is closed; make a new one")
        return native

    def _next(self) -> Unhandled | None:
        native = self._native
        if native is None:
            return None
        taken = self._doorbell.drain(lambda notice: _take(native, notice))
        return taken[0] if taken else None


def _take(native: Any, notice: Any) -> Unhandled | None:  # noqa: ANN401 (cffi has no types)
    """The connection that a notice tells of, unless it is not there any more."""
    if notice.kind != lib.FANFARE_NOTICE_UNHANDLED:
        return None
    fd, read = ffi.new("int *"), notice.request.content
    if lib.fanfare_fallback_take(native, notice.id, fd) != lib.FANFARE_OK:
        return None
    try:
        sock = socket.socket(fileno=fd[0])
    except OSError:
        os.close(fd[0])
        raise
    sock.setblocking(False)
    return Unhandled(
        sock,
        bytes(ffi.unpack(read.data, read.length)),
        decoded(notice.addr) or "",
        decoded(notice.peer) or "",
        bool(notice.is_proxy),
    )
