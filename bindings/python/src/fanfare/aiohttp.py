"""Streams as answers of aiohttp's server.

.. code-block:: python

    from fanfare.aiohttp import event_stream

    async def news(request: web.Request) -> web.StreamResponse:
        return await event_stream(request, hub, "news")

The socket of a plain HTTP/1.1 connection is handed over to the engine, after which the stream costs
the event loop nothing. Over TLS, and behind requests that were sent in advance, the server sends
the stream, which is read from the hub in batches. Either way it is the same stream.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from ._convert import Envelope, Headers, HeartbeatForm, Moment, Policy, Start, Text, Topics
from ._sending import send_all
from ._serving import (
    METHOD_NOT_ALLOWED,
    NEEDS_SERVER,
    NOTHING_TO_COME,
    OWN_FIELDS,
    STREAM_FIELDS,
    Answer,
    HandoverMode,
    Overload,
    RefusedError,
    Terms,
    duplicated,
    engine_fields,
    hub_of,
)
from .errors import FanfareError
from .grants import Grant
from .hub import Hub
from .process import PerProcess
from .streams import Stream

__all__ = ["HandoverMode", "event_stream"]

_log = logging.getLogger("fanfare")
R = TypeVar("R", bound=web.StreamResponse)


async def event_stream(
    request: web.Request,
    hub: Hub | PerProcess,
    topics: Topics | Grant,
    *,
    handover: HandoverMode = "auto",
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
    queue_bytes_max: int | None = None,
) -> web.StreamResponse:
    """Answers a request with an event stream, by ``GET`` or ``POST``; return what this returns.

    It returns when the connection was handed over, or else when the stream has ended. The program
    has authorized the request. Signals of ``on_response_prepare`` are sent, so that what they add
    to the head is in it; as with any response that is prepared in its handler, middlewares see it
    afterwards only.

    :param request: The request; the content of a ``POST`` is read here if it was not.
    :param hub: The hub, or the one of this process.
    :param topics: A topic or filter, several of them, or a ``Grant``.
    :param handover: Whether the socket is handed over to the engine: where it can be ("auto"), not
        at all ("never"), or always ("require"), so that other requests are answered 503.

    The rest is as of :class:`fanfare.asgi.EventStream`.
    """
    if handover not in ("auto", "never", "require"):
        raise ValueError("handover may be auto, never or require")
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
    await request.read()
    response = _with_fields(web.StreamResponse(), [*STREAM_FIELDS, *terms.fields])
    try:
        if request.method == "HEAD":
            return response
        if request.method not in ("GET", "POST"):
            raise RefusedError(METHOD_NOT_ALLOWED)
        last_id = request.headers.get("Last-Event-ID")
        wanted, options = terms.of(
            request.rel_url.raw_query_string.encode("utf-8", "surrogateescape"),
            last_id.encode("utf-8", "surrogateescape") if last_id is not None else None,
            request.remote,
        )
        if handover != "never":
            why = await _hand_over(request, response, hub_of(hub), wanted, options)
            if why is None:
                return _HandedOver(response)
            if handover == "require":
                _log.warning("a connection that has to be handed over cannot be: %s", why)
                raise RefusedError(Answer.text(503, f"The stream cannot be sent: {why}."))
        stream = hub_of(hub).subscribe(wanted, queue_bytes_max=queue_bytes_max, **options)
    except FanfareError as problem:
        accept = request.headers.get("Accept", "")
        return _answer(response, terms.refusal(problem, request.method, accept))
    except RefusedError as refused:
        return _answer(response, refused.answer)
    if stream.is_complete:
        stream.close()
        return _answer(response, NOTHING_TO_COME)
    await _send_stream(request, response, stream)
    return response


class _HandedOver(web.StreamResponse):  # type: ignore[misc, unused-ignore]
    """What aiohttp is given for a response that somebody else writes."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__(headers=response.headers)

    async def prepare(self, request: web.BaseRequest) -> None:
        pass

    async def write_eof(self, data: bytes = b"") -> None:
        pass


