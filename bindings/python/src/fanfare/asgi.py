"""Streams as responses of ASGI applications: Starlette, FastAPI, and bare ones.

.. code-block:: python

    from fanfare.asgi import EventStream, Handover

    @app.get("/news")
    async def news() -> EventStream:
        return EventStream(hub, "news")

    app.add_middleware(Handover)  # last, if the application has other middlewares

Under uvicorn and hypercorn the socket of a plain HTTP/1.1 connection is handed over to the engine,
after which the stream costs the event loop nothing. Everywhere else, and over TLS and HTTP/2, the
server sends the stream, which is read from the hub in batches. Either way it is the same stream.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from ._convert import Envelope, Headers, HeartbeatForm, Moment, Policy, Start, Text, Topics
from ._sending import send_all
from ._servers import Connection, connection_of, on_shutdown
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
    engine_fields,
    hub_of,
)
from .errors import FanfareError
from .grants import Grant
from .hub import Hub
from .process import PerProcess
from .streams import Stream

if TYPE_CHECKING:
    from starlette.responses import Response
else:
    try:  # FastAPI takes for a response what is an instance of this.
        from starlette.responses import Response
    except ImportError:
        Response = object

__all__ = ["EventStream", "Handover", "HandoverMode"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("fanfare")
_EXTENSION = "fanfare.handover"
#: What makes a middleware pass the head on that waits for the beginning of the content: a comment.
_NUDGE = b":\n\n"


class EventStream(Response):  # type: ignore[misc, unused-ignore]
    """The event stream of one client, as a response to ``GET`` or ``POST``.

    It is an ASGI application by itself, and a ``Response`` of Starlette's where that is installed,
    with ``headers``, ``set_cookie`` and ``background``, which runs when the stream was handed over
    or has ended. The program has authorized the request: the stream has the topics that it names,
    not those that the request names, unless ``query_topics`` says so.

    Too many clients, and a hub that is closed, are answered as ``overload`` says; topics that are
    none with 400, and topics that are finished, of which the client has all, with 204.

    :param hub: The hub, or the one of this process.
    :param topics: A topic or filter, several of them, or a ``Grant``, whose parts go for the
        parameters below that are not given.
    :param handover: Whether the socket is handed over to the engine: where it can be ("auto"), not
        at all ("never"), or always ("require"), so that other requests are answered 503.
    :param headers: Header fields of the answer beside the stream's own.
    :param query_topics: Whether the request's query may name topics, ``?topic=a&topic=b``, among
        those of ``topics``: it gets these then, and 403 if one is not granted. A request that names
        none gets all.
    :param overload: What clients are told that are too many: to come again with status 200, which
        an ``EventSource`` does, or 503.
    :param background: What is awaited when the response is over, such as a ``BackgroundTask``.
    :param last_event_id: By default what the request says.
    :param addr: The client's address, which counts against limits per address. By default what the
        server says of the client.

    The rest is as of :meth:`fanfare.Hub.subscribe`.
    """

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(
        self,
        hub: Hub | PerProcess,
        topics: Topics | Grant,
        *,
        handover: HandoverMode = "auto",
        headers: Headers = (),
        query_topics: bool = False,
        overload: Overload = "come-again",
        background: Any = None,  # noqa: ANN401 (Starlette's BackgroundTask, or any like it)
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
    ) -> None:
        if handover not in ("auto", "never", "require"):
            raise ValueError("handover may be auto, never or require")
        self.hub = hub
        self.handover: HandoverMode = handover
        self.status_code = 200
        self.background = background
        self.body = b""
        self._terms = Terms(
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
        self._queue_bytes_max = queue_bytes_max
        self.raw_headers = _raw([*STREAM_FIELDS, *self._terms.fields])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": list(self.raw_headers)}
        try:
            await self._respond(scope, receive, send, start)
        except RefusedError as refused:
            await _answer(start, refused.answer, send, scope["method"])
        if self.background is not None:
            await self.background()

    async def _respond(self, scope: Scope, receive: Receive, send: Send, start: Message) -> None:
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if scope["method"] not in ("GET", "POST"):
            raise RefusedError(METHOD_NOT_ALLOWED)
        layer: _Layer | None = scope.get("extensions", {}).get(_EXTENSION)
        connection = connection_of(send) if layer is None else layer.connection
        opening = _Opening(self, scope, connection)
        if layer is not None and opening.may_hand_over():
            # What the layers in between make of the head is what the engine writes.
            layer.opening = opening
            await send(start)
            await send({"type": "http.response.body", "body": _NUDGE, "more_body": True})
            if not await _first(opening.decided.wait(), _disconnect(receive)):
                opening.is_given_up = True
                return
        else:
            await opening.open(start, send)
        if opening.stream is not None:
            await _send_stream(opening.stream, receive, send, connection)
        elif layer is not None and layer.opening in (opening, None):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif opening.is_handed_over:
            await _disconnect(receive)


class Handover:
    """A middleware by which sockets are handed over however many others there are.

    Make it the outermost: add it last, or put it around the whole application. The head of a
    stream's answer passes through all middlewares within before the engine writes it. Without it
    applications that have middlewares send their streams themselves.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _EXTENSION in scope.get("extensions", ()):
            return await self.app(scope, receive, send)
        layer = _Layer(receive, send)
        scope.setdefault("extensions", {})[_EXTENSION] = layer
        try:
            await self.app(scope, layer.receive, layer.send)
        finally:
            # A server that sees the application return before it sees the end would complain.
            if layer.opening is not None and layer.opening.is_handed_over:
                await layer.disconnect()


