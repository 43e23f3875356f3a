"""What all parts of a hub have in common, and how they wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ._native import lib
from ._waiting import gevent_here, pause
from .errors import check, error

#: The longest time that the library is waited for at once, so that signals' handlers run.
SLICE_MS = 100
#: How long a coroutine sleeps at first and at most before it tries again, in seconds.
PAUSE_MIN_S, PAUSE_MAX_S = 0.001, 0.016


class Base:
    """The library's hub.

    It is freed with the last reference to it, which each call under way has. So a hub may be
    closed and dropped at any time, and there is no lock around the calls.
    """

    _native: Any


def wait_for(call: Callable[[int], int], timeout: float | None) -> None:
    """Has the library wait until a call with a time in milliseconds finds space.

    Under gevent the library waits for nothing, and other greenlets run between the calls.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    slice_ms, seconds = (SLICE_MS, 0.0) if gevent_here() is None else (0, PAUSE_MIN_S)
    while True:
        left_ms = slice_ms if deadline is None else (deadline - time.monotonic()) * 1000
        status = call(max(0, min(slice_ms, math.ceil(left_ms))))
        if status not in (lib.FANFARE_ERR_FULL, lib.FANFARE_ERR_TIMEOUT):
            return check(status)
        _check_deadline(deadline, timeout)
        if seconds:
            time.sleep(seconds)
            seconds = min(2 * seconds, PAUSE_MAX_S)


async def wait_for_async(call: Callable[[int], int], timeout: float | None) -> None:
    """As :func:`wait_for`, without blocking the event loop. A cancelled call has done nothing."""
    deadline = None if timeout is None else time.monotonic() + timeout
    seconds = PAUSE_MIN_S
    while (status := call(0)) == lib.FANFARE_ERR_FULL:
        _check_deadline(deadline, timeout)
        await pause(seconds)
        seconds = min(2 * seconds, PAUSE_MAX_S)
    check(status)


def _check_deadline(deadline: float | None, timeout: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise error(lib.FANFARE_ERR_TIMEOUT if timeout else lib.FANFARE_ERR_FULL)
