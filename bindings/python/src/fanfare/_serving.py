"""What the ways in through other servers have in common: which stream a request gets."""

from __future__ import annotations

import ipaddress
import os
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from ._convert import Headers, Text, Topics, encoded, several
from ._native import lib
from .errors import (
    BusyError,
    ClosedError,
    FanfareError,
    LimitError,
    OutOfResourcesError,
    RequestError,
    SocketError,
    SubscriptionError,
    TLSSocketError,
    UnreadSocketError,
    UnsentSocketError,
)
from .grants import Grant
from .hub import Hub
from .process import PerProcess
from .streams import STREAM_HEADERS

#: Whether the client's socket is handed over to the engine: where the server lets it, not at all,
#: or always, so that a request for which the server does not let it is refused.
HandoverMode = Literal["auto", "never", "require"]
#: What a client is told when there are too many, as of ``Hub.listen``.
Overload = Literal["come-again", "unavailable"]

#: What the engine refuses although a stream that the server sends would do.
NEEDS_SERVER = (
    RequestError,
    SocketError,
    TLSSocketError,
    UnreadSocketError,
    UnsentSocketError,
)
#: What the client is told to come again for.
OVERLOADED = (BusyError, ClosedError, LimitError, OutOfResourcesError)

#: Topics that a request's query may name at most, as at a listener.
QUERY_TOPICS_MAX = 64
LAST_EVENT_ID_BYTES_MAX = 4096
#: The fields of an answer that are the engine's own; a ``Content-Encoding`` is not named here, as
#: it makes a stream one that the engine cannot send.
OWN_FIELDS = frozenset(
    {
        "allow",
        "cache-control",
        "connection",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "retry-after",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-accel-buffering",
        "x-content-type-options",
    }
)
#: The head of a stream that a server sends: the same fields as that of the engine has.
STREAM_FIELDS = STREAM_HEADERS


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Answer:
    """A whole answer in place of a stream."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    @classmethod
    def text(cls, status: int, text: str, *fields: tuple[str, str]) -> Answer:
        plain = ("content-type", "text/plain; charset=utf-8")
        return cls.of(status, plain, *fields, body=f"{text}\n".encode())

    @classmethod
    def of(cls, status: int, *fields: tuple[str, str], body: bytes = b"") -> Answer:
        length = () if status == 204 else (("content-length", str(len(body))),)
        common = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
        return cls(status, (*common, *fields, *length), body)

    @classmethod
    def to_come_again(cls, overload: Overload, method: str, accept: str) -> Answer:
        """As a listener answers: any status but 200 would end an ``EventSource`` for good."""
        if overload == "come-again" and method == "GET" and "text/event-stream" in accept.lower():
            body = b"retry: %d\n\n" % random.randint(10_000, 20_000)
            return cls(200, (*STREAM_FIELDS, ("content-length", str(len(body)))), body)
        text = "There are as many streams as there may be; come again."
        return cls.text(503, text, ("retry-after", "5"))


class RefusedError(Exception):
    """The request gets an answer in place of a stream."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


NOTHING_TO_COME = Answer.of(204)
METHOD_NOT_ALLOWED = Answer.text(
    405, "An event stream answers GET and POST.", ("allow", "GET, HEAD, POST")
)


