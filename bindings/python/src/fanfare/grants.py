"""What an authorizer says: grants and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ._convert import (
    POLICIES,
    Headers,
    Memory,
    Moment,
    Policy,
    Start,
    Topics,
    all_taken,
    assign,
    begin,
    choose,
    decoded,
    struct,
    unix_ms,
)

_POLICY_NAMES = {number: name for name, number in POLICIES.items()}


@dataclass(frozen=True)
class Grant:
    """What a client may do. A request that names topics beyond it is answered 403.

    A request that names none is subscribed to all of ``topics``.
    """

    #: The topics and filters that the stream may be subscribed to, at most 1,024.
    topics: Topics = ()
    #: Header fields of the stream's answer, at most 32 and 4 KiB.
    headers: Headers = ()
    #: The label by which the connection is found again, 1 to 256 bytes without control characters;
    #: by default the request's own.
    tag: str | None = None
    #: When the stream ends; by default never.
    expires_at: Moment | None = None
    #: Whether the request may name any topics and filters.
    any_topics: bool = False
    #: What happens when the client reads too slowly, whatever its request says.
    policy: Policy | None = None
    #: Where the stream begins of a client without an id, or whose id is gone, whatever its request
    #: says.
    start: Start | None = None

    def _native(self, memory: Memory) -> Any:  # noqa: ANN401 (cffi has no types)
        made = struct("fanfare_grant")
        made.topics, made.topics_count = memory.texts(self.topics)
        made.headers, made.headers_count = memory.headers(self.headers)
        if self.tag is not None:
            made.tag = memory.text(self.tag)
        made.expires_at_unix_ms = unix_ms(self.expires_at)
        made.any_topics = bool(self.any_topics)
        choose(made, "policy", self.policy)
        begin(made, "start", self.start)
        return made


@dataclass(frozen=True)
class Refusal:
    """What a client is told that gets no stream."""

    #: 204, which an ``EventSource`` takes for the end of the stream, or 300 to 599.
    status: int
    #: The content: plain text of at most 4 KiB; a 204 has none.
    text: str = ""
    #: Header fields of the answer, such as ``WWW-Authenticate``, at most 32 and 4 KiB.
    headers: Headers = ()

    def _native(self, memory: Memory) -> Any:  # noqa: ANN401 (cffi has no types)
        made = struct("fanfare_refusal")
        assign(made, "status", self.status)
        if self.text:
            made.text = memory.text(self.text)
        made.headers, made.headers_count = memory.headers(self.headers)
        return made


def grant_of(read: Any) -> Grant:  # noqa: ANN401 (cffi has no types)
    """The grant of a token or a ticket, as the ABI tells it."""
    return Grant(
        topics=all_taken(read.topics, read.topics_count),
        tag=decoded(read.tag),
        expires_at=read.expires_at_unix_ms / 1000 if read.expires_at_unix_ms else None,
        any_topics=bool(read.any_topics),
        policy=cast("Policy | None", _POLICY_NAMES.get(read.policy)),
    )
