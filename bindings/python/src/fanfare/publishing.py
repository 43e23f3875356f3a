"""Publishing and finishing, by names of topics and by handles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ._base import Base, wait_for, wait_for_async
from ._convert import Memory, Text
from ._native import ffi, lib
from ._now import publish_now
from .errors import FanfareError
from .event import (
    EVENT_ID,
    UNSET,
    Destination,
    NativeTopic,
    Publication,
    addressed,
    data_of,
    id_of,
    made,
)

if TYPE_CHECKING:
    from .topic import Topic

#: The most events that the library is handed at once; between such parts signals' handlers run.
PART_MAX = 256


class _Call:
    """One event with its topics, to be published when there is space."""

    def __init__(self, hub: Any, topic: Destination, event: tuple[Any, ...]) -> None:  # noqa: ANN401
        self._hub = hub
        self._memory = Memory()
        self._publication = ffi.new("fanfare_publication *")
        addressed(self._memory, self._publication, topic, made(self._memory, *event))
        self._id = ffi.new(EVENT_ID)

    def __call__(self, timeout_ms: int) -> int:
        status: int = lib.fanfare_hub_publish_wait(
            self._hub, self._publication, timeout_ms, self._id
        )
        return status

    def ask(self, notices: Any, token: int) -> int:  # noqa: ANN401 (cffi has no types)
        return _ask(self._hub, notices, token, self._publication)

    @property
    def id(self) -> str:
        return id_of(self._id)


class _Part:
    """Some events, to be published one after another when there is space."""

    def __init__(self, hub: Any, part: list[Publication]) -> None:  # noqa: ANN401 (cffi)
        self._hub = hub
        self._memory = Memory()
        self._length = len(part)
        self._publications = ffi.new("fanfare_publication[]", len(part))
        for target, given in zip(self._publications, part, strict=True):
            event = made(
                self._memory,
                given.data,
                given.json,
                given.name,
                given.id,
                given.key,
                given.retry_ms,
                given.comment,
                given.window_ms,
            )
            addressed(self._memory, ffi.addressof(target), given.topic, event)
        self._ids = ffi.new("fanfare_event_id[]", len(part))
        self._count = ffi.new("size_t *")
        self.ids: list[str] = []

    def __call__(self, timeout_ms: int) -> int:
        done = len(self.ids)
        status: int = lib.fanfare_hub_publish_many(
            self._hub,
            self._publications + done,
            self._length - done,
            timeout_ms,
            self._ids,
            self._count,
        )
        self.ids += [id_of(self._ids[index]) for index in range(self._count[0])]
        return status

    def ask(self, notices: Any, token: int) -> int:  # noqa: ANN401 (cffi has no types)
        return _ask(self._hub, notices, token, self._publications + len(self.ids))


class _Finish:
    """The end of a topic, with a last event or without, when there is space for it."""

    def __init__(self, hub: Any, topic: Text | NativeTopic, event: tuple[Any, ...]) -> None:  # noqa: ANN401
        self._hub = hub
        self._memory = Memory()
        empty = all(part is None or part is UNSET for part in event)
        self._last = ffi.NULL if empty else made(self._memory, *event)
        self._publication = ffi.new("fanfare_publication *")
        addressed(self._memory, self._publication, topic, self._last)
        self._id = ffi.new(EVENT_ID)
        if isinstance(topic, NativeTopic):
            self._function, self._topic = lib.fanfare_hub_finish_topic, topic._native
        else:
            self._function, self._topic = lib.fanfare_hub_finish, self._memory.text(topic)

    def __call__(self, timeout_ms: int) -> int:
        status: int = self._function(self._hub, self._topic, self._last, timeout_ms, self._id)
        return status

    def ask(self, notices: Any, token: int) -> int:  # noqa: ANN401 (cffi has no types)
        return _ask(self._hub, notices, token, self._publication)

    @property
    def id(self) -> str:
        return id_of(self._id)


def _ask(hub: Any, notices: Any, token: int, publication: Any) -> int:  # noqa: ANN401 (cffi)
    status: int = lib.fanfare_hub_notify_space(hub, notices, token, publication)
    return status


class Publishing(Base):
    """What a hub publishes. Each method may be called from any thread, several at once."""

    def topic(self, name: Text) -> Topic:
        """A handle of a topic, for one that is published to often: its name is checked once.

        :raises TopicError: The name is not 1 to 256 bytes of UTF-8 without control characters,
            ``+`` and ``#``.
        """
        from .topic import Topic

        return Topic(self, name)

    def publish(
        self,
        topic: Destination,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        window_ms: int | None = None,
        timeout: float | None = 0,
    ) -> str:
        r"""Publishes an event to every client that wants its topic, or one of its topics.

        By default it never waits for a client, and may be called from asyncio. Returns the hub's id
        of the event, also when the event has an id of your own: an opaque text. In a cluster the
        server gives ids, and it is empty unless ``timeout`` is given: then the call waits for the
        id as well, and it is empty only if ``timeout`` was over before.

        :param topic: 1 to 256 bytes of UTF-8 without control characters, ``+`` and ``#``; or a
            handle; or 1 to 64 of either. An event of several topics is one event: it is published
            to all of them or to none, and a client that wants several is sent it once.
        :param data: CR, LF and CRLF in it are line breaks. ``""`` is empty data, which a client
            gets, and ``None`` is none at all, which fires nothing.
        :param json: Data that is any value which ``json.dumps`` takes, instead of ``data``.
        :param name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
        :param id: An id of your own, which clients see instead of the hub's: 1 to 256 bytes without
            control characters, and without a space at either end.
        :param key: What the event is about: of events with one key only the newest matters. 1 to
            256 bytes. It is not sent.
        :param retry_ms: The reconnection time that clients are to use from now on, in milliseconds.
            Bounds: at most 2**32 - 1.
        :param comment: A text that clients ignore.
        :param window_ms: The clients are sent the event evenly over this time.
            Bounds: at most 300,000 ms.
        :param timeout: How many seconds to wait while too many bytes wait to be sent; 0 does not
            wait, nor does a negative time, and ``None`` or an infinite one has no bound. Signals
            are handled meanwhile. From asyncio use :meth:`publish_async`.
        :raises FullError: Too many bytes wait to be sent, and ``timeout`` is 0; nothing was
            published, try again a little later.
        :raises TimedOutError: There was no space within ``timeout``; nothing was published.
        :raises TopicError: The topic is not as it has to be.
        :raises TooManyError: There are more than 64 topics.
        :raises EventError: The event is empty, or a field of it is not as it has to be.
        :raises EncodingError: ``bytes`` are not UTF-8, or a ``str`` has a lone surrogate.
        :raises TooLargeError: The event is larger than the option ``event_bytes_max``.
        :raises FinishedError: A topic is finished.
        :raises ClusterError: The cluster's server has taken nothing for ten seconds.
        :raises ClosedError: The hub is closed.
        :raises ForkedError: The hub was made before a fork.
        """
        if timeout == 0 and isinstance(topic, str | bytes | NativeTopic):
            if json is not UNSET:
                data = data_of(data, json)
            if isinstance(topic, NativeTopic):
                publish, native = lib.fanfare_hub_publish_to, topic._native
            else:
                publish, native = lib.fanfare_hub_publish, Memory.passed(topic)
            rest = (id, key, retry_ms, comment, window_ms)
            return publish_now(publish, self._native, native, data, name, *rest)
        event = (data, json, name, id, key, retry_ms, comment, window_ms)
        call = _Call(self._native, topic, event)
        wait_for(call, timeout, is_clustered=self._is_clustered)
        return call.id

    async def publish_async(
        self,
        topic: Destination,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        window_ms: int | None = None,
        timeout: float | None = None,
    ) -> str:
        """Publishes as :meth:`publish` does, and waits for space without blocking the event loop.

        By default it waits without a bound. The library tells the loop when there is space; nothing
        is tried again before that. When its task is cancelled nothing was published; but in a
        cluster, where it waits for the event's id in one of the loop's threads, it may be published
        all the same.
        """
        event = (data, json, name, id, key, retry_ms, comment, window_ms)
        call = _Call(self._native, topic, event)
        await wait_for_async(call, timeout, is_clustered=self._is_clustered)
        return call.id

    def publish_many(
        self, publications: Iterable[Publication], *, timeout: float | None = 0
    ) -> list[str]:
        """Publishes events one after another, each to its topics, with few calls of the library.

        Returns their ids. Other threads' events may come between them. It ends with the first that
        is refused: the ones before it are published, and the exception has their ids in
        ``published``; that one and the ones behind it are not published.

        :param timeout: How many seconds each part of 256 events may wait, as of :meth:`publish`.
        :raises FanfareError: As of :meth:`publish`.
        """
        ids: list[str] = []
        for events in _parts(publications):
            part = self._part(events, ids)
            try:
                wait_for(part, timeout, is_clustered=self._is_clustered)
            except FanfareError as problem:
                problem.published = (*ids, *part.ids)
                raise
            ids += part.ids
        return ids

    async def publish_many_async(
        self, publications: Iterable[Publication], *, timeout: float | None = None
    ) -> list[str]:
        """Publishes as :meth:`publish_many` does, without blocking the event loop.

        When its task is cancelled some may be published, and the others are not.
        """
        ids: list[str] = []
        for events in _parts(publications):
            part = self._part(events, ids)
            try:
                await wait_for_async(part, timeout, is_clustered=self._is_clustered)
            except FanfareError as problem:
                problem.published = (*ids, *part.ids)
                raise
            ids += part.ids
        return ids

    def _part(self, events: list[Publication], ids: list[str]) -> _Part:
        try:
            return _Part(self._native, events)
        except FanfareError as problem:
            problem.published = tuple(ids)
            raise

    def finish(
        self,
        topic: Text | NativeTopic,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        timeout: float | None = 0,
    ) -> str:
        """Finishes a topic, with a last event if anything of one is given.

        Nothing can be published to it any more. A client all of whose topics are finished is sent
        everything, and then its stream ends; one that comes later and would be sent nothing gets
        the status 204, after which an ``EventSource`` stays closed. Returns the id of the last
        event, or else of the end, which no client sees.

        :raises FinishedError: It is finished already.
        :raises FanfareError: As of :meth:`publish`.
        """
        call = _Finish(self._native, topic, (data, json, name, id, key, retry_ms, comment))
        wait_for(call, timeout, is_clustered=self._is_clustered)
        return call.id

    async def finish_async(
        self,
        topic: Text | NativeTopic,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        timeout: float | None = None,
    ) -> str:
        """Finishes a topic as :meth:`finish` does, and waits as :meth:`publish_async` does."""
        call = _Finish(self._native, topic, (data, json, name, id, key, retry_ms, comment))
        await wait_for_async(call, timeout, is_clustered=self._is_clustered)
        return call.id


def _parts(publications: Iterable[Publication]) -> Iterator[list[Publication]]:
    remaining = iter(publications)
    while part := list(islice(remaining, PART_MAX)):
        yield part
