"""What all parts of a hub have in common, and how they wait."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from ._doorbell import LoopBell, Readable
from ._native import lib
from .errors import check, error

T = TypeVar("T")
#: The longest time that the library is waited for at once, so that signals' handlers run.
SLICE_MS = 100
#: How long a coroutine sleeps before it tries again if too many wait to be told of space.
PAUSE_S = 0.016


class Call(Protocol):
    """What is published when there is space."""

    def __call__(self, timeout_ms: int) -> int:
        """Publishes, waiting for space for so long at most, and returns the status."""

    def ask(self, notices: Any, token: int) -> int:  # noqa: ANN401 (cffi has no types)
        """Has a queue of notices tell once when there is space, and returns the status."""


class Base:
    """The library's hub.

    It is freed with the last reference to it, which each call under way has. So a hub may be
    closed and dropped at any time, and there is no lock around the calls.
    """

    _native: Any


def wait_for(call: Callable[[int], int], timeout: float | None) -> None:
    """Has the library wait until a call with a time in milliseconds finds space."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left_ms = SLICE_MS if deadline is None else (deadline - time.monotonic()) * 1000
        status = call(max(0, min(SLICE_MS, math.ceil(left_ms))))
        if status not in (lib.FANFARE_ERR_FULL, lib.FANFARE_ERR_TIMEOUT):
            return check(status)
        _check_deadline(deadline, timeout)


async def wait_for_async(call: Call, timeout: float | None) -> None:
    """As :func:`wait_for`, without blocking the event loop. A cancelled call has done nothing."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while (status := call(0)) == lib.FANFARE_ERR_FULL:
        _check_deadline(deadline, timeout)
        await _space(call, None if deadline is None else deadline - time.monotonic())
    check(status)


async def _space(call: Call, seconds: float | None) -> None:
    """Waits until the loop's queue of notices tells of space, for some time at most."""
    space = Readable(LoopBell.of_running_loop())
    try:
        status = call.ask(space.bell.doorbell.native, space.token)
        if status == lib.FANFARE_ERR_LIMIT:
            await asyncio.sleep(PAUSE_S)
            return
        check(status)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(space.event.wait(), seconds)
    finally:
        space.bell.drop(space.token)


def _check_deadline(deadline: float | None, timeout: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise error(lib.FANFARE_ERR_TIMEOUT if timeout else lib.FANFARE_ERR_FULL)


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Runs what blocks for long in a thread of its own, which keeps no interpreter from its end.

    Unlike a call into the library, waiting for the future can be interrupted and cancelled. The
    function goes on then.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as problem:
            future.set_exception(problem)
        else:
            future.set_result(result)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="fanfare", daemon=True).start()
    return future
