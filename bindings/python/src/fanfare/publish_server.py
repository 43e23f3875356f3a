"""A way in for publishers of other processes, whose protocol is that of ``fanfare serve``."""

from __future__ import annotations

import contextlib
import hmac
import http.server
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ._native import lib
from .errors import (
    AddressError,
    ClosedError,
    ClusterError,
    FanfareError,
    FinishedError,
    FullError,
    JournalError,
    TimedOutError,
    TooLargeError,
    TooManyError,
)
from .event import Publication
from .hub import Hub
from .publisher import check_token

#: How long an event waits for space, in seconds; less than a publisher waits for the answer.
ROOM_S_MAX = 4.0
#: How long a connection may be idle, and each piece of a request may take, in seconds.
IDLE_S_MAX = 60.0
#: How long is waited for the end of content that is refused, in seconds: a connection that is
#: closed while some of it is unread is reset, and the publisher may not see the answer.
LINGER_S_MAX = 2.0
_FIELDS = {"topic", "topics", "data", "event", "id", "key", "retry", "window", "finish"}
#: The codes of answers to requests that reach no hub; docs/server.md has all.
_CODES = {
    HTTPStatus.UNAUTHORIZED: "token",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.LENGTH_REQUIRED: "transfer_coding",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.NOT_IMPLEMENTED: "method",
}
_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class PublishServer:
    """Takes events for a hub from other processes of this machine, which use ``fanfare.Publisher``.

    >>> from fanfare import Hub, PublishServer
    >>> hub = Hub()
    >>> with PublishServer(hub, "unix:/run/app/fanfare.sock"):  # doctest: +SKIP
    ...     hub.listen("127.0.0.1:8080")

    It is a small server of HTTP with a thread for each connection. What connects may publish to
    every topic: its Unix domain socket is for this user alone unless ``socket_mode`` says
    otherwise, and a port needs a token.

    :param hub: Where the events go. It has to be closed after the server.
    :param address: ``unix:/run/app/fanfare.sock``, where a socket file that nobody listens at is
        replaced; or ``127.0.0.1:8081``, where port 0 is chosen by the system; or ``unix:@name``,
        an abstract name of Linux's, which needs a token, as it has no permissions.
    :param token: What publishers have to show, 1 to 4,096 visible ASCII characters.
    :param socket_mode: The permission bits of the file of a Unix domain socket.
    :param connections_max: The most connections; another one gets 503.
    :param content_bytes_max: The most bytes of a request's content. Each connection may take as
        many. Default: 8 MiB.
    :raises AddressError: The address is not one, is in use, or may not be bound; or it is a port
        and there is no token.
    """

    def __init__(
        self,
        hub: Hub,
        address: str,
        *,
        token: str | None = None,
        socket_mode: int = 0o600,
        connections_max: int = 64,
        content_bytes_max: int = 8 << 20,
    ) -> None:
        check_token(token)
        self._hub = hub
        self._token = token
        self._content_bytes_max = content_bytes_max
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._socket = self._listen(address, socket_mode)
        self._inode = os.stat(self._path).st_ino if self._path and self._has_file else 0
        self._places = threading.BoundedSemaphore(connections_max)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._accept, name="fanfare-publish", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<fanfare.PublishServer {self.address}>"

    @property
    def _has_file(self) -> bool:
        return self._path is not None and not self._path.startswith("@")

    @property
    def address(self) -> str:
        """Where it listens, as a publisher needs it."""
        if self._path is not None:
            return f"unix:{self._path}"
        host, port = self._bound
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Takes no more events, and ends its connections and threads. Once more does nothing.

        In the child of a fork it closes what the child has of it alone.
        """
        if self._pid != os.getpid():  # where a thread may have had the lock that is not here
            self._socket.close()
            return
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            connections = list(self._open)
        if not is_first:
            return
        if self._path is not None and self._has_file:
            with contextlib.suppress(OSError):
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)
        for sock in (self._socket, *connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> PublishServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self, address: str, socket_mode: int) -> socket.socket:
        try:
            if self._path is not None and self._has_file:
                return _unix(self._path, socket_mode)
            if self._token is None:
                raise AddressError(
                    lib.FANFARE_ERR_ADDRESS,
                    f"every user of this machine can reach {address}; give a token, or listen at "
                    "unix:PATH",
                )
            if self._path is not None:
                return _abstract(self._path)
            host, _, port = address.rpartition(":")
            host = host.strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.create_server((host, int(port)), family=family)
            self._bound: tuple[str, int] = sock.getsockname()[:2]
            return sock
        except (OSError, ValueError) as why:
            if isinstance(why, FanfareError):
                raise
            raise AddressError(
                lib.FANFARE_ERR_ADDRESS, f"cannot listen at {address}: {why}"
            ) from why

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                if self._is_closed:
                    return
                # Out of descriptors: those that are served end first.
                threading.Event().wait(0.05)
                continue
            if not self._places.acquire(blocking=False):
                _turn_away(sock)
                continue
            with self._lock:
                self._open.add(sock)
            try:
                threading.Thread(
                    target=self._serve, args=(sock,), name="fanfare-publish", daemon=True
                ).start()
            except RuntimeError:  # the system is out of threads
                self._end(sock, _turn_away)

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(IDLE_S_MAX)
            if not self._is_closed:
                handler = _Handler(sock, self._hub, self._token, self._content_bytes_max)
                if handler.is_unread:
                    _discard(sock)
        except OSError:  # the publisher is gone, or too slow
            pass
        finally:
            self._end(sock, socket.socket.close)

    def _end(self, sock: socket.socket, end: Callable[[socket.socket], None]) -> None:
        with self._lock:
            self._open.discard(sock)
        end(sock)
        self._places.release()


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(error)
        self.status = status


class _Handler(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write

    def __init__(
        self, sock: socket.socket, hub: Hub, token: str | None, content_bytes_max: int
    ) -> None:
        self._hub = hub
        self._token = token
        self._content_bytes_max = content_bytes_max
        #: Whether some of the request that was answered was not read, so that it was the last.
        self.is_unread = False
        super().__init__(sock, "publisher", None)  # type: ignore[arg-type]

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 (as of the base)
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what is no request that there is, without the standard library's page."""
        self.close_connection = self.is_unread = True
        self.request_version = self.protocol_version
        status = HTTPStatus(code)
        error = message or explain or status.phrase
        self._answer(status, {"error": error, "code": _CODES.get(status, "invalid")})

    def do_POST(self) -> None:
        target = urlsplit(self.path)
        published = 0
        try:
            self.is_unread = True
            self._check()
            content = self._content()
            self.is_unread = False
            query = parse_qs(target.query, keep_blank_values=True, errors="strict")
            if target.path not in ("/publish", "/finish"):
                raise _RefusedError(HTTPStatus.NOT_FOUND, "there are /publish and /finish")
            kind = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
            if target.path == "/publish" and kind in _NDJSON:
                for number, line in enumerate(content.split(b"\n"), 1):
                    published += self._line(number, line)
                self._answer(HTTPStatus.OK, {"published": published})
            else:
                self._answer(HTTPStatus.OK, {"id": self._one(target.path, query, content)})
        except _RefusedError as no:
            self._refuse(no.status, _CODES.get(no.status, "invalid"), str(no), published)
        except (FullError, TimedOutError):  # for as long as an event may wait for space
            error = "too much waits to be sent; try again later"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "full", error, published)
        except FanfareError as problem:
            self._refuse(*_status_and_code(problem), str(problem), published)
        except (ValueError, TypeError, OverflowError, RecursionError) as problem:
            error = f"the request is not understood: {problem}"
            self._refuse(HTTPStatus.BAD_REQUEST, "invalid", error, published)

    def _check(self) -> None:
        if self._token is not None:
            shown = self.headers.get("Authorization", "").encode("latin-1", "replace")
            if not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
                raise _RefusedError(
                    HTTPStatus.UNAUTHORIZED, "publishing needs the token of this server"
                )

    def _content(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "say Content-Length")
        if int(length) > self._content_bytes_max:
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the content is larger than {self._content_bytes_max} bytes",
            )
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise ConnectionResetError
        return content

    def _one(self, path: str, query: dict[str, list[str]], content: bytes) -> str:
        fields: dict[str, Any] = {
            "data": content,
            "name": _first(query, "event"),
            "id": _first(query, "id"),
            "key": _first(query, "key"),
            "retry_ms": _number(_first(query, "retry")),
            "window_ms": _number(_first(query, "window")),
        }
        topics = query.get("topic", [])
        if path == "/publish":
            published = self._hub.publish(topics, **fields, timeout=ROOM_S_MAX)
            return fields["id"] or published
        if len(topics) != 1:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "say one topic: /finish?topic=NAME")
        del fields["window_ms"]
        fields["data"] = content or None
        finished = self._hub.finish(topics[0], **fields, timeout=ROOM_S_MAX)
        return fields["id"] or finished

    def _line(self, number: int, line: bytes) -> int:
        """Publishes a line's event, or finishes its topic, and says how many that is."""
        if not line.strip():
            return 0
        said = json.loads(line)
        if not isinstance(said, dict) or said.keys() - _FIELDS:
            raise ValueError(
                f"line {number} is no event: an object of {', '.join(sorted(_FIELDS))}"
            )
        topics: Any = said.get("topics", said.get("topic"))
        event = {
            "data": said.get("data"),
            "name": said.get("event"),
            "id": said.get("id"),
            "key": said.get("key"),
            "retry_ms": said.get("retry"),
        }
        if said.get("finish"):
            self._hub.finish(topics, **event, timeout=ROOM_S_MAX)
        else:
            publication = Publication(topics, **event, window_ms=said.get("window"))
            self._hub.publish_many([publication], timeout=ROOM_S_MAX)
        return 1

    def _refuse(self, status: HTTPStatus, code: str, error: str, published: int) -> None:
        self._answer(status, {"error": error, "code": code, "published": published})

    def _answer(self, status: HTTPStatus, answer: dict[str, object]) -> None:
        if self.is_unread:  # what is left of it would be taken for the next request
            self.close_connection = True
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def _status_and_code(problem: FanfareError) -> tuple[HTTPStatus, str]:
    if isinstance(problem, FinishedError):
        return HTTPStatus.CONFLICT, "finished"
    if isinstance(problem, TooLargeError):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"
    if isinstance(problem, ValueError | TooManyError):
        return HTTPStatus.BAD_REQUEST, "invalid"
    for kind, code in (
        (ClosedError, "closed"),
        (JournalError, "unwritable"),
        (ClusterError, "unreachable"),
    ):
        if isinstance(problem, kind):
            return HTTPStatus.SERVICE_UNAVAILABLE, code
    return HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"


def _first(query: dict[str, list[str]], field: str) -> str | None:
    return query[field][0] if field in query else None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _unix(path: str, mode: int) -> socket.socket:
    """Listens at a path. Nobody can connect before the file has its permissions."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode) and _is_abandoned(path):
                os.unlink(path)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


def _abstract(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind("\0" + path[1:])
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_abandoned(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        return False


def _discard(sock: socket.socket) -> None:
    """Tells a publisher that the answer is all, and reads until it is gone, for a bounded time."""
    deadline = time.monotonic() + LINGER_S_MAX
    sock.shutdown(socket.SHUT_WR)
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        if not sock.recv(64 * 1024):
            return


def _turn_away(sock: socket.socket) -> None:
    content = b'{"error":"too many connections here; try again later","code":"full"}'
    with contextlib.suppress(OSError), sock:
        sock.settimeout(0)
        sock.send(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(content), content)
        )
