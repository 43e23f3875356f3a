"""A publisher of another process's engine: ``fanfare serve``, or a ``PublishServer``."""

from __future__ import annotations

import collections
import contextlib
import functools
import http.client
import json as jsons
import operator
import os
import re
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from ._convert import Text, encoded, no_whole_number
from ._native import lib
from ._waiting import pooled
from .errors import (
    ClosedError,
    ClusterError,
    EncodingError,
    EventError,
    FanfareError,
    FinishedError,
    FullError,
    JournalError,
    TimedOutError,
    TokenError,
    TooLargeError,
    TopicError,
)
from .event import UNSET, NativeTopic, Publication, data_of

#: How long a connection may have been idle that is used once more, in seconds: half of what the
#: servers allow.
IDLE_S_MAX = 30
#: The most bytes of an answer.
_ANSWER_BYTES_MAX = 64 * 1024
#: The most events of one request, and the bytes behind which no other one goes into it.
PART_MAX, PART_BYTES_MAX = 256, 1 << 20
#: The longest time that a publisher may wait, in seconds: a day, much less than a socket's longest.
TIMEOUT_S_MAX = 86_400
#: Which part of its timeout a publisher lets the engine wait for space, before it answers.
_WAIT_SHARE = 0.8


class UnreachableError(FanfareError, ConnectionError):
    """The process that owns the engine does not answer; ``maybe_published`` says what is known."""

    #: Whether it may have got the events all the same: false if nothing was sent to it.
    maybe_published: bool = False


class UnansweredError(UnreachableError):
    """The cluster's server has not answered the engine in time: the event may be published yet.

    Of ``publish_many`` those in ``published`` are, the next one may be, and those behind it are
    not. Give events ids, so that clients can tell, and publish what may be missing again.
    """

    maybe_published = True


class RefusedError(FanfareError):
    """The server never takes such a request, for instance at this address; it says why."""


#: What the code of an answer stands for; docs/server.md has the codes.
_CODES: dict[str, tuple[type[FanfareError], int]] = {
    "full": (FullError, lib.FANFARE_ERR_FULL),
    "closed": (ClosedError, lib.FANFARE_ERR_CLOSED),
    "finished": (FinishedError, lib.FANFARE_ERR_FINISHED),
    "too_large": (TooLargeError, lib.FANFARE_ERR_TOO_LARGE),
    "invalid": (EventError, lib.FANFARE_ERR_EVENT),
    "token": (TokenError, lib.FANFARE_ERR_TOKEN),
    "forbidden": (TokenError, lib.FANFARE_ERR_TOKEN),
    "late": (TimedOutError, lib.FANFARE_ERR_TIMEOUT),
    "unwritable": (JournalError, lib.FANFARE_ERR_JOURNAL),
    "unreachable": (ClusterError, lib.FANFARE_ERR_CLUSTER),
    "unanswered": (UnansweredError, lib.FANFARE_ERR_TIMEOUT),
    "unavailable": (UnreachableError, lib.FANFARE_ERR_SYSTEM),
    **dict.fromkeys(
        ("not_found", "method", "conflict", "content_type", "host", "transfer_coding"),
        (RefusedError, lib.FANFARE_ERR_REQUEST),
    ),
}
#: What the status of an answer stands for that has none of these: a later server's, or a proxy's.
_STATUSES: dict[int, tuple[type[FanfareError], int]] = {
    400: (EventError, lib.FANFARE_ERR_EVENT),
    401: (TokenError, lib.FANFARE_ERR_TOKEN),
    403: (TokenError, lib.FANFARE_ERR_TOKEN),
    408: (TimedOutError, lib.FANFARE_ERR_TIMEOUT),
    409: (FinishedError, lib.FANFARE_ERR_FINISHED),
    413: (TooLargeError, lib.FANFARE_ERR_TOO_LARGE),
    429: (FullError, lib.FANFARE_ERR_FULL),
    503: (FullError, lib.FANFARE_ERR_FULL),
    504: (UnansweredError, lib.FANFARE_ERR_TIMEOUT),
}


