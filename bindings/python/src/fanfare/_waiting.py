"""How a program waits: in threads, under gevent, in asyncio's coroutines or in trio's.

None of the libraries is imported here: a program that runs under one has imported it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

#: What is longer has no bound: 100 years, in seconds. What waits takes no time that is much longer.
ENDLESS_S = 100 * 365 * 86_400


def trio_here() -> Any | None:  # noqa: ANN401 (trio need not be installed)
    """The module trio if the task that runs is one of its, also below anyio."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_task() else None


def gevent_here() -> Any | None:  # noqa: ANN401 (gevent need not be installed)
    """The hub of gevent's, if gevent has made cooperative what blocks: nothing may block then."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("select"):
        return None
    return sys.modules["gevent"].get_hub()


async def pause(seconds: float) -> None:
    """Sleeps, and lets other tasks run."""
    trio = trio_here()
    await (asyncio.sleep(seconds) if trio is None else trio.sleep(seconds))


async def within(seconds: float | None, wait: Callable[[], Awaitable[None]]) -> None:
    """Waits for something, for some time at most; ``None`` has no bound."""
    trio = trio_here()
    if trio is None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wait(), seconds)
        return
    with trio.move_on_after(math.inf if seconds is None else max(0.0, seconds)):
        await wait()


def blocking(function: Callable[[], T]) -> T:
    """Calls what may block for long. Under gevent other greenlets run meanwhile."""
    gevent = gevent_here()
    if gevent is None:
        return function()
    result: T = gevent.threadpool.apply(function)
    return result


def bounded(timeout: float | None) -> float | None:
    """A time as a program gives it, in seconds: ``None``, and what is endless, has no bound.

    A negative time is 0.
    """
    if timeout is None:
        return None
    try:
        is_no_number = math.isnan(timeout)
    except OverflowError:  # a whole number that no float comes near
        is_no_number = False
    if is_no_number:
        raise ValueError(
            "timeout is not a number: give a time in seconds, 0 not to wait, or None for no bound"
        )
    return None if timeout > ENDLESS_S else max(0.0, timeout)


def milliseconds(timeout: float | None) -> int:
    """A time in seconds as the library takes it; ``None`` has no bound."""
    bound = bounded(timeout)
    return 2**64 - 1 if bound is None else math.ceil(bound * 1000)


def interruptible(function: Callable[[], T]) -> T:
    """Calls what may block for long, so that a signal's handler may end the wait for it.

    The function goes on then.
    """
    return blocking(function) if gevent_here() is not None else _in_thread(function).result()


async def unblocking(function: Callable[[], T]) -> T:
    """Calls what may block for long in a thread. A task that is cancelled leaves it to go on."""
    trio = trio_here()
    if trio is None:
        return await asyncio.wrap_future(_in_thread(function))
    result: T = await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    return result


async def pooled(function: Callable[[], T]) -> T:
    """Calls what may block in one of the loop's threads, of which there are few.

    A task that is cancelled leaves it to go on.
    """
    trio = trio_here()
    if trio is None:
        return await asyncio.to_thread(function)
    result: T = await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    return result


def _in_thread(function: Callable[[], T]) -> Future[T]:
    """Runs a function in a thread of its own, which keeps no interpreter from its end."""
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