class Terms:
    """What the program says of a stream, before it is known for which request."""

    def __init__(
        self,
        topics: Topics | Grant,
        *,
        headers: Headers = (),
        query_topics: bool = False,
        overload: Overload = "come-again",
        **options: Any,  # noqa: ANN401 (what the callers' own signatures name)
    ) -> None:
        grant = topics if isinstance(topics, Grant) else Grant(topics)
        granted = {
            "tag": grant.tag,
            "expires_at": grant.expires_at,
            "policy": grant.policy,
            "start": grant.start,
            "gap_start": grant.start,
        }
        given = {name: value for name, value in options.items() if value is not None}
        self.options = {k: v for k, v in granted.items() if v is not None} | given
        self.topics = tuple(several(grant.topics))
        self.any_topics = grant.any_topics
        self.query_topics = query_topics
        self.overload: Overload = overload
        self.fields = [*_pairs(grant.headers), *_pairs(headers)]
        for name, value in self.fields:
            if name.lower() in OWN_FIELDS or name.lower() == "content-encoding":
                raise ValueError(f"the header field {name} is one that the engine writes itself")
            # Not each server looks at what it writes: a line break would begin another field.
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header field")
            if _CONTROLS.search(value):
                raise ValueError(f"the header field {name} has a control character")
        if overload not in ("come-again", "unavailable"):
            raise ValueError("overload may be come-again or unavailable")
        if grant.any_topics and not query_topics:
            raise ValueError("a grant of any topics needs query_topics=True")

    def of(
        self, query: bytes, last_event_id: bytes | None, client: str | None
    ) -> tuple[list[Text], dict[str, Any]]:
        """The topics and options of the stream that answers a request.

        :raises RefusedError: It gets none.
        """
        options = dict(self.options)
        fields = _query_fields(query, is_strict=self.query_topics)
        if "last_event_id" not in options:
            said = _last_event_id(last_event_id, fields)
            if said:
                options["last_event_id"] = said
        if client is not None and "addr" not in options and _is_address(client):
            options["addr"] = client
        return self._topics([value for name, value in fields if name == "topic"]), options

    def _topics(self, asked: list[str]) -> list[Text]:
        if not self.query_topics or not asked:
            return list(self.topics)
        if len(asked) > QUERY_TOPICS_MAX:
            text = f"A request may name at most {QUERY_TOPICS_MAX} topics."
            raise RefusedError(Answer.text(400, text))
        granted = [encoded(topic).decode("utf-8", "replace") for topic in self.topics]
        for topic in asked:
            if not self.any_topics and not any(
                covers(subscription, topic) for subscription in granted
            ):
                raise RefusedError(
                    Answer.text(403, "The request names a topic that is not granted.")
                )
        return list(asked)

    def refusal(self, problem: FanfareError, method: str, accept: str) -> Answer:
        """The answer to a request whose stream the engine has refused.

        :raises FanfareError: The fault is the program's.
        """
        if isinstance(problem, OVERLOADED):
            return Answer.to_come_again(self.overload, method, accept)
        if isinstance(problem, SubscriptionError):
            return Answer.text(400, str(problem))
        raise problem


def covers(subscription: str, asked: str) -> bool:
    """Whether a topic or filter stands for all that another one stands for."""
    if subscription == asked:
        return True
    levels, asked_levels = subscription.split("/"), asked.split("/")
    if levels[0] in ("+", "#") and asked.startswith("$"):
        return False
    for at, level in enumerate(levels):
        if level == "#":
            return True
        if at == len(asked_levels) or asked_levels[at] == "#":
            return False
        if level not in ("+", asked_levels[at]):
            return False
    return len(levels) == len(asked_levels)


def duplicated(fd: int) -> int:
    """A descriptor of the engine's for a server's socket.

    :raises OutOfResourcesError: There is none.
    """
    try:
        return os.dup(fd)
    except OSError as why:
        raise without_descriptors(why) from why


def without_descriptors(why: OSError) -> OutOfResourcesError:
    message = f"no descriptor can be had: {why.strerror}; raise the limit (ulimit -n)"
    return OutOfResourcesError(lib.FANFARE_ERR_SYSTEM, message)


def hub_of(hub: Hub | PerProcess) -> Hub:
    """The hub, or the one of this process."""
    return hub.get() if isinstance(hub, PerProcess) else hub


def engine_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fields of an answer that the engine does not write by itself."""
    return [(name, value) for name, value in fields if name.lower() not in OWN_FIELDS]


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    return list(pairs)


def _query_fields(query: bytes, *, is_strict: bool) -> list[tuple[str, str]]:
    """The fields of a query; one that says topics has to be UTF-8."""
    errors = "strict" if is_strict else "replace"
    try:
        text = query.decode("utf-8", errors)
        return parse_qsl(text, keep_blank_values=True, errors=errors, max_num_fields=1000)
    except ValueError:
        raise RefusedError(Answer.text(400, "The query is not UTF-8, or too long.")) from None


def _last_event_id(field: bytes | None, query: list[tuple[str, str]]) -> bytes:
    """The id that a client says, by its header field or else its query, as a listener takes it.

    One that is too long, or is not UTF-8, stays one that no event has.
    """
    said = (field or b"").decode("utf-8", "replace").strip(" \t")
    if not said:
        asked = [value for name, value in query if name in ("last-event-id", "lastEventId")]
        said = asked[-1].strip(" \t") if asked else ""
    return said.encode()[:LAST_EVENT_ID_BYTES_MAX].decode("utf-8", "ignore").encode()


def _is_address(text: str) -> bool:
    """Whether it is one that the engine takes, which are those without a zone."""
    try:
        return getattr(ipaddress.ip_address(text), "scope_id", None) is None
    except ValueError:
        return False
