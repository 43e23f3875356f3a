"""How a program's function is asked: requests are taken out of a queue, and are answered.

A plain function is called in threads, which wait at the queue's doorbell in turn. A coroutine
function is called in tasks of the event loop, asyncio's or trio's, that runs when it begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import threading
from typing import Any, Protocol

from ._convert import Memory, problem
from ._doorbell import CAPACITY, Doorbell, call_soon
from ._native import lib
from ._waiting import trio_here
from .errors import BusyError, FanfareError, ForkedError, check
from .grants import Grant, Refusal
from .stream_request import StreamRequest, request_of

_log = logging.getLogger("fanfare")
#: The token of the queue's only source.
TOKEN = 1


class Asking:
    """Takes the requests out of the queue, and answers them."""

    def __init__(self, native: Any, doorbell: Doorbell, function: Any) -> None:  # noqa: ANN401
        self.native = native
        self.doorbell = doorbell
        self.function = function
        self.closed = False

    def begin(self) -> None:
        """Asks from now on; it may be called again."""
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        self.doorbell.remove(TOKEN)

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


class InThreads(Asking):
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
                requests = self.doorbell.drain(request_of, 1)
            except ForkedError:
                return []
            if requests:
                return requests
            self.doorbell.wait(None)
        return []


class InLoop(Asking):
    """Calls the function in tasks of an event loop, of which there are a bounded number."""

    def __init__(self, native: Any, doorbell: Doorbell, function: Any, made: Any) -> None:  # noqa: ANN401
        super().__init__(native, doorbell, function)
        self.tasks_max = made.waiting_max
        self.timeout = made.timeout_ms / 1000
        self._tasks: _Tasks | None = None

    def begin(self) -> None:
        if self._tasks is None:
            trio = trio_here()
            self._tasks = _OfAsyncio(self) if trio is None else _OfTrio(self, trio)

    def close(self) -> None:
        super().close()
        if self._tasks is not None:
            self._tasks.stop()


class _Tasks(Protocol):
    """The tasks of one event loop, in which the function is called."""

    def stop(self) -> None:
        """Cancels those that run, and calls the function no more; any thread may say so."""


class _OfAsyncio:
    def __init__(self, asking: InLoop) -> None:
        self._asking = asking
        self._running: set[asyncio.Task[None]] = set()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "an authorizer with async def needs an event loop: listen from a coroutine"
            ) from None
        self._loop.add_reader(asking.doorbell.fd, self._on_ring)

    def stop(self) -> None:
        call_soon(self._loop, self._end)

    def _end(self) -> None:
        self._loop.remove_reader(self._asking.doorbell.fd)
        for task in tuple(self._running):
            task.cancel()

    def _on_ring(self) -> None:
        asking = self._asking
        room = min(CAPACITY, asking.tasks_max - len(self._running))
        if room <= 0 or asking.closed:
            self._loop.remove_reader(asking.doorbell.fd)  # until a task is done
            return
        with contextlib.suppress(BusyError):
            for asked, request in asking.doorbell.drain(request_of, room):
                task = self._loop.create_task(self._decide(asked, request))
                self._running.add(task)
                task.add_done_callback(self._done)

    async def _decide(self, asked: int, request: StreamRequest) -> None:
        asking = self._asking
        try:
            verdict = await asyncio.wait_for(asking.function(request), asking.timeout)
            asking.answer(asked, verdict)
        except Exception:
            asking.failed(asked)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self._asking.closed and not self._loop.is_closed():
            self._loop.add_reader(self._asking.doorbell.fd, self._on_ring)


class _OfTrio:
    """Its tasks have a nursery of their own, which ends with the hub, or else with ``trio.run``.

    The nursery is in a system task, since ``listen`` is not given one: so streams are authorized
    for as long as the hub is open, whatever the task does that has called ``listen``.
    """

    def __init__(self, asking: InLoop, trio: Any) -> None:  # noqa: ANN401 (it need not be there)
        self._asking, self._trio = asking, trio
        self._scope = trio.CancelScope()
        self._room = trio.Semaphore(asking.tasks_max)
        self._token = trio.lowlevel.current_trio_token()
        context = contextvars.copy_context()  # as the tasks of asyncio have it
        name = "fanfare-authorizer"
        trio.lowlevel.spawn_system_task(self._run, name=name, context=context)

    def stop(self) -> None:
        with contextlib.suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(self._scope.cancel)

    async def _run(self) -> None:
        # A KeyboardInterrupt is for the program's own tasks, also while the function runs.
        decide = self._trio.lowlevel.enable_ki_protection(self._decide)
        with self._scope:
            async with self._trio.open_nursery() as nursery:
                while True:
                    await self._room.acquire()
                    nursery.start_soon(decide, *await self._next())

    async def _next(self) -> tuple[int, StreamRequest]:
        doorbell = self._asking.doorbell
        while True:
            try:
                requests = doorbell.drain(request_of, 1)
            except FanfareError as problem:  # an exception that left a system task would end all
                if not isinstance(problem, ForkedError):  # a child of the program has no requests
                    _log.exception("the authorizer is not asked any more")
                await self._trio.sleep_forever()
                raise  # for what analyses the code: nothing is after a sleep for ever
            if requests:
                return requests[0]
            await doorbell.wait_async()

    async def _decide(self, asked: int, request: StreamRequest) -> None:
        asking = self._asking
        try:
            with self._trio.fail_after(asking.timeout):
                verdict = await asking.function(request)
            asking.answer(asked, verdict)
        except BaseException as problem:  # as above, and a task that ends need not raise Cancelled
            if isinstance(problem, Exception) or not self._is_cancelled():
                asking.failed(asked)
        finally:
            self._room.release()

    def _is_cancelled(self) -> bool:
        return bool(self._trio.current_effective_deadline() == -math.inf)
