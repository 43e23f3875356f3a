"""What all parts of a hub have in common, and how they wait."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from ._doorbell import OwnBell, bell_here
from ._native import lib
from ._waiting import bounded, gevent_here, interruptible, milliseconds, pause, pooled, within
from .errors import check, error

#: The longest time that the library is waited for at once, so that signals' handlers run.
SLICE_MS = 100
#: How long a coroutine sleeps before it tries again if too many wait to be told of space.
PAUSE_S = 0.016


class Call(Protocol):
    """What is published when there is space."""

    def __call__(self, timeout_ms: int) -> int:
        """Publishes, waiting for space for so long at most, and returns the status."""
        ...

    def ask(self, notices: Any, token: int) -> int:  # noqa: ANN401 (cffi has no types)
        """Has a queue of notices tell once when there is space, and returns the status."""
        ...


class Base:
    """The library's hub.

    It is freed with the last reference to it, which each call under way has. So a hub may be
    closed and dropped at any time, and there is no lock around the calls.
    """

    _native: Any
    #: Whether ids come from a cluster's server, and who waits for space waits for the id as well.
    _is_clustered: bool


def wait_for(call: Call, timeout: float | None, *, is_clustered: bool) -> None:
    """Has the library wait until there is space. Under gevent other greenlets run meanwhile."""
    timeout = bounded(timeout)
    if is_clustered and timeout != 0:
        # In one call: who waits for an id in parts would not get it when a part is over.
        return check(interruptible(lambda: call(milliseconds(timeout))))
    deadline = None if timeout is None else time.monotonic() + timeout
    slice_ms = SLICE_MS if gevent_here() is None else 0
    while True:
        left_ms = SLICE_MS if deadline is None else (deadline - time.monotonic()) * 1000
        status = call(max(0, min(slice_ms, math.ceil(left_ms))))
        if status not in (lib.FANFARE_ERR_FULL, lib.FANFARE_ERR_TIMEOUT):
            return check(status)
        _check_deadline(deadline, timeout)
        if slice_ms == 0:
            _wait_for_space(call, left_ms / 1000)


async def wait_for_async(call: Call, timeout: float | None, *, is_clustered: bool) -> None:
    """As :func:`wait_for`, without blocking the event loop.

    A cancelled call has done nothing, but in a cluster.
    """
    timeout = bounded(timeout)
    if is_clustered and timeout != 0:
        return check(await pooled(lambda: call(milliseconds(timeout))))
    deadline = None if timeout is None else time.monotonic() + timeout
    while (status := call(0)) == lib.FANFARE_ERR_FULL:
        _check_deadline(deadline, timeout)
        await _space(call, None if deadline is None else deadline - time.monotonic())
    check(status)


async def _space(call: Call, seconds: float | None) -> None:
    """Waits until the library tells the loop of space, for some time at most."""
    bell = bell_here()
    try:
        status = call.ask(bell.native, bell.token)
        if status == lib.FANFARE_ERR_LIMIT:
            await pause(PAUSE_S)
            return
        check(status)
        await within(seconds, bell.wait_async)
    finally:
        bell.close()


def _wait_for_space(call: Call, seconds: float) -> None:
    """Waits in a greenlet until the library tells of space, for some time at most."""
    bell = OwnBell()
    try:
        status = call.ask(bell.native, bell.token)
        if status == lib.FANFARE_ERR_LIMIT:
            time.sleep(PAUSE_S)
            return
        check(status)
        bell.wait(seconds)
    finally:
        bell.close()


def _check_deadline(deadline: float | None, timeout: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise error(lib.FANFARE_ERR_TIMEOUT if timeout else lib.FANFARE_ERR_FULL)
