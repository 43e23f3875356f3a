"""The connections behind ASGI servers, as far as a server lets an application reach them.

ASGI has no way to them. An application's ``send`` is a method of the server's own object for the
request, from which uvicorn's and hypercorn's transport can be reached. What is not found as it is
expected is taken for a server that gives no socket: nothing here raises for that.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from ._doorbell import call_soon
from ._serving import duplicated

#: Functions of Starlette that pass a message on as it is.
_TRANSPARENT = {
    "starlette.middleware.errors": "ServerErrorMiddleware.__call__.<locals>._send",
    "starlette._exception_handler": (
        "wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender"
    ),
}
_LAYERS_MAX = 16


class Connection(Protocol):
    """A connection on which a server has read a request."""

    def obstacle(self) -> str | None:
        """Why it cannot be handed over now, or ``None``."""

    def duplicate(self) -> int:
        """A descriptor of its own for the connection's socket."""
        ...

    def abort(self) -> bool:
        """Has the server forget the connection, without shutting it down or writing to it.

        It says whether that can be.
        """
        ...

    def on_shutdown(self, end: Callable[[], None]) -> Callable[[], object]:
        """Has a function called when the server begins to end; gives what undoes that."""
        ...


def connection_of(send: Any) -> Connection | None:  # noqa: ANN401 (it may be anything)
    """The connection that ``send`` writes to, if the server lets it be reached."""
    for _ in range(_LAYERS_MAX):
        if _TRANSPARENT.get(getattr(send, "__module__", "")) != getattr(send, "__qualname__", ""):
            break
        names = send.__code__.co_freevars
        send = send.__closure__[names.index("send")].cell_contents
    owner = getattr(send, "__self__", None)
    module = type(owner).__module__
    try:
        if module.startswith("uvicorn."):
            return _Uvicorn(owner)
        if module.startswith("hypercorn."):
            return _Hypercorn(owner)
    except AttributeError:
        pass  # a version that is built otherwise
    return None


class _Transported:
    """What connections of asyncio's have in common."""

    _transport: Any

    def duplicate(self) -> int:
        return duplicated(self._transport.get_extra_info("socket").fileno())

    def abort(self) -> bool:
        self._transport.abort()
        return True

    def _transport_obstacle(self) -> str | None:
        transport = self._transport
        if transport.is_closing():
            return "the connection is being closed"
        if transport.get_extra_info("sslcontext") or transport.get_extra_info("ssl_object"):
            return "the connection is encrypted"
        if transport.get_extra_info("socket") is None:
            return "the server gives no socket"
        if transport.get_write_buffer_size():
            return "an earlier answer waits to be sent"
        return None


class _Uvicorn(_Transported):
    """The owner is the ``RequestResponseCycle`` of a request."""

    def __init__(self, owner: Any) -> None:  # noqa: ANN401 (uvicorn's)
        self._cycle = owner
        self._transport = owner.transport
        self._protocol = owner.transport.get_protocol()

    def obstacle(self) -> str | None:
        cycle, protocol = self._cycle, self._protocol
        try:
            if cycle.response_started or cycle.disconnected:
                return "the answer was begun already"
            if cycle.more_body:
                return "content of the request was not read"
            if protocol.cycle is not cycle or protocol.scope is not cycle.scope:
                return "the server has read another request"
            h11 = getattr(cycle, "conn", None)
            if h11 is not None and h11.trailing_data[0]:
                return "the server has read another request"
            if h11 is None and protocol.pipeline:
                return "the server has read another request"
        except AttributeError:
            return "the server is one that is not known"
        return self._transport_obstacle()

    def on_shutdown(self, end: Callable[[], None]) -> Callable[[], object]:
        # Its connections are told to end by a method that is looked up in each.
        protocol, shutdown = self._protocol, getattr(self._protocol, "shutdown", None)
        if shutdown is None:
            return lambda: None

        def end_and_shut_down() -> None:
            shutdown()
            end()

        protocol.shutdown = end_and_shut_down
        return lambda: vars(protocol).pop("shutdown", None)


class _Hypercorn(_Transported):
    """The owner is the ``HTTPStream`` of a request."""

    def __init__(self, owner: Any) -> None:  # noqa: ANN401 (hypercorn's)
        self._stream = owner
        self._protocol = owner.send.__self__
        self._server: Any = None
        self._transport = None
        self._terminated = owner.context.terminated
        if hasattr(self._protocol, "connection") and owner.scope["http_version"] in ("1.0", "1.1"):
            self._server = self._protocol.send.__self__
            self._transport = self._server.writer.transport

    def obstacle(self) -> str | None:
        if self._transport is None:
            return "it is a connection of HTTP/2"
        try:
            if self._stream.state.name != "REQUEST" or self._stream.closed:
                return "the answer was begun already"
            h11 = self._protocol.connection
            if h11.their_state.__name__ not in ("DONE", "MUST_CLOSE"):
                return "content of the request was not read"
            if h11.trailing_data[0] or self._server.reader._buffer:
                return "the server has read another request"
        except AttributeError:
            return "the server is one that is not known"
        return self._transport_obstacle()

    def abort(self) -> bool:
        return self._transport is not None and super().abort()  # else others have streams on it

    def on_shutdown(self, end: Callable[[], None]) -> Callable[[], object]:
        async def wait() -> None:
            await self._terminated.wait()
            end()

        return asyncio.ensure_future(wait()).cancel


def on_shutdown(connection: Connection | None, end: Callable[[], None]) -> Callable[[], object]:
    """Has a function called when the server begins to end; gives what undoes that.

    Where the connection cannot be reached, it is the signal that tells, as long as it is the main
    thread that runs the event loop. It is called at once if the server has begun already.
    """
    if _is_ending():
        end()
    if connection is not None:
        return connection.on_shutdown(end)
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = _Watch(loop)
    return watch.add(end)


class _Watch:
    """What one event loop ends when the process is told to end, besides what the server does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._ends: dict[object, Callable[[], None]] = {}
        self.before: dict[int, Any] = {}
        self.is_told = False

    def add(self, end: Callable[[], None]) -> Callable[[], object]:
        key = object()
        if not self._ends:
            self._begin()
        self._ends[key] = end

        def undo() -> None:
            if self._ends.pop(key, None) is not None and not self._ends:
                self._stop()

        return undo

    def _begin(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before) and before is not signal.default_int_handler:
                self.before[number] = before
                signal.signal(number, self._told)

    def _stop(self) -> None:
        for number, before in self.before.items():
            if signal.getsignal(number) == self._told:  # else somebody has taken its place
                signal.signal(number, before)
        self.before.clear()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.is_told = True
        loop = self._loop()
        if loop is not None:
            call_soon(loop, self._end_all)
        if number in self.before:
            self.before[number](number, frame)

    def _end_all(self) -> None:
        for end in list(self._ends.values()):
            end()


def _is_ending() -> bool:
    """Whether it is known that the server has begun to end: uvicorn's handler of signals knows."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    while isinstance(owner, _Watch):
        if owner.is_told:
            return True
        owner = getattr(owner.before.get(signal.SIGTERM), "__self__", None)
    return getattr(owner, "should_exit", False) is True


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()
