"""Authorizers: what decides which client gets which stream."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ._base import Base
from ._convert import Memory, all_taken, assign, decoded, options, problem, taken
from ._doorbell import CAPACITY, Doorbell, call_soon
from ._native import ffi, lib
from .errors import BusyError, FanfareError, ForkedError, check
from .grants import Grant, Refusal

_log = logging.getLogger("fanfare")
_TOKEN = 1


@dataclass(frozen=True)
class StreamRequest:
    """A client's request for a stream, which waits to be answered."""

    #: ``GET``, ``HEAD``, or ``POST`` where the route has it.
    method: str
    #: The path of the target, percent-encoded.
    path: str
    #: The query of the target as it was sent, without its ``?``.
    query: str
    #: All header fields, in their order.
    headers: tuple[tuple[str, str], ...]
    #: The content of a ``POST``; empty for others.
    content: bytes
    #: The id of the last event that the client had, if it comes back. It is what the client says.
    last_event_id: str | None
    #: The client's address and port; ``None`` at a Unix domain socket.
    addr: str | None
    #: What the stream would be subscribed to; nothing if the client leaves it to the grant.
    topics: tuple[str, ...]

    def header(self, name: str) -> str | None:
        """The value of the first header field of a name, in whatever case."""
        name = name.lower()
        return next((value for field, value in self.headers if field.lower() == name), None)


#: ``True`` grants any topics, and ``False`` refuses with 403.
Verdict = Grant | Refusal | bool
Decision = Callable[[StreamRequest], Verdict] | Callable[[StreamRequest], Awaitable[Verdict]]
F = TypeVar("F", bound=Decision)


class Authorizer:
    """What decides which client gets which stream; several listeners may have the same one."""

    _native: Any

    def _begin(self) -> Any:  # noqa: ANN401 (cffi has no types)
        """The library's authorizer, which decides from now on."""
        return self._native


class FunctionAuthorizer(Authorizer):
    """Has a function decide on each request for a stream.

    A function that is not a coroutine's is called in threads of its own, several at once; one
    with ``async def`` in the event loop that runs when the first listener gets the authorizer.
    It returns a ``Grant``, a ``Refusal``, ``True`` for any topics, or ``False`` for 403. When it
    raises, or returns something else, that is logged by the logger "fanfare", and the client is
    answered 503. Close the authorizer when its listeners are closed; a hub closes that of
    :meth:`fanfare.Hub.authorize` itself.

    :param function: It is called with a ``StreamRequest``.
    :param waiting_max: The most requests that wait at once; one beyond them is answered 503.
        Bounds: 1 to 65,536. Default: 1,024.
    :param timeout_ms: The longest time that a request waits; then it is answered 503.
        Bounds: 10 ms to 10 min. Default: 5 s.
    :param threads: How many threads call a function that is not a coroutine's.
        Bounds: 1 to 64.
    :raises OptionsError: An option is out of its bounds.
    """

    def __init__(
        self,
        function: Decision,
        *,
        waiting_max: int | None = None,
        timeout_ms: int | None = None,
        threads: int = 4,
    ) -> None:
        if not 1 <= threads <= 64:
            raise ValueError("threads may be 1 to 64")
        made, out = ask_options(), ffi.new("fanfare_authorizer **")
        assign(made, "waiting_max", waiting_max)
        assign(made, "timeout_ms", timeout_ms)
        doorbell = Doorbell()
        status = lib.fanfare_authorizer_new_ask(doorbell.native, _TOKEN, made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_ask_options_problem)
        check(status)
        self._native = ffi.gc(out[0], lib.fanfare_authorizer_free)
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (an object's own)
        )
        self._asking: _InLoop | _InThreads
        if is_async:
            self._asking = _InLoop(self._native, doorbell, function, made)
        else:
            self._asking = _InThreads(self._native, doorbell, function, threads)
        self._dropped = weakref.finalize(self, self._asking.close)
        self._dropped.atexit = False

    def close(self) -> None:
        """Asks no more: requests that come to its listeners are answered 503."""
        self._dropped()

    def _begin(self) -> Any:  # noqa: ANN401 (cffi has no types)
        self._asking.begin()
        return self._native


class _Asking:
    """Takes the requests out of the queue, and answers them."""

    def __init__(self, native: Any, doorbell: Doorbell, function: Any) -> None:  # noqa: ANN401
        self.native = native
        self.doorbell = doorbell
        self.function = function
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.doorbell.remove(_TOKEN)

    def answer(self, asked: int, verdict: object) -> None:
        memory = Memory()
        if verdict is True:
            verdict = Grant(any_topics=True)
        elif verdict is False:
            verdict = Refusal(403)
        if isinstance(verdict, Grant):
            made, function = verdict._native(memory), lib.fanfare_authorizer_allow
            find = lib.fanfare_grant_problem
        elif isinstance(verdict, Refusal):
            made, function = verdict._native(memory), lib.fanfare_authorizer_refuse
            find = lib.fanfare_refusal_problem
        else:
            raise TypeError(f"an authorizer returns a Grant, a Refusal or a bool, not {verdict!r}")
        status = function(self.native, asked, made)
        if status == lib.FANFARE_ERR_GRANT:
            raise problem(made, find, lib.FANFARE_ERR_GRANT)
        if status != lib.FANFARE_ERR_STALE:  # it has waited for too long, or its client has left
            check(status)

    def failed(self, asked: int) -> None:
        """Logs the exception that is handled, and has the client come again."""
        _log.exception("the authorizer has failed, and the client was told to come again")
        with contextlib.suppress(FanfareError):  # the client is answered when its time is over
            check(lib.fanfare_authorizer_give_up(self.native, asked))


