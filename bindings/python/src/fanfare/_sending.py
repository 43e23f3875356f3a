"""How streams are sent by an event loop of asyncio's that has other things to do as well.

There may be ten thousand of them. So nothing is made for a part of a stream that outlives its being
sent: what the garbage collector has to look at is as little as may be.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable

from ._doorbell import Readable
from .errors import DisconnectedError, EndedError
from .streams import Stream

#: How much is sent at once of what waits, in bytes.
SEND_BYTES = 64 << 10
#: How long a server may take nothing of a stream while there is something to send, in seconds.
STALL_S = 30.0


async def send_all(
    stream: Stream,
    write: Callable[[bytes], Awaitable[object]],
    break_off: Callable[[], object],
    stalled: Callable[[], object],
) -> bool:
    """Sends all that a stream has until its end, and says whether it has ended in order.

    :param write: Sends a part of it.
    :param break_off: Ends the response so that it does not look complete: some of it is missing.
    :param stalled: What is done when a part was not taken for too long; it ends ``write``.
    """
    stalls = _Stalls.of_running_loop()
    try:
        while True:
            part, has_more = _next_part(stream)
            if part:
                stalls.begin(stalled)
                try:
                    await write(part)
                finally:
                    stalls.end(stalled)
            readable = stream._notified()
            assert isinstance(readable, Readable)
            await (readable.wait_its_turn() if has_more else readable)
    except DisconnectedError:
        break_off()
        return False
    except EndedError:
        return True


def _next_part(stream: Stream) -> tuple[bytes, bool]:
    """What a stream has, put together, up to a bound; and whether it may have more.

    :raises EndedError: The stream has ended.
    """
    part = stream._take(0)
    if part is None:
        return b"", False
    parts, size = [part], len(part)
    try:
        while size < SEND_BYTES:
            part = stream._take(0)
            if part is None:
                return b"".join(parts), False
            parts.append(part)
            size += len(part)
    except EndedError:
        pass  # it is raised once more with the next call
    return b"".join(parts), True


class _Stalls:
    """What is being sent on one event loop: one timer finds what is not taken for too long."""

    @staticmethod
    def of_running_loop() -> _Stalls:
        loop = asyncio.get_running_loop()
        stalls = _stalls.get(loop)
        if stalls is None:
            stalls = _stalls[loop] = _Stalls()
        return stalls

    def __init__(self) -> None:
        #: What is to be called, and since when it is sent: the oldest first.
        self._sending: dict[Callable[[], object], float] = {}
        self._is_watched = False

    def begin(self, stalled: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        self._sending[stalled] = loop.time()
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(STALL_S, self._look)

    def end(self, stalled: Callable[[], object]) -> None:
        self._sending.pop(stalled, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_watched = False
        while self._sending:
            stalled, since = next(iter(self._sending.items()))
            left = since + STALL_S - loop.time()
            if left > 0:
                self._is_watched = True
                loop.call_later(left, self._look)
                return
            del self._sending[stalled]
            stalled()


_stalls: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Stalls] = weakref.WeakKeyDictionary()
