"""Authorizers: what decides which client gets which stream."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from ._asking import TOKEN, Asking, InLoop, InThreads
from ._base import Base
from ._convert import assign, options, problem
from ._doorbell import Doorbell
from ._native import ffi, lib
from .errors import check
from .grants import Grant, Refusal
from .stream_request import StreamRequest

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
    with ``async def`` in the event loop, of asyncio or trio, that runs when the first listener gets
    the authorizer.
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
        status = lib.fanfare_authorizer_new_ask(doorbell.native, TOKEN, made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_ask_options_problem)
        check(status)
        self._native = ffi.gc(out[0], lib.fanfare_authorizer_free)
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (an object's own)
        )
        self._asking: Asking
        if is_async:
            self._asking = InLoop(self._native, doorbell, function, made)
        else:
            self._asking = InThreads(self._native, doorbell, function, threads)
        self._dropped = weakref.finalize(self, self._asking.close)
        self._dropped.atexit = False

    def close(self) -> None:
        """Asks no more: requests that come to its listeners are answered 503."""
        self._dropped()

    def _begin(self) -> Any:  # noqa: ANN401 (cffi has no types)
        self._asking.begin()
        return self._native


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