async def _hand_over(
    request: web.Request,
    response: web.StreamResponse,
    hub: Hub,
    topics: list[Text],
    options: dict[str, Any],
) -> str | None:
    """Hands the connection over, or says why that cannot be."""
    why = _obstacle(request)
    if why is not None:
        return why
    # A copy, as the signals are sent once more if it is the server that sends the stream.
    head = _with_fields(web.StreamResponse(), list(response.headers.items()))
    for app in request.match_info.apps:
        await app.on_response_prepare.send(request, head)
    transport = request.transport
    why = _obstacle(request)  # once more: signals may take their time
    if why is not None or transport is None:
        return why or "the connection is closed"
    fields = list(head.headers.items())
    fields += [("Set-Cookie", cookie.output(header="").strip()) for cookie in head.cookies.values()]
    if any(name.lower() == "content-encoding" for name, _ in fields):
        return "the content is to be encoded"
    descriptor = duplicated(transport.get_extra_info("socket").fileno())
    try:
        hub.adopt(
            descriptor,
            topics,
            method=request.method,
            version=f"{request.version.major}.{request.version.minor}",
            headers=engine_fields(fields),
            **options,
        )
    except NEEDS_SERVER as problem:
        os.close(descriptor)
        return str(problem)
    except BaseException:
        os.close(descriptor)
        raise
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    return None


def _obstacle(request: web.Request) -> str | None:
    transport, protocol = request.transport, request.protocol
    if transport is None or transport.is_closing():
        return "the connection is closed"
    if transport.get_extra_info("sslcontext") is not None:
        return "the connection is encrypted"
    if transport.get_extra_info("socket") is None:
        return "the server gives no socket"
    if not isinstance(transport, asyncio.WriteTransport) or transport.get_write_buffer_size():
        return "an earlier answer waits to be sent"
    # Only here aiohttp has what it has read ahead; a version without them is not one that is known.
    if getattr(protocol, "_messages", True) or getattr(protocol, "_message_tail", True):
        return "the server has read another request"
    return None


async def _send_stream(request: web.Request, response: web.StreamResponse, stream: Stream) -> None:
    """Sends a stream until it ends, its client leaves, or the server begins to end."""
    transport = request.transport

    def break_off() -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    try:
        await response.prepare(request)
        undo = _ends(request, stream)
        try:
            await send_all(stream, response.write, break_off, break_off)
        finally:
            undo()
    except ConnectionError:
        pass  # the client has left
    finally:
        stream.close()


class _Watch:
    """The streams that one server of aiohttp's sends: they end with their clients and with it.

    The server tells nobody of either, so two of its methods tell it here as well.
    """

    def __init__(self, server: Any) -> None:  # noqa: ANN401 (aiohttp has no name for it)
        self._streams: dict[object, Stream] = {}
        self._connection_lost, self._pre_shutdown = server.connection_lost, server.pre_shutdown
        server.connection_lost, server.pre_shutdown = self._lost, self._ending

    def add(self, protocol: object, stream: Stream) -> Callable[[], object]:
        self._streams[protocol] = stream
        return lambda: self._streams.pop(protocol, None)

    def _lost(self, protocol: object, *rest: object) -> None:
        self._connection_lost(protocol, *rest)
        stream = self._streams.pop(protocol, None)
        if stream is not None:
            stream.close()

    def _ending(self) -> None:
        self._pre_shutdown()
        for stream in list(self._streams.values()):
            stream.close()


def _ends(request: web.Request, stream: Stream) -> Callable[[], object]:
    """Has a stream end with its client and with the server; gives what undoes that."""
    protocol = request.protocol
    server = getattr(protocol, "_manager", None)
    if server is None or getattr(protocol, "_close", False):
        stream.close()  # the connection is lost, or the server has begun to end
        return lambda: None
    watch = getattr(server.connection_lost, "__self__", None)
    if not isinstance(watch, _Watch):
        watch = _Watch(server)
    return watch.add(protocol, stream)


def _answer(response: web.StreamResponse, answer: Answer) -> web.Response:
    """A whole answer, with the fields that the stream's head has beside its own."""
    kept = [
        (name, value) for name, value in response.headers.items() if name.lower() not in OWN_FIELDS
    ]
    fields = [field for field in answer.fields if field[0] != "content-length"]
    body = answer.body or None
    return _with_fields(web.Response(status=answer.status, body=body), [*kept, *fields])


def _with_fields(response: R, fields: list[tuple[str, str]]) -> R:
    for name in {name for name, _ in fields}:
        response.headers.popall(name, None)
    for name, value in fields:
        response.headers.add(name, value)
    return response