class _InThreads(_Asking):
    """Calls the function in threads, which wait at the doorbell in turn."""

    def __init__(
        self,
        native: Any,  # noqa: ANN401 (cffi has no types)
        doorbell: Doorbell,
        function: Any,  # noqa: ANN401 (sync)
        threads: int,
    ) -> None:
        super().__init__(native, doorbell, function)
        self._turn = threading.Lock()
        self._threads = threads

    def begin(self) -> None:
        threads, self._threads = self._threads, 0
        for _ in range(threads):
            threading.Thread(target=self._run, name="fanfare-authorizer", daemon=True).start()

    def _run(self) -> None:
        while not self.closed:
            with self._turn:
                requests = self._next()
            for asked, request in requests:
                try:
                    self.answer(asked, self.function(request))
                except BaseException:  # a thread that ends would answer nobody
                    self.failed(asked)

    def _next(self) -> list[tuple[int, StreamRequest]]:
        while not self.closed:
            try:
                requests = self.doorbell.drain(_request, 1)
            except ForkedError:
                return []
            if requests:
                return requests
            self.doorbell.wait(None)
        return []


class _InLoop(_Asking):
    """Calls the function in tasks of an event loop, of which there are a bounded number."""

    def __init__(self, native: Any, doorbell: Doorbell, function: Any, made: Any) -> None:  # noqa: ANN401
        super().__init__(native, doorbell, function)
        self._tasks_max = made.waiting_max
        self._timeout = made.timeout_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        if self._loop is not None:
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "an authorizer with async def needs an event loop: listen from a coroutine"
            ) from None
        self._loop.add_reader(self.doorbell.fd, self._on_ring)

    def close(self) -> None:
        super().close()
        if self._loop is not None:
            loop = self._loop
            call_soon(loop, lambda: loop.remove_reader(self.doorbell.fd))

    def _on_ring(self) -> None:
        assert self._loop is not None
        room = min(CAPACITY, self._tasks_max - len(self._tasks))
        if room <= 0 or self.closed:
            self._loop.remove_reader(self.doorbell.fd)  # until a task is done
            return
        with contextlib.suppress(BusyError):
            for asked, request in self.doorbell.drain(_request, room):
                task = self._loop.create_task(self._decide(asked, request))
                self._tasks.add(task)
                task.add_done_callback(self._done)

    async def _decide(self, asked: int, request: StreamRequest) -> None:
        try:
            self.answer(asked, await asyncio.wait_for(self.function(request), self._timeout))
        except Exception:
            self.failed(asked)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._loop is not None and not self.closed and not self._loop.is_closed():
            self._loop.add_reader(self.doorbell.fd, self._on_ring)


class Authorizing(Base):
    """Who decides on a hub's streams."""

    _authorizer: Authorizer | None
    _is_open_to_all: bool
    _closing: list[Callable[[], None]]

    @overload
    def authorize(self, function: F) -> F: ...

    @overload
    def authorize(
        self,
        *,
        waiting_max: int | None = None,
        timeout_ms: int | None = None,
        threads: int = 4,
    ) -> Callable[[F], F]: ...

    def authorize(
        self,
        function: F | None = None,
        *,
        waiting_max: int | None = None,
        timeout_ms: int | None = None,
        threads: int = 4,
    ) -> F | Callable[[F], F]:
        """Has a function decide on each request for a stream: ``@hub.authorize``.

        It holds for all listeners that are opened afterwards without an authorizer of their own.
        The function and the options are those of :class:`fanfare.FunctionAuthorizer`; it is closed
        with the hub.

        :raises RuntimeError: The hub has such a function, or has a listener that is open to all.
        :raises OptionsError: An option is out of its bounds.
        """

        def authorize(function: F) -> F:
            if self._authorizer is not None:
                raise RuntimeError("the hub has an authorizer already")
            if self._is_open_to_all:
                raise RuntimeError("a listener is open to all: authorize before you listen")
            authorizer = FunctionAuthorizer(
                function, waiting_max=waiting_max, timeout_ms=timeout_ms, threads=threads
            )
            self._authorizer = authorizer
            self._closing.append(authorizer._asking.close)
            return function

        return authorize if function is None else authorize(function)


def ask_options() -> Any:  # noqa: ANN401 (cffi has no types)
    """Options of how the program is asked that are all at their defaults."""
    return options("fanfare_ask_options")


def _request(notice: Any) -> tuple[int, StreamRequest]:  # noqa: ANN401 (cffi has no types)
    request = notice.request
    if request == ffi.NULL:
        return notice.id, StreamRequest("", "", "", (), b"", None, None, ())
    return notice.id, StreamRequest(
        method=taken(request.method),
        path=taken(request.path),
        query=taken(request.query),
        headers=tuple(
            (taken(request.headers[index].name), taken(request.headers[index].value))
            for index in range(request.headers_count)
        ),
        content=_content(request.content),
        last_event_id=decoded(request.last_event_id),
        addr=decoded(notice.addr),
        topics=all_taken(notice.subscriptions, notice.subscriptions_count),
    )


def _content(text: Any) -> bytes:  # noqa: ANN401 (cffi has no types)
    return b"" if text.data == ffi.NULL else bytes(ffi.unpack(text.data, text.length))
