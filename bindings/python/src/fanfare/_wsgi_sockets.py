"""Where WSGI servers have a request's socket, what they have read of it, and how they let go."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
from collections.abc import Mapping
from typing import Any

#: The most bytes of a request's content that are read for a handler that has left them.
CONTENT_BYTES_MAX = 64 * 1024
#: How many wrappers a server and a framework may put around the file that requests are read from.
_WRAPPERS_MAX = 8
#: Where gunicorn's workers and werkzeug's server put the socket.
_SOCKETS = ("gunicorn.socket", "werkzeug.socket", "gunicorn.sock")
_ADVICE = (
    "Run the application under gunicorn (sync, gthread or gevent workers) or werkzeug's or "
    "Django's own server, let clients come to a listener of the hub's (Hub.listen), or send a "
    "stream of Hub.subscribe."
)


class NotGivenError(Exception):
    """The server does not give the socket of a request, for a reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. {_ADVICE}")


class Host:
    """The connection of a request as its server has it."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ
        self.version = str(environ.get("SERVER_PROTOCOL", ""))
        self._request = _gunicorn_request(environ)
        self._reader = _reader(environ.get("wsgi.input"))
        self._check_protocol()
        self.sock = self._find()

    def _check_protocol(self) -> None:
        protocol = self.version
        if not protocol.startswith("HTTP/1.") or self._environ.get("HTTP_VERSION") == "2":
            raise NotGivenError(f"A connection of {protocol or 'no HTTP'} cannot be handed over")
        if self._request is not None and ".uwsgi." in type(self._request).__module__:
            raise NotGivenError("A connection of the uwsgi protocol cannot be handed over")

    def _find(self) -> Any:  # noqa: ANN401 (a socket of the standard library's or of gevent's)
        found = next((self._environ[key] for key in _SOCKETS if self._environ.get(key)), None)
        if found is None and self._reader is not None:
            found = getattr(self._reader.raw, "_sock", None)  # wsgiref's, and so Django's
        if found is None or not hasattr(found, "fileno"):
            raise NotGivenError("This WSGI server gives no socket of its requests")
        if isinstance(found, ssl.SSLSocket) or hasattr(found, "getpeercert"):
            raise NotGivenError("A connection with TLS of this server's cannot be handed over")
        return found

    def read_ahead(self) -> int:
        """How many bytes behind the request's head and content the server has read already.

        :raises NotGivenError: It cannot be known.
        """
        if "gunicorn.socket" in self._environ:
            body = self._environ.get("wsgi.input")
            holder = self._request or getattr(body, "reader", None)
            buffer = getattr(getattr(holder, "unreader", None), "buf", None)
            if buffer is None:
                raise NotGivenError("This gunicorn does not show what it has read ahead")
            ahead = bytes(buffer.getvalue())
        elif self._reader is not None:
            ahead = self._peek()
        else:
            raise NotGivenError("This WSGI server does not show what it has read ahead")
        # Some clients end the content of a POST with a line break that does not belong to it.
        return 0 if len(ahead) <= 4 and not ahead.strip(b"\r\n") else len(ahead)

    def _peek(self) -> bytes:
        """What is in the buffer or in the socket, which is looked at without waiting."""
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            return bytes(self._reader.peek())
        except OSError:  # such as a reset, which the hub sees as well
            return b""
        finally:
            self.sock.settimeout(timeout)

    def let_go(self, spare: int) -> None:
        """Puts a descriptor in the place of the server's, and closes it.

        What the server does with its descriptor from now on, be it a write, a shutdown or a close,
        does not reach the client.
        """
        fd = self.sock.fileno()
        os.set_blocking(spare, os.get_blocking(fd))
        os.dup2(spare, fd, inheritable=False)
        os.close(spare)


def finish_content(request: object, environ: Mapping[str, Any]) -> bool:
    """Reads what a handler has left of the request's content, and says whether that was the end.

    Only where the server or the framework knows the end of it; what comes after more than
    ``CONTENT_BYTES_MAX`` is left.
    """
    if environ.get("wsgi.input_terminated"):
        content = environ.get("wsgi.input")
    elif request is environ:
        return True
    else:  # werkzeug's request has a stream, Django's is one
        content = getattr(request, "stream", request)
        if isinstance(getattr(content, "_stream", content), io.BytesIO):
            return True  # the framework has read it, and keeps it
    read = getattr(content, "read", None)
    left = CONTENT_BYTES_MAX
    while read is not None and left >= 0:
        piece = read(min(16 * 1024, left + 1))
        if not piece:
            return True
        left -= len(piece)
    return read is None


def _gunicorn_request(environ: Mapping[str, Any]) -> Any:  # noqa: ANN401 (gunicorn has no types)
    """gunicorn's request, which only a function that it gives to applications has."""
    hints = environ.get("wsgi.early_hints")
    with contextlib.suppress(AttributeError, ValueError):
        names, cells = hints.__code__.co_freevars, hints.__closure__  # type: ignore[union-attr]
        return dict(zip(names, cells, strict=True))["req"].cell_contents if "req" in names else None
    return None


def _reader(stream: Any) -> Any:  # noqa: ANN401 (each server has its own)
    """The buffered file under a request's content, if there is one."""
    for _ in range(_WRAPPERS_MAX):
        if hasattr(stream, "peek") and hasattr(stream, "raw"):
            return stream
        read = getattr(getattr(stream, "_read", None), "__self__", None)  # Django's LimitedStream
        stream = next(
            (inner for name in ("_rfile", "rfile") if (inner := getattr(stream, name, None))),
            read,
        )
    return None
