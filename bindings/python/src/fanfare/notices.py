"""Notices: what a hub tells the program of its connections, and of what they are interested in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._base import Base
from ._convert import Memory, Topics, all_taken, decoded, several
from ._doorbell import Doorbell
from ._names import DisconnectReason, disconnect_reason
from ._native import lib
from .errors import check


@dataclass(frozen=True)
class Notice:
    """Something that happened; its class says what."""

    #: When it happened: seconds since 1970, as of ``time.time()``.
    at: float
    #: The notices that were lost since the one before, because the queue was full.
    lost: int


@dataclass(frozen=True)
class ConnectionNotice(Notice):
    """Something that happened to a connection."""

    #: Its id.
    connection_id: int
    #: What the client calls itself: a label that any client can claim.
    tag: str | None
    #: The client's address and port; ``None`` at a Unix domain socket.
    addr: str | None
    #: What it is subscribed to, each once, in no order.
    subscriptions: tuple[str, ...]


# Neither is the other's class: what is written for one in a ``match`` is not met by the other.
@dataclass(frozen=True)
class Connected(ConnectionNotice):
    """A connection became an event stream."""


@dataclass(frozen=True)
class Disconnected(ConnectionNotice):
    """A connection ended; ``subscriptions`` is what it was subscribed to."""

    #: Why, such as "client_closed".
    reason: DisconnectReason
    #: For how long it was an event stream, in seconds.
    lasted: float
    #: The number of events that its socket took whole.
    events: int
    #: Bytes of events that its socket took, without what HTTP adds.
    bytes: int


@dataclass(frozen=True)
class Wanted(Notice):
    """A topic or filter got its first subscriber."""

    subscription: str


@dataclass(frozen=True)
class Unwanted(Notice):
    """A topic or filter has had no subscriber for the grace time."""

    subscription: str


class Notices:
    """The notices of a hub: iterate it with ``for`` or ``async for``.

    :meth:`fanfare.Hub.notices` makes it. The iteration ends when the hub or this is closed, or when
    the connections' notices go to another one. It is a context manager, which closes it. One thread
    or task reads it at a time; another one that reads gets ``BusyError``. Any thread may close it.
    """

    def __init__(self) -> None:
        self._doorbell = Doorbell()
        self._sources: set[int] = set()
        self._waiting: deque[Notice] = deque()
        self._closed = False

    def close(self) -> None:
        """Ends the notices; those that were not read are dropped."""
        self._closed = True
        for source in tuple(self._sources):
            self._doorbell.remove(source)
        self._doorbell.wake()

    def __iter__(self) -> Notices:
        return self

    def __next__(self) -> Notice:
        while not self._closed:
            if self._filled():
                return self._waiting.popleft()
            if not self._sources:
                break
            self._doorbell.wait(None)
        raise StopIteration

    def __aiter__(self) -> Notices:
        return self

    async def __anext__(self) -> Notice:
        while not self._closed:
            if self._filled():
                return self._waiting.popleft()
            if not self._sources:
                break
            await self._doorbell.wait_async()
        raise StopAsyncIteration

    def __enter__(self) -> Notices:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _filled(self) -> bool:
        """Whether there is a notice, of those that were drained or that wait in the queue."""
        if not self._waiting:
            for notice in self._doorbell.drain(self._read):
                if notice is not None:
                    self._waiting.append(notice)
        return bool(self._waiting)

    def _read(self, notice: Any) -> Notice | None:  # noqa: ANN401 (cffi has no types)
        subscriptions = all_taken(notice.subscriptions, notice.subscriptions_count)
        at, lost = notice.at_unix_ms / 1000, notice.lost
        if notice.kind == lib.FANFARE_NOTICE_ENDED:
            self._sources.discard(notice.token)
        elif notice.kind == lib.FANFARE_NOTICE_WANTED:
            return Wanted(at, lost, subscriptions[0])
        elif notice.kind == lib.FANFARE_NOTICE_UNWANTED:
            return Unwanted(at, lost, subscriptions[0])
        elif notice.kind in (lib.FANFARE_NOTICE_CONNECTED, lib.FANFARE_NOTICE_DISCONNECTED):
            client = (notice.id, decoded(notice.tag), decoded(notice.addr), subscriptions)
            if notice.kind == lib.FANFARE_NOTICE_CONNECTED:
                return Connected(at, lost, *client)
            return Disconnected(
                at,
                lost,
                *client,
                disconnect_reason(notice.reason),
                notice.lasted_ms / 1000,
                notice.events,
                notice.bytes,
            )
        return None  # a kind that only a newer library knows


class Noticing(Base):
    """What a hub tells the program."""

    def notices(
        self,
        *,
        connections: bool = True,
        capacity: int = 10_000,
        interest: Topics = (),
        grace_ms: int = 0,
    ) -> Notices:
        """Notices from now on, which wait in a bounded queue until the program reads them.

        No thread of the engine waits for the program, or enters the interpreter. It is safe to call
        from any thread.

        :param connections: Whether to tell of connections that begin and end. Those that are there
            are told of when they end. A hub tells one queue of them: the queue of an earlier call
            gets no more.
        :param capacity: How many notices of connections may wait; the next one counts those that
            were lost.
            Bounds: 1 to 1,048,576.
        :param interest: Topics and filters: tells when a topic that matches gets its first
            subscriber, or has lost its last. First comes what has one already. None is lost.
        :param grace_ms: How long a topic has to be without subscribers before that is told.
            Bounds: at most 3,600,000 ms.
        :raises ValueError: ``capacity`` or ``grace_ms`` is out of its bounds.
        :raises SubscriptionError: A topic or filter of ``interest`` is none.
        :raises LimitError: The hub tells of 64 interests already.
        :raises ClosedError: The hub is closed.
        :raises ForkedError: The hub was made before a fork.
        """
        if not 1 <= capacity <= 1_048_576:
            raise ValueError("capacity may be 1 to 1,048,576")
        if not 0 <= grace_ms <= 3_600_000:
            raise ValueError("grace_ms may be 0 to 3,600,000")
        notices, memory = Notices(), Memory()
        native, queue = self._native, notices._doorbell.native
        for token, subscription in enumerate(several(interest), 2):
            text = memory.text(subscription)
            check(lib.fanfare_hub_watch_interest(native, queue, token, text, grace_ms))
            notices._sources.add(token)
        if connections:
            check(lib.fanfare_hub_watch_connections(native, queue, 1, capacity))
            notices._sources.add(1)
        return notices