class _Connection(http.client.HTTPConnection):
    """A connection to a server of a Unix domain socket or of a port."""

    def __init__(self, path: str | None, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._path = path
        self.pid = os.getpid()
        self.used_at = 0.0

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        # "@name" is a name of Linux's abstract ones.
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(address)

    def is_usable(self) -> bool:
        """Whether it is this process's own, and the server has not ended it."""
        if self.pid != os.getpid() or time.monotonic() - self.used_at > IDLE_S_MAX:
            return False
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class Publisher:
    """Publishes to the engine of another process, for servers with several workers.

    >>> from fanfare import Publisher
    >>> publisher = Publisher("unix:/run/app/fanfare.sock")
    >>> publisher.publish("news", "hello")  # doctest: +SKIP
    'zxxwmdbm-1'

    It may be made before a fork, and used by any thread of any process. Nothing connects before the
    first event. Connections are kept for the next one, and each call uses one for itself.

    :param address: Where the engine's process takes events: ``unix:/run/app/fanfare.sock``, or
        ``127.0.0.1:8081``. It is ``--control-listen`` of ``fanfare serve``, or the address of a
        :class:`fanfare.PublishServer`.
    :param token: The token that it asks for, if it does: 1 to 4,096 visible ASCII characters.
    :param timeout: How many seconds to wait for it at most, at each step: to connect, to send, and
        for the answer. The engine is told to wait for space a little less long, in whole seconds,
        and waits for 30 s at most, so that a full one is a ``FullError``.
        Bounds: more than 0, at most 86,400.
    :param idle_max: How many connections are kept.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        timeout: float = 5.0,
        idle_max: int = 4,
    ) -> None:
        self._path, self._host, self._port = _place(address)
        self._address = address
        if not 0 < timeout <= TIMEOUT_S_MAX:
            raise ValueError(f"timeout may be more than 0, and at most {TIMEOUT_S_MAX:,} s")
        self._timeout = float(timeout)
        check_token(token)
        self._headers = {"Prefer": f"wait={int(timeout * _WAIT_SHARE)}"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        # Without a lock, which a fork could find taken.
        self._idle: collections.deque[_Connection] = collections.deque()
        self._idle_max = idle_max

    def __repr__(self) -> str:
        return f"<fanfare.Publisher {self._address}>"

    def publish(
        self,
        topic: Text | Iterable[Text],
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        window_ms: int | None = None,
    ) -> str:
        """Publishes an event, as :meth:`fanfare.Hub.publish` does.

        Returns the id that clients see: the event's own, or else the hub's, which is empty when it
        is not known yet.

        :param topic: A topic, or 1 to 64 of them.
        :param data: The event's data; or any JSON value as ``json``.
        :raises FullError: Too many bytes wait to be sent; nothing was published, try again a little
            later.
        :raises EventError: The topic or a field of the event is not as it has to be.
        :raises TooLargeError: The event is larger than the engine takes.
        :raises FinishedError: A topic is finished.
        :raises TokenError: The engine's process asks for another token.
        :raises JournalError: Its journal cannot be written; nothing was published.
        :raises ClusterError: Its cluster's server takes no events; nothing was published.
        :raises UnansweredError: That server has not answered in time; the event may be published.
        :raises ClosedError: The engine ends; nothing was published.
        :raises TimedOutError: The event came too slowly; nothing was published.
        :raises RefusedError: The address is not one where such events are taken.
        :raises UnreachableError: It does not answer.
        """
        data = data_of(data, json)
        if data is None:
            raise TypeError("an event has data or json")
        query = _query(topic, name, id, key, retry_ms, window_ms)
        return str(self._ask("/publish", query, encoded(data)).get("id") or "")

    def publish_many(self, publications: Iterable[Publication]) -> int:
        """Publishes events one after another, each to its topics, and returns how many.

        It ends with the first that is refused: the exception's ``published`` has the ids of those
        before it. An id that is not known is empty, as all are that a ``PublishServer`` publishes.

        :raises FanfareError: As of :meth:`publish`.
        """
        ids: list[str] = []
        lines = map(_line, publications)
        try:
            for part in _parts(lines):
                answer = self._ask("/publish", [], b"".join(part), "application/x-ndjson")
                ids += _ids(answer, len(part))
        except FanfareError as problem:
            problem.published = (*ids, *problem.published)
            raise
        return len(ids)

    def finish(
        self,
        topic: Text,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
    ) -> str:
        """Finishes a topic, as :meth:`fanfare.Hub.finish` does.

        Returns the last event's own id, or else the hub's id of it or of the end.

        :raises FanfareError: As of :meth:`publish`.
        """
        data = data_of(data, json)
        query = _query(topic, name, id, key, retry_ms, None)
        content = b"" if data is None else encoded(data)
        return str(self._ask("/finish", query, content).get("id") or "")

    async def publish_async(
        self,
        topic: Text | Iterable[Text],
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        window_ms: int | None = None,
    ) -> str:
        """Publishes as :meth:`publish` does, in a thread.

        When its task is cancelled the event may be published or not.
        """
        call = functools.partial(
            self.publish,
            topic,
            data,
            json=json,
            name=name,
            id=id,
            key=key,
            retry_ms=retry_ms,
            window_ms=window_ms,
        )
        return await pooled(call)

    async def publish_many_async(self, publications: Iterable[Publication]) -> int:
        """Publishes as :meth:`publish_many` does, in a thread, which iterates them.

        When its task is cancelled some, all or none may be published.
        """
        return await pooled(functools.partial(self.publish_many, publications))

    async def finish_async(
        self,
        topic: Text,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
    ) -> str:
        """Finishes a topic as :meth:`finish` does, in a thread.

        When its task is cancelled the topic may be finished or not.
        """
        call = functools.partial(
            self.finish, topic, data, json=json, name=name, id=id, key=key, retry_ms=retry_ms
        )
        return await pooled(call)

    def close(self) -> None:
        """Closes the connections that are kept. It may be used afterwards."""
        self._drop(0)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self,
        path: str,
        query: Sequence[tuple[str, Text]],
        content: bytes,
        kind: str = "application/octet-stream",
    ) -> dict[str, Any]:
        target = f"{path}?{urlencode(query)}" if query else path
        connection = self._connection()
        try:
            # A server that refuses a request without reading it has answered, and is gone.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", target, content, {"Content-Type": kind, **self._headers})
            response = connection.getresponse()
            answer = response.read(_ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as why:
            connection.close()
            raise self._unreachable(f"has not answered: {_why(why)}", True) from why
        except BaseException:  # such as a KeyboardInterrupt
            connection.close()
            raise
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._keep(connection)
        return self._read(response.status, answer)

    def _read(self, status: int, answer: bytes) -> dict[str, Any]:
        try:
            read = jsons.loads(answer)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            # A proxy that answers so may have handed the request on.
            raise self._unreachable(f"is no engine of fanfare's: status {status}", status >= 500)
        if status == 200:
            return read
        text = str(read.get("error", f"status {status}"))
        known = _CODES.get(str(read.get("code"))) or _STATUSES.get(status)
        if known is not None:
            kind, number = known
            if kind is UnansweredError:
                text += "; give events ids, and publish it again"
            problem = kind(number, text)
        elif status >= 500:
            problem = self._unreachable(f"has failed: {text}", True)
        else:
            problem = RefusedError(lib.FANFARE_ERR_REQUEST, text)
        problem.published = tuple(_ids(read, int(read.get("published", 0))))
        raise problem

    def _connection(self) -> _Connection:
        while self._idle:
            try:
                kept = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if kept.is_usable():
                return kept
            kept.close()
        connection = _Connection(self._path, self._host, self._port, self._timeout)
        try:
            connection.connect()
        except OSError as why:
            connection.close()
            raise self._unreachable(f"cannot be reached: {_why(why)}", False) from why
        return connection

    def _keep(self, connection: _Connection) -> None:
        connection.used_at = time.monotonic()
        self._idle.append(connection)
        self._drop(self._idle_max)

    def _drop(self, kept: int) -> None:
        """Closes all connections but some; other threads may do the same."""
        with contextlib.suppress(IndexError):
            while len(self._idle) > kept:
                self._idle.popleft().close()

    def _unreachable(self, how: str, maybe_published: bool) -> UnreachableError:
        known = (
            "The event may be published or not; give it an id, and publish it again"
            if maybe_published
            else "Nothing was published; start the process that owns the engine, and try again"
        )
        problem = UnreachableError(lib.FANFARE_ERR_SYSTEM, f"{self._address} {how}. {known}.")
        problem.maybe_published = maybe_published
        return problem


def check_token(token: str | None) -> None:
    """Refuses what is no token, such as one with the line break of its file, without telling it."""
    if token is not None and not re.fullmatch(r"[\x21-\x7e]{1,4096}", token):
        raise ValueError("a token is 1 to 4,096 visible ASCII characters")


def _place(address: str) -> tuple[str | None, str, int]:
    if address.startswith("unix:"):
        return address.removeprefix("unix:"), "localhost", 80
    host, colon, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if not colon or "/" in host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(
            f"{address!r} is no address; give one such as unix:/run/app/fanfare.sock or "
            "127.0.0.1:8081"
        )
    return None, host.strip("[]"), int(port)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _ids(answer: dict[str, Any], count: int) -> list[str]:
    """The ids of so many events; empty are those that the answer does not tell."""
    ids = answer.get("ids")
    told = [str(each or "") for each in ids] if isinstance(ids, list) else []
    return told if len(told) == count else [""] * count


def _topics(topic: Any) -> list[Text]:  # noqa: ANN401 (a Destination)
    topics = [topic] if isinstance(topic, str | bytes | NativeTopic) else list(topic)
    if not topics:
        raise TopicError(
            lib.FANFARE_ERR_TOPIC, "there is no topic to publish to: give at least one"
        )
    return [each.name if isinstance(each, NativeTopic) else each for each in topics]


def _query(
    topic: Text | Iterable[Text],
    name: Text | None,
    id: Text | None,  # noqa: A002 (the standard's word)
    key: Text | None,
    retry_ms: int | None,
    window_ms: int | None,
) -> list[tuple[str, Text]]:
    query: list[tuple[str, Text]] = [("topic", encoded(each)) for each in _topics(topic)]
    for field, text in (("event", name), ("id", id), ("key", key)):
        if text is not None:
            query.append((field, encoded(text)))
    for field, number in (("retry", retry_ms), ("window", window_ms)):
        if number is not None:
            query.append((field, str(_whole(f"{field}_ms", number))))
    return query


def _whole(option: str, number: int | None) -> int | None:
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise no_whole_number(option, number) from None


def _line(publication: Publication) -> bytes:
    if publication.comment is not None:
        raise EventError(lib.FANFARE_ERR_EVENT, "a comment cannot be published to another process")
    fields = {
        "topics": [_text(topic) for topic in _topics(publication.topic)],
        "data": data_of(publication.data, publication.json),
        "event": publication.name,
        "id": publication.id,
        "key": publication.key,
        "retry": _whole("retry_ms", publication.retry_ms),
        "window": _whole("window_ms", publication.window_ms),
    }
    given: Iterator[tuple[str, object]] = (
        (field, _text(value) if isinstance(value, bytes) else value)
        for field, value in fields.items()
        if value is not None
    )
    return jsons.dumps(dict(given)).encode() + b"\n"


def _parts(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if len(part) == PART_MAX or size >= PART_BYTES_MAX:
            yield part
            part, size = [], 0
    if part:
        yield part


def _text(text: Text) -> str:
    try:
        return encoded(text).decode()
    except UnicodeDecodeError as why:
        raise EncodingError(lib.FANFARE_ERR_UTF8, f"the event's text is not UTF-8: {why}") from None
