"""Queues of notices, whose doorbell is a descriptor that a thread or an event loop waits at.

No thread of the engine ever enters the interpreter: what is told waits in a bounded queue of the
library's until Python drains it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ._native import ffi, lib
from ._waiting import trio_here
from .errors import check, error

T = TypeVar("T")

#: The longest time that a thread waits at once, in seconds, before it looks whether it shall end.
SLICE_S = 0.25
#: How many notices are drained at once.
CAPACITY = 64
#: For how long streams go on in one turn of the loop, in seconds: about as long as most of what
#: else a loop does in a turn.
TURN_S = 0.001


class Doorbell:
    """A queue of notices with one reader. It is freed with the last reference to it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        out, fd = ffi.new("fanfare_notices **"), ffi.new("int *")
        check(lib.fanfare_notices_new(out))
        self.native = ffi.gc(out[0], lib.fanfare_notices_free)
        check(lib.fanfare_notices_doorbell(self.native, fd))
        self.fd = int(fd[0])
        self._array = ffi.new("fanfare_notice[]", capacity)
        self._capacity = capacity
        self._count = ffi.new("size_t *")
        self._draining = threading.Lock()
        self._wake: Callable[[], None] | None = None
        #: Whether :meth:`wake` was called.
        self.is_woken = False

    def drain(self, read: Callable[[Any], T], capacity: int | None = None) -> list[T]:
        """What a function reads of the next notices, whose texts are valid until it returns.

        :raises BusyError: Another thread drains, or this one does and was interrupted by a signal.
        """
        size, most = ffi.sizeof("fanfare_notice"), min(capacity or self._capacity, self._capacity)
        if not self._draining.acquire(blocking=False):
            raise error(lib.FANFARE_ERR_BUSY)
        try:
            check(lib.fanfare_notices_drain(self.native, self._array, size, most, self._count))
            return [read(self._array[index]) for index in range(self._count[0])]
        finally:
            self._draining.release()

    def remove(self, token: int) -> None:
        """Ends the sources with a token; there need be none."""
        lib.fanfare_notices_remove(self.native, token)

    def wait(self, seconds: float | None) -> bool:
        """Waits for a slice of a time at most, in which signals are handled."""
        seconds = SLICE_S if seconds is None else max(0.0, min(SLICE_S, seconds))
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    async def wait_async(self) -> None:
        """Waits in the running event loop, unless :meth:`wake` was called.

        :raises BusyError: Another task waits.
        """
        if self._wake is not None:
            raise error(lib.FANFARE_ERR_BUSY)
        trio = trio_here()
        try:
            await (self._wait_in_asyncio() if trio is None else self._wait_in_trio(trio))
        finally:
            self._wake = None

    async def _wait_in_asyncio(self) -> None:
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()
        self._wake = lambda: call_soon(loop, lambda: _ring(rung))
        if self.is_woken:
            return
        loop.add_reader(self.fd, _ring, rung)
        try:
            await rung
        finally:
            loop.remove_reader(self.fd)

    async def _wait_in_trio(self, trio: Any) -> None:  # noqa: ANN401 (it need not be installed)
        scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

        def wake() -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(scope.cancel)

        self._wake = wake
        if self.is_woken:
            return
        with scope:
            await trio.lowlevel.wait_readable(self.fd)

    def wake(self) -> None:
        """Ends the wait of a task, and all later ones, from any thread."""
        self.is_woken = True  # first, as a task that begins to wait looks at it last
        wake = self._wake
        if wake is not None:
            wake()


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)


def call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Calls a function in a loop from any thread, unless the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


class Readable:
    """Whether there is something to read of a stream, for the one task of asyncio's that reads it.

    The task awaits it again and again. For the task it is a future, though one for any number of
    waits. A future for each wait, and coroutines around it, would be tens of thousands of new
    objects while ten thousand streams go on; a collection of garbage looks at all of them, which
    stopped the loop for tens of milliseconds.
    """

    __slots__ = (
        "__weakref__",
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_is_set",
        "_loop",
        "bell",
        "native",
        "token",
    )

    def __init__(self, bell: LoopBell) -> None:
        self.bell = bell
        self.native = bell.doorbell.native
        self.token = bell.add(self)
        self._loop = asyncio.get_running_loop()
        self._is_set = False
        #: What has the task go on that waits, and where: of a task that waits alone.
        self._callback: Callable[[Any], object] | None = None
        self._context: contextvars.Context | None = None
        #: Whether a task has yet to see that it is to wait, as in futures of asyncio's.
        self._asyncio_future_blocking = False

    def __await__(self) -> Generator[Any, None, None]:
        if self._callback is not None:
            raise error(lib.FANFARE_ERR_BUSY)
        self._asyncio_future_blocking = not self._is_set
        self._is_set = False
        return self  # type: ignore[return-value]

    def __iter__(self) -> Readable:
        return self

    def __next__(self) -> Readable:
        if self._asyncio_future_blocking:
            return self
        raise StopIteration

    async def wait_async(self) -> None:
        await self

    def wait_its_turn(self) -> Readable:
        """Itself, to be awaited while there is more to read: until others have gone on."""
        self._is_set = False  # it is looked at again anyway
        self.bell.append(self)
        return self

    def go_on(self) -> None:
        """Has the task that waits run on, here and now, where no other task runs."""
        callback, context = self._callback, self._context
        if callback is None or context is None:
            self._is_set = True
            return
        self._callback = self._context = None
        context.run(callback, self)

    def close(self) -> None:
        """Wakes what waits, from any thread."""
        self.bell.drop(self.token)
        call_soon(self._loop, self.go_on)

    # What a task asks a future.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: contextvars.Context
    ) -> None:
        self._callback, self._context = callback, context

    def result(self) -> None:
        pass

    def cancel(self, msg: object = None) -> bool:
        callback, context = self._callback, self._context
        if callback is None:
            return False
        self._callback = self._context = None
        self._loop.call_soon(callback, _Cancelled(msg), context=context)
        return True