class _Layer:
    """What the outermost layer keeps of one request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.opening: _Opening | None = None
        self.connection = connection_of(send)
        self._receive, self._send = receive, send
        self._disconnected = asyncio.Event()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected.set()
        return message

    async def send(self, message: Message) -> None:
        opening = self.opening
        if opening is None:
            await self._send(message)
        elif message["type"] == "http.response.start":
            if 200 <= message["status"] < 300:
                await opening.open(message, self._send)
            else:  # a middleware answers in the stream's place
                self.opening = None
                await self._send(message)
                opening.decided.set()
        elif message["type"] != "http.response.body" or opening.stream is not None:
            await self._send(message)

    async def disconnect(self) -> None:
        """Waits for the server to tell of the end, unless it has told somebody of it already."""
        await _first(self._disconnected.wait(), _disconnect(self._receive))


class _Opening:
    """How a stream is opened: handed over, or to be sent by the server, or answered otherwise."""

    def __init__(self, response: EventStream, scope: Scope, connection: Connection | None) -> None:
        self.is_handed_over = False
        #: Whether the client has left before it was decided.
        self.is_given_up = False
        #: What the server is to send.
        self.stream: Stream | None = None
        #: Whether it is known which of them.
        self.decided = asyncio.Event()
        self._response, self._terms, self._scope = response, response._terms, scope
        self._connection = connection
        fields = dict(scope["headers"])
        self._accept = fields.get(b"accept", b"").decode("latin-1")
        client = scope.get("client")
        self._topics, self._options = self._terms.of(
            scope.get("query_string", b""),
            fields.get(b"last-event-id"),
            client[0] if client else None,
        )

    def may_hand_over(self) -> bool:
        return self._response.handover != "never" and self._obstacle() is None

    async def open(self, start: Message, send: Send) -> None:
        """Opens it, with the head that a message has; it is sent unless the engine writes it."""
        if self.is_given_up:  # nobody would close it
            return await send(start)
        try:
            answer = self._hand_over(start)
            if answer is None and not self.is_handed_over:
                answer = self._subscribe()
        except FanfareError as problem:
            answer = self._terms.refusal(problem, self._scope["method"], self._accept)
        if answer is not None:
            await _answer(start, answer, send, self._scope["method"])
        elif not self.is_handed_over:
            await send(start)
        self.decided.set()

    def _hand_over(self, start: Message) -> Answer | None:
        if self._response.handover == "never":
            return None
        why = self._obstacle() or _obstacle_in(start)
        if why is None:
            assert self._connection is not None
            try:
                self._adopt(self._connection, start.get("headers", ()))
            except NEEDS_SERVER as problem:
                why = str(problem)
            else:
                self.is_handed_over = True
                return None
        if self._response.handover == "auto":
            return None
        _log.warning("a connection that has to be handed over cannot be: %s", why)
        return Answer.text(503, f"The stream cannot be sent: {why}.")

    def _adopt(self, connection: Connection, headers: Any) -> None:  # noqa: ANN401 (ASGI's)
        fields = [(name.decode("latin-1"), value.decode("utf-8")) for name, value in headers]
        descriptor = connection.duplicate()
        try:
            hub_of(self._response.hub).adopt(
                descriptor,
                self._topics,
                method=self._scope["method"],
                version=self._scope["http_version"],
                headers=engine_fields(fields),
                **self._options,
            )
        except BaseException:
            os.close(descriptor)
            raise
        connection.abort()

    def _subscribe(self) -> Answer | None:
        response = self._response
        stream = hub_of(response.hub).subscribe(
            self._topics, queue_bytes_max=response._queue_bytes_max, **self._options
        )
        if stream.is_complete:
            stream.close()
            return NOTHING_TO_COME
        self.stream = stream
        return None

    def _obstacle(self) -> str | None:
        if self._scope.get("http_version") not in ("1.0", "1.1"):
            return "it is a request of another version than HTTP/1.1"
        if self._connection is None:
            return "the server, or a middleware around it, gives no socket"
        return self._connection.obstacle()


def _obstacle_in(start: Message) -> str | None:
    if start["status"] != 200:
        return "a middleware has changed the status"
    for name, value in start.get("headers", ()):
        if name.lower() == b"content-encoding":
            return "a middleware encodes the content"
        if not value.isascii():
            return "a header field is not ASCII"
    return None


async def _send_stream(
    stream: Stream, receive: Receive, send: Send, connection: Connection | None
) -> None:
    """Sends a stream until it ends, its client leaves, or the server begins to end."""
    gone = asyncio.ensure_future(_disconnect(receive))
    gone.add_done_callback(lambda _: stream.close())
    task = asyncio.current_task()
    is_cancelled_here = False

    def write(part: bytes) -> Awaitable[None]:
        return send({"type": "http.response.body", "body": part, "more_body": True})

    def break_off() -> bool:
        return connection is not None and connection.abort()

    def stalled() -> None:
        nonlocal is_cancelled_here
        if not break_off() and task is not None:
            is_cancelled_here = task.cancel()

    undo = on_shutdown(connection, stream.close)
    try:
        is_in_order = await send_all(stream, write, break_off, stalled)
        if is_in_order and not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except asyncio.CancelledError:
        if not is_cancelled_here:
            raise
        if task is not None and hasattr(task, "uncancel") and task.uncancel():
            raise  # somebody else has cancelled it as well
    finally:
        undo()
        stream.close()
        gone.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # content that nobody has asked for


async def _first(wanted: Awaitable[Any], other: Awaitable[Any]) -> bool:
    """Waits for one of two, the other of which is cancelled: whether it was the first of them."""
    tasks = asyncio.ensure_future(wanted), asyncio.ensure_future(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()


async def _answer(start: Message, answer: Answer, send: Send, method: str) -> None:
    """Sends a whole answer, with the fields that the stream's head has beside its own."""
    own = OWN_FIELDS | {"content-encoding"}
    kept = [
        field for field in start.get("headers", ()) if field[0].decode("latin-1").lower() not in own
    ]
    headers = [*kept, *_raw(answer.fields)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _raw(fields: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401 (pairs of text)
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]
