"""HTTP and event streams by hand, to see the bytes that clients do not show."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from server import DEADLINE_S, Server


class Event(NamedTuple):
    type: str
    data: str
    id: str


def events_in(stream: bytes) -> list[Event]:
    """The complete events of a stream, as WHATWG HTML, section "Server-sent events", reads them.

    Of the line ends that the standard allows only LF is expected: fanfare sends no other.
    """
    assert b"\r" not in stream
    blocks = stream.decode().split("\n\n")[:-1] if b"\n\n" in stream else []
    events, last_id = [], ""
    for block in blocks:
        kind, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                kind = value
            elif field == "id":
                last_id = value
        if data:
            events.append(Event(kind, "\n".join(data), last_id))
    return events


def complete(stream: bytes) -> bytes:
    """The stream up to the end of its last complete event, to decode no half characters."""
    return stream[: stream.rfind(b"\n\n") + 2] if b"\n\n" in stream else b""


class Head(NamedTuple):
    version: str
    status: int
    headers: dict[str, str]


class Client:
    """One connection to the server, and the bytes that came out of it."""

    def __init__(self, server: Server, *, control: bool = False) -> None:
        port = server.control_port if control else server.port
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.seen = b""
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(
        self, target: str, *headers: str, method: str = "GET", version: str = "1.1"
    ) -> Head:
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers, "", ""]
        return self.send("\r\n".join(lines).encode())

    def send(self, request: bytes) -> Head:
        with contextlib.suppress(ConnectionError):  # refused halfway: the answer is what matters
            self.socket.sendall(request)
        return self.head()

    def head(self) -> Head:
        self._fill(lambda: b"\r\n\r\n" in self.seen)
        assert b"\r\n\r\n" in self.seen, f"no head of a response: {self.seen!r}"
        head, _, self.seen = self.seen.partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        match = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) [ -~]*", status)
        assert match, status
        names = [line.partition(":")[0].lower() for line in lines]
        assert len(set(names)) == len(names), f"a header came twice: {names}"
        values = [line.partition(":")[2].strip() for line in lines]
        return Head(match[1], int(match[2]), dict(zip(names, values, strict=True)))

    def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        self._fill(lambda: self.ended)
        return self.seen

    def stream(self, head: Head, events: int) -> bytes:
        """The body of an event stream, once it has that number of events."""
        chunked = head.headers.get("transfer-encoding") == "chunked"

        def body() -> bytes:
            return complete(dechunk(self.seen) if chunked else self.seen)

        self._fill(lambda: len(events_in(body())) >= events)
        return body()

    def preamble(self, head: Head) -> bytes:
        """The body up to its first blank line: then the server knows of the client."""
        self._fill(lambda: b"\n\n" in self.seen)
        return self.stream(head, 0)

    def _fill(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not enough():
            assert not self.ended, f"the connection ended after {self.seen[-500:]!r}"
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            self.ended = not piece
            self.seen += piece


def dechunk(body: bytes) -> bytes:
    """The content of all complete chunks (RFC 9112, section 7.1), each strictly as it has to be."""
    content, at = b"", 0
    while (line := body.find(b"\r\n", at)) >= 0:
        assert re.fullmatch(rb"[0-9a-fA-F]+", body[at:line]), body[at : line + 20]
        size = int(body[at:line], 16)
        start, end = line + 2, line + 2 + size
        if len(body) < end + 2:
            break
        assert body[end : end + 2] == b"\r\n"
        content += body[start:end]
        at = end + 2
    return content