class _Cancelled:
    """The result of a wait whose task is cancelled."""

    def __init__(self, message: object) -> None:
        self._args = () if message is None else (message,)

    def result(self) -> None:
        raise asyncio.CancelledError(*self._args)


class OwnBell:
    """The queue of one stream, where no loop of asyncio's can have one for all of its streams."""

    token = 1

    def __init__(self) -> None:
        self.doorbell = Doorbell(1)
        self.native = self.doorbell.native

    def wait(self, seconds: float | None) -> None:
        """Waits in the thread, or under gevent in the greenlet, for a slice of a time at most."""
        ends = time.monotonic() + (SLICE_S if seconds is None else max(0.0, min(SLICE_S, seconds)))
        # The doorbell also rings without a notice, as it does for a new source.
        while not self._drain() and not self.doorbell.is_woken:
            left = ends - time.monotonic()
            if left <= 0:
                return
            self.doorbell.wait(left)

    async def wait_async(self) -> None:
        """Waits for a notice in the running event loop, or until this is closed.

        :raises BusyError: Another task waits.
        """
        await self.doorbell.wait_async()
        while not self._drain() and not self.doorbell.is_woken:
            await self.doorbell.wait_async()

    def close(self) -> None:
        """Wakes what waits, from any thread."""
        self.doorbell.remove(self.token)
        self.doorbell.wake()

    def __await__(self) -> Generator[Any, None, None]:
        return self.wait_async().__await__()

    def _drain(self) -> bool:
        """Takes the notices that wait; whether there were any."""
        return bool(self.doorbell.drain(_token))


class LoopBell:
    """The queue of notices for the streams that one event loop reads.

    The streams go on one after the other, in each turn of the loop for some time alone, however
    many could. What is left keeps the doorbell readable, so that the loop comes back to it.
    """

    @staticmethod
    def of_running_loop() -> LoopBell:
        loop = asyncio.get_running_loop()
        bell = _bells.get(loop)
        if bell is None:
            bell = _bells[loop] = LoopBell()
            loop.add_reader(bell.doorbell.fd, bell._on_ring)
        return bell

    def __init__(self) -> None:
        self.doorbell = Doorbell()
        self._tokens = itertools.count(1)
        # A stream that is dropped takes its place here along.
        self._readable: weakref.WeakValueDictionary[int, Readable] = weakref.WeakValueDictionary()
        #: Those that may go on.
        self._due: deque[Readable] = deque()
        #: Whether the loop will call ``_turn``.
        self._is_scheduled = False

    def add(self, readable: Readable) -> int:
        token = next(self._tokens)
        self._readable[token] = readable
        return token

    def drop(self, token: int) -> None:
        self._readable.pop(token, None)
        self.doorbell.remove(token)

    def append(self, readable: Readable) -> None:
        """Has a stream go on when others have."""
        self._due.append(readable)
        self._schedule()

    def _on_ring(self) -> None:
        if not self._is_scheduled:
            self._turn()

    def _turn(self) -> None:
        self._is_scheduled = False
        ends = time.monotonic() + TURN_S
        due = self._due
        try:
            while (due or self._drain()) and time.monotonic() < ends:
                due.popleft().go_on()
        finally:
            if due:
                self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _drain(self) -> bool:
        """Takes in those that are told to be readable; whether there are any."""
        for token in self.doorbell.drain(_token):
            readable = self._readable.get(token)
            if readable is not None:
                self._due.append(readable)
        return bool(self._due)


def _token(notice: Any) -> int:  # noqa: ANN401 (cffi has no types)
    return int(notice.token)


def bell_here() -> Readable | OwnBell:
    """What tells the task that runs of one thing: close it afterwards."""
    return Readable(LoopBell.of_running_loop()) if trio_here() is None else OwnBell()


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell] = weakref.WeakKeyDictionary()
