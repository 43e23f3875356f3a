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

from ._convert import Envelope, Headers, HeartbeatForm, Moment, Policy, Start, Text, Topics
from ._native import lib
from ._serving import (
    METHOD_NOT_ALLOWED,
    STREAM_FIELDS,
    Answer,
    Overload,
    RefusedError,
    Terms,
    duplicated,
    hub_of,
    without_descriptors,
)
from ._wsgi_sockets import CONTENT_BYTES_MAX, Host, NotGivenError, finish_content
from .errors import FanfareError, SocketError, UnreadSocketError, UnsentSocketError
from .grants import Grant
from .hub import Hub
from .process import PerProcess

Environ = Mapping[str, Any]


class Request(Protocol):
    """What Flask's and Django's requests have in common."""

    @property
    def environ(self) -> dict[str, Any]: ...


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
        #: The content.
        self.text = text
        #: Why the hub has not taken the connection; ``None`` if it was not asked.
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
    query_topics: bool = False,
    overload: Overload = "come-again",
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

    The program has authorized the request: a client gets the topics that the handler names, not
    those that its query names, unless ``query_topics`` says so. The engine writes the answer at
    once, its head included: what a framework adds to the returned response, such as cookies or
    fields of CORS, is not sent. Give such fields as ``headers``.

    A request that does not become a stream is left to the server, which answers it: as ``overload``
    says for clients that are too many and for a hub that is closed; 400 for topics that are none
    and if another request waits behind this one; 403, 405 or 413. ``refused`` says why the hub has
    not taken it.

    :param request: Flask's or Django's request, or the ``environ`` of any WSGI application. Content
        of a ``POST`` that was not read is thrown away, at most 64 KiB of it; with a bare
        ``environ`` of werkzeug's server you read it first.
    :param hub: The hub, or the one of this process.
    :param topics: A topic or filter, or several; or a grant, whose topics, header fields, tag,
        policy, start and end the stream gets. What is given beside it goes before it; header fields
        are added.
    :param headers: Header fields of the answer, at most 32 and 4 KiB.
    :param query_topics: Whether the request's query may name topics, ``?topic=a&topic=b``, among
        those of ``topics``: it gets these then, and 403 if one is not granted. A request that names
        none gets all.
    :param overload: What clients are told that are too many: to come again with status 200, which
        an ``EventSource`` does, or 503.
    :param last_event_id: By default the request's ``Last-Event-ID``, or ``last-event-id`` of its
        query.
    :param addr: The client's address, if a proxy's is the connection's. Give it only from a field
        that your own proxy sets.
    :raises NoSocketError: The server gives no socket, or one with TLS or HTTP/2.
    :raises ValueError: A header field is none, or is the engine's own.
    :raises FanfareError: As of :meth:`fanfare.Hub.adopt`, for what no client can change.
    """
    terms = Terms(
        topics,
        headers=headers,
        query_topics=query_topics,
        overload=overload,
        last_event_id=last_event_id,
        tag=tag,
        addr=addr,
        start=start,
        gap_start=gap_start,
        policy=policy,
        heartbeat_form=heartbeat_form,
        envelope=envelope,
        expires_at=expires_at,
    )
    environ = _environ(request)
    method = str(environ.get("REQUEST_METHOD", ""))
    if method == "HEAD":
        return Response(HTTPStatus.OK, [*STREAM_FIELDS, *terms.fields])
    try:
        if method not in ("GET", "POST"):
            raise RefusedError(METHOD_NOT_ALLOWED)
        wanted, options = terms.of(
            _bytes(environ.get("QUERY_STRING", "")),
            _bytes(environ.get("HTTP_LAST_EVENT_ID", "")),
            None,  # the engine asks the socket
        )
        host = Host(environ)
        if not finish_content(request, environ):
            text = f"The request has more than {CONTENT_BYTES_MAX} bytes of content."
            raise RefusedError(Answer.text(413, text))
        _hand_over(host, hub_of(hub), wanted, method, terms.fields, options)
    except NotGivenError as why:
        raise _no_socket(str(why)) from None
    except RefusedError as refused:
        return _response(refused.answer, terms)
    except FanfareError as problem:
        accept = str(environ.get("HTTP_ACCEPT", ""))
        if isinstance(problem, UnreadSocketError):
            answer = Answer.text(400, str(problem))
        elif isinstance(problem, SocketError | UnsentSocketError):
            answer = Answer.to_come_again(overload, method, accept)
        else:
            answer = terms.refusal(problem, method, accept)
        return _response(answer, terms, problem)
    return Response(HTTPStatus.OK, [("Content-Type", "text/event-stream")])


def _hand_over(
    host: Host,
    hub: Hub,
    topics: list[Text],
    method: str,
    headers: Headers,
    options: Mapping[str, Any],
) -> None:
    read_ahead = host.read_ahead()
    spare, given = _spare_and_duplicate(host.sock.fileno())
    try:
        hub.adopt(
            given,
            topics,
            method=method,
            version=host.version,
            headers=headers,
            read_ahead_bytes=read_ahead,
            **options,
        )
    except BaseException:
        os.close(given)
        os.close(spare)
        raise
    host.let_go(spare)


def _spare_and_duplicate(fd: int) -> tuple[int, int]:
    """A socket for the server to finish the request with, and one for the engine.

    The spare one's peer is gone: it reads as ended, and what is written to it is an EPIPE. It is
    not of the module ``socket``, which gevent patches.
    """
    try:
        spare, peer = _socket.socketpair()
    except OSError as why:
        raise without_descriptors(why) from why
    peer.close()
    try:
        given = duplicated(fd)
    except BaseException:
        spare.close()
        raise
    return spare.detach(), given


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


def _bytes(text: object) -> bytes:
    """The bytes of one of environ's texts, each character of which is a byte (PEP 3333)."""
    return str(text).encode("latin-1", "replace")


def _response(answer: Answer, terms: Terms, refused: FanfareError | None = None) -> Response:
    fields = [*terms.fields, *answer.fields]
    return Response(HTTPStatus(answer.status), fields, answer.body.decode(), refused)


def _no_socket(message: str) -> NoSocketError:
    problem = NoSocketError(lib.FANFARE_ERR_SOCKET, message)
    answer = Answer.text(HTTPStatus.NOT_IMPLEMENTED, message)
    problem.response = Response(HTTPStatus.NOT_IMPLEMENTED, answer.fields, f"{message}\n", problem)
    return problem
