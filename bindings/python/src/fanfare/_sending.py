"""How streams are sent by an event loop that has other things to do as well."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable

from .errors import DisconnectedError, EndedError
from .streams import Stream

#: How long a server may take nothing of a stream while there is something to send, in seconds.
STALL_S = 30.0

#: How many streams are sent something in one turn of the loop: about a millisecond's work.
STREAMS_PER_TURN = 4
#: How much is sent at once of what waits, in bytes.
SEND_BYTES = 64 << 10


async def send_all(
    stream: Stream,
    write: Callable[[bytes], Awaitable[object]],
    break_off: Callable[[], object],
    stalled: Callable[[], object],
) -> bool:
    """Sends all that a stream has until its end, and says whether it has ended in order.

    :param write: Sends one part of it.
    :param break_off: Ends the response so that it does not look complete: some of it is missing.
    :param stalled: What is done when a part was not taken for too long; it ends ``write``.
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            part = await read_some(stream)
            timer = loop.call_later(STALL_S, stalled)
            try:
                await write(part)
            finally:
                timer.cancel()
    except DisconnectedError:
        break_off()
        return False
    except EndedError:
        return True


async def read_some(stream: Stream) -> bytes:
    """What a stream has next, as soon as it is this stream's turn: its batches are put together.

    :raises EndedError: The stream has ended.
    """
    first = await stream.read_async()
    await _turns_of_running_loop().wait()
    parts, size = [first], len(first)
    try:
        while size < SEND_BYTES and (more := stream._take(0)) is not None:
            parts.append(more)
            size += len(more)
    except EndedError:
        pass  # it is raised once more with the next call
    return b"".join(parts) if len(parts) > 1 else first


class Turns:
    """Lets few streams go on in each turn of the loop, one after the other, however many could."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._left = STREAMS_PER_TURN
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_begun = False

    async def wait(self) -> None:
        loop = self._loop()
        if loop is None:
            return
        if not self._is_begun:
            self._is_begun = True
            loop.call_soon(self._begin)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn  # one that is cancelled is passed over

    def _begin(self) -> None:
        """Begins a turn of the loop."""
        self._left = STREAMS_PER_TURN
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        loop = self._loop()
        self._is_begun = bool(self._waiting) and loop is not None
        if loop is not None and self._is_begun:
            loop.call_soon(self._begin)


def _turns_of_running_loop() -> Turns:
    loop = asyncio.get_running_loop()
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = Turns(loop)
    return turns


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()
