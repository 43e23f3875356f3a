"""HTTP by hand, to see and to send what clients do not."""

from __future__ import annotations

import socket
import time
from types import TracebackType

from client import DEADLINE_S


class Raw:
    """One connection to a server."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE_S)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.seen = b""

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def request(
        self, target: str, *fields: str, method: str = "GET", version: str = "1.1", body: str = ""
    ) -> bytes:
        """The bytes of a request."""
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *fields, "", body]
        return "\r\n".join(lines).encode()

    def send(self, target: str, *fields: str, method: str = "GET", version: str = "1.1") -> None:
        self.socket.sendall(self.request(target, *fields, method=method, version=version))

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the fields of the next answer; a field that came twice is an error."""
        self.read_until(b"\r\n\r\n")
        head, _, self.seen = self.seen.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = [line.split(":", 1) for line in lines]
        names = [name.lower() for name, _ in fields]
        assert len(set(names)) == len(names), f"a field came twice: {names}"
        return int(status.split()[1]), {name.lower(): value.strip() for name, value in fields}

    def read_until(self, part: bytes) -> bytes:
        """Everything up to a part of it."""
        deadline = time.monotonic() + DEADLINE_S
        while part not in self.seen:
            assert time.monotonic() < deadline, f"no {part!r} in {self.seen[-300:]!r}"
            piece = self.socket.recv(1 << 16)
            assert piece, f"the connection ended after {self.seen[-300:]!r}"
            self.seen += piece
        return self.seen

    def rest(self) -> bytes:
        """All that comes until the connection ends, in whatever way."""
        try:
            while piece := self.socket.recv(1 << 16):
                self.seen += piece
        except ConnectionResetError:
            pass
        return self.seen
