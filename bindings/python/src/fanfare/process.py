"""A hub of each process of a server that forks."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable

from .errors import ClosedError, ForkedError
from .hub import Hub


class PerProcess:
    """The hub of the process that asks for it, made when it is asked for the first time.

    A hub has threads, which a fork leaves behind. A module that a server imports before it forks
    (``gunicorn --preload``, Django's autoreload) makes this instead, and each worker has a hub of
    its own. Workers that are to share one publish to it: see :class:`fanfare.Publisher`.

    At the exit of the process its hub is drained: clients are sent what was published, and told to
    come back. It is safe to use from any thread.

    :param make: Makes a hub, such as ``lambda: Hub(heartbeat_ms=5_000)``. Default: ``Hub``.
    :param drain_ms: The time over which the streams are ended at the exit.
        Bounds: at most 1 hour. Default: 500 ms.
    :param retry_ms: Each client is told to come back after a time drawn from this to twice this.
        Bounds: at most 1 day. Default: 2 s.
    """

    def __init__(
        self,
        make: Callable[[], Hub] = Hub,
        *,
        drain_ms: int = 500,
        retry_ms: int | None = None,
    ) -> None:
        self._make = make
        self._drain_ms = drain_ms
        self._retry_ms = retry_ms
        self._made: tuple[int, Hub] | None = None
        self._lock = threading.Lock()
        # Another thread may hold the lock while this one forks.
        os.register_at_fork(after_in_child=self._forked)

    def __repr__(self) -> str:
        return f"<fanfare.PerProcess {self._made[1] if self._made else 'without a hub'}>"

    def get(self) -> Hub:
        """The hub of this process.

        :raises OptionsError: An option of the hub is out of its bounds.
        :raises OutOfResourcesError: The system is out of descriptors, threads or memory.
        """
        made = self._made
        if made is not None:
            return made[1]
        with self._lock:
            if self._made is None:
                self._made = os.getpid(), self._make()
                atexit.register(self.close)
            return self._made[1]

    def close(self) -> None:
        """Drains and closes the hub of this process, if there is one. The next use makes another.

        Closing in a process that has used none does nothing.
        """
        with self._lock:
            made, self._made = self._made, None
        if made is None:
            return
        atexit.unregister(self.close)
        # Not by `Hub.drain`, which starts a thread: none can be started at the interpreter's exit.
        drain = made[1]._drainer(self._drain_ms, None, self._retry_ms)
        with contextlib.suppress(ClosedError, ForkedError):
            drain()

    def _forked(self) -> None:
        """Forgets the parent's hub, which is of no use in a child."""
        self._made = None
        self._lock = threading.Lock()
