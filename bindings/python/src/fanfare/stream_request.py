"""What an authorizer is asked: a client's request for a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._convert import all_taken, decoded, taken
from ._native import ffi


@dataclass(frozen=True)
class StreamRequest:
    """A client's request for a stream, which waits to be answered."""

    #: ``GET``, ``HEAD``, or ``POST`` where the route has it.
    method: str
    #: The path of the target, percent-encoded.
    path: str
    #: The query of the target as it was sent, without its ``?``.
    query: str
    #: All header fields, in their order.
    headers: tuple[tuple[str, str], ...]
    #: The content of a ``POST``; empty for others.
    content: bytes
    #: The id of the last event that the client had, if it comes back. It is what the client says.
    last_event_id: str | None
    #: The client's address and port; ``None`` at a Unix domain socket.
    addr: str | None
    #: What the stream would be subscribed to; nothing if the client leaves it to the grant.
    topics: tuple[str, ...]

    def header(self, name: str) -> str | None:
        """The value of the first header field of a name, in whatever case."""
        name = name.lower()
        return next((value for field, value in self.headers if field.lower() == name), None)


def request_of(notice: Any) -> tuple[int, StreamRequest]:  # noqa: ANN401 (cffi has no types)
    """The request that a notice tells of, and the number by which it is answered."""
    request = notice.request
    if request == ffi.NULL:
        return notice.id, StreamRequest("", "", "", (), b"", None, None, ())
    return notice.id, StreamRequest(
        method=taken(request.method),
        path=taken(request.path),
        query=taken(request.query),
        headers=tuple(
            (taken(request.headers[index].name), taken(request.headers[index].value))
            for index in range(request.headers_count)
        ),
        content=_content(request.content),
        last_event_id=decoded(request.last_event_id),
        addr=decoded(notice.addr),
        topics=all_taken(notice.subscriptions, notice.subscriptions_count),
    )


def _content(text: Any) -> bytes:  # noqa: ANN401 (cffi has no types)
    return b"" if text.data == ffi.NULL else bytes(ffi.unpack(text.data, text.length))
