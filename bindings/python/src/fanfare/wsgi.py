"""Event streams of Flask, Django and other WSGI applications, whose workers are free at once.

>>> from flask import Flask, request
>>> from fanfare import PerProcess
>>> from fanfare.wsgi import event_stream
>>> app, hub = Flask(__name__), PerProcess()
>>> @app.get("/events")
... def events():
...     return event_stream(request, hub, "news")

The connection is handed over to the engine, which writes the whole answer. It works under gunicorn
with sync, gthread and gevent workers, and under werkzeug's and Django's own servers.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol, TypeGuard
from urllib.parse import parse_qsl

from ._convert import Envelope, Headers, HeartbeatForm, Moment, Policy, Start, Text, Topics
from ._native import lib
from ._wsgi_sockets import CONTENT_BYTES_MAX, Host, NotGivenError, finish_content
from .errors import (
    BusyError,
    ClosedError,
    FanfareError,
    GrantError,
    LimitError,
    OutOfResourcesError,
    RequestError,
    SocketError,
    UnreadSocketError,
    UnsentSocketError,
)
from .grants import Grant
from .hub import Hub
from .process import PerProcess
from .streams import STREAM_HEADERS

Environ = Mapping[str, Any]
#: The most characters of a client's ``Last-Event-ID`` that are looked at: 4 KiB of UTF-8 at most.
_ID_CHARACTERS_MAX = 1024


class Request(Protocol):
    """What Flask's and Django's requests have in common."""

    @property
    def environ(self) -> dict[str, Any]: ...


#: What refuses one client and may let the next one in: the answer to it, and its text.
_ANSWERS: tuple[tuple[type[FanfareError], HTTPStatus], ...] = (
    (UnreadSocketError, HTTPStatus.BAD_REQUEST),
    (LimitError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ClosedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (OutOfResourcesError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnsentSocketError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SocketError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Response:
    """What a handler returns: a WSGI application that ends the request for its server.

    Flask takes it as it is, and so does each framework that takes a WSGI application.
    """

    def __init__(
        self,
        status: HTTPStatus,
        headers: Iterable[tuple[str, str]] = (),
        text: str = "",
        refused: FanfareError | None = None,
    ) -> None:
        #: 200 for a connection that was handed over, whose client is sent the engine's own answer.
        self.status = status
        self.headers = list(headers)
        #: The content, in plain text.
        self.text = text
        #: Why the hub has not taken the connection.
        self.refused = refused

    def __repr__(self) -> str:
        return f"<fanfare.wsgi.Response {self.status.value}>"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> list[bytes]:
        start_response(f"{self.status.value} {self.status.phrase}", list(self.headers))
        content = self.text.encode()
        return [content] if content and environ.get("REQUEST_METHOD") != "HEAD" else []


class NoSocketError(SocketError):
    """The server gives no socket that can be handed over; the message says what to do.

    ``response`` is an answer to the client, with the status 501.
    """

    response: Response


def event_stream(
    request: Request | Environ,
    hub: Hub | PerProcess,
    topics: Topics | Grant,
    *,
    headers: Headers = (),
    last_event_id: Text | None = None,
    tag: Text | None = None,
    addr: Text | None = None,
    start: Start | None = None,
    gap_start: Start | None = None,
    policy: Policy | None = None,
    heartbeat_form: HeartbeatForm | None = None,
    envelope: Envelope | None = None,
    expires_at: Moment | None = None,
) -> Response:
    """Makes an event stream of a request's connection, and returns what ends the request.

    A client gets the topics that the handler names; nothing is taken from its query but the place
    where it resumes. The engine writes the answer at once, its head included: what a framework adds
    to the returned response, such as cookies or fields of CORS, is not sent. Give such fields as
    ``headers``.

    A request that the hub does not take is left to the server: its answer has the status 503, 400
    (another request waits behind this one), 405 or 413, and ``refused`` says why.

    :param request: Flask's or Django's request, or the ``environ`` of any WSGI application. Content
        of a ``POST`` that was not read is thrown away, at most 64 KiB of it; with a bare
        ``environ`` of werkzeug's server you read it first.
    :param hub: The hub, or the one of this process.
    :param topics: A topic or filter, or several; or a grant, whose topics, header fields, tag,
        policy, start and end the stream gets. What is given beside it goes before it; header fields
        are added.
    :param headers: Header fields of the answer, at most 32 and 4 KiB.
    :param last_event_id: By default the request's ``Last-Event-ID``, or ``last-event-id`` of its
        query.
    :param addr: The client's address, if a proxy's is the connection's. Give it only from a field
        that your own proxy sets.
    :raises NoSocketError: The server gives no socket, or one with TLS or HTTP/2.
    :raises GrantError: The grant names no topics.
    :raises FanfareError: As of :meth:`fanfare.Hub.adopt`, for what no client can change.
    """
    environ = _environ(request)
    method = str(environ.get("REQUEST_METHOD", ""))
    if method == "HEAD":
        return Response(HTTPStatus.OK, STREAM_HEADERS)
    if method not in ("GET", "POST"):
        refused = RequestError(lib.FANFARE_ERR_REQUEST, "an event stream answers GET and POST")
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, refused, [("Allow", "GET, HEAD, POST")])
    if isinstance(topics, Grant):
        grant = topics
        topics, headers = _granted(grant), [*_pairs(grant.headers), *_pairs(headers)]
        tag = grant.tag if tag is None else tag
        gap_start = grant.start if gap_start is None else gap_start
        start = grant.start if start is None else start
        policy = grant.policy if policy is None else policy
        expires_at = grant.expires_at if expires_at is None else expires_at
    try:
        host = Host(environ)
        if not finish_content(request, environ):
            message = f"the request has more than {CONTENT_BYTES_MAX} bytes of content; read it"
            refused_content = UnreadSocketError(lib.FANFARE_ERR_SOCKET_READ, message)
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, refused_content)
        read_ahead = host.read_ahead()
    except NotGivenError as why:
        raise _no_socket(str(why)) from None
    try:
        spare, given = _spare_and_duplicate(host.sock.fileno())
        try:
            (hub.get() if isinstance(hub, PerProcess) else hub).adopt(
                given,
                topics,
                method=method,
                version=str(environ["SERVER_PROTOCOL"]),
                headers=headers,
                read_ahead_bytes=read_ahead,
                last_event_id=_last_event_id(environ) if last_event_id is None else last_event_id,
                tag=tag,
                addr=addr,
                start=start,
                gap_start=gap_start,
                policy=policy,
                heartbeat_form=heartbeat_form,
                envelope=envelope,
                expires_at=expires_at,
            )
        except BaseException:
            os.close(given)
            os.close(spare)
            raise
    except FanfareError as problem:
        for kind, status in _ANSWERS:
            if isinstance(problem, kind):
                return _refusal(status, problem)
        raise
    host.let_go(spare)
    return Response(HTTPStatus.OK, [("Content-Type", "text/event-stream")])


def _spare_and_duplicate(fd: int) -> tuple[int, int]:
    """A socket for the server to finish the request with, and one for the engine.

    The spare one's peer is gone: it reads as ended, and what is written to it is an EPIPE. It is
    not of the module ``socket``, which gevent patches.
    """
    try:
        spare, peer = _socket.socketpair()
        peer.close()
        try:
            return spare.fileno(), os.dup(fd)
        except OSError:
            spare.close()
            raise
        finally:
            spare.detach()
    except OSError as why:
        message = f"no descriptor can be had: {why.strerror}; raise the limit (ulimit -n)"
        raise OutOfResourcesError(lib.FANFARE_ERR_SYSTEM, message) from why


def _environ(request: Request | Environ) -> Environ:
    if _is_environ(request):
        return request
    environ = getattr(request, "environ", None)
    if not isinstance(environ, dict):
        raise _no_socket(
            f"A {type(request).__name__} has no environ of WSGI; under ASGI use fanfare.asgi."
        )
    return environ


def _is_environ(request: Request | Environ) -> TypeGuard[Environ]:
    return isinstance(request, Mapping)


def _granted(grant: Grant) -> Topics:
    if grant.any_topics:
        message = "a grant of any topics names none that a stream can have; name the topics"
        raise GrantError(lib.FANFARE_ERR_GRANT, message)
    return grant.topics


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    return list(pairs)


def _last_event_id(environ: Environ) -> str | None:
    text = environ.get("HTTP_LAST_EVENT_ID")
    if text is None:
        query = parse_qsl(str(environ.get("QUERY_STRING", "")), True, encoding="latin-1")
        text = dict(reversed(query)).get("last-event-id")
    if text is None:
        return None
    # PEP 3333: each character of environ's texts is a byte. What no event's id can be, since it is
    # too long or not UTF-8, stays what no event's id can be.
    sent = str(text).encode("latin-1", "replace").decode("utf-8", "replace")
    return sent[:_ID_CHARACTERS_MAX]


def _refusal(
    status: HTTPStatus, refused: FanfareError, headers: Iterable[tuple[str, str]] = ()
) -> Response:
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append(("Retry-After", "1"))
    return Response(status, [*fields, *headers], f"{refused}\n", refused)


def _no_socket(message: str) -> NoSocketError:
    problem = NoSocketError(lib.FANFARE_ERR_SOCKET, message)
    problem.response = _refusal(HTTPStatus.NOT_IMPLEMENTED, problem)
    return problem
