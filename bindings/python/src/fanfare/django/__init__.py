"""Event streams and publishing for Django.

In the settings::

    INSTALLED_APPS = [..., "fanfare.django"]
    FANFARE = {"HUB": {"heartbeat_ms": 10_000}}

In a view and anywhere else::

    from fanfare.django import event_stream, publish

    def news(request):
        return event_stream(request, "news")

    publish("news", json={"title": "hello"})

``FANFARE`` may have

- ``HUB``: the options of :class:`fanfare.Hub`, of which each process makes one at its first use;
- ``PUBLISH_TO``: the address of the process that owns the engine, such as
  ``unix:/run/app/fanfare.sock``, for several workers. ``publish`` goes there, and clients get their
  streams from there;
- ``TOKEN``: what that process asks publishers for, if it does;
- ``TIMEOUT``: how many seconds to wait for it at each step, by default 5.

It works under gunicorn with sync, gthread and gevent workers and under ``manage.py runserver``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .. import wsgi
from .._convert import Envelope, Headers, HeartbeatForm, Moment, Policy, Start, Text, Topics
from .._serving import Overload
from ..event import UNSET, data_of, json_encoder
from ..grants import Grant
from ..hub import Hub
from ._state import hub, publisher, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest, HttpResponse

__all__ = [
    "event_stream",
    "finish",
    "finish_async",
    "hub",
    "publish",
    "publish_async",
    "publisher",
]


def publish(
    topic: Text | Iterable[Text],
    data: Text | None = None,
    *,
    json: object = UNSET,
    name: Text | None = None,
    id: Text | None = None,  # noqa: A002 (the standard's word)
    key: Text | None = None,
    retry_ms: int | None = None,
    window_ms: int | None = None,
) -> str:
    """Publishes an event, and returns its id.

    It goes to the engine of ``PUBLISH_TO``, if there is one, by :meth:`fanfare.Publisher.publish`,
    else to this process's own by :meth:`fanfare.Hub.publish`, which never blocks. In a
    transaction that may be rolled back call it by ``transaction.on_commit``.

    :param json: Any value that Django's ``DjangoJSONEncoder`` takes, so dates and UUIDs as well.
    :raises FullError: Too many bytes wait to be sent; nothing was published, try again a little
        later.
    :raises UnreachableError: The process of ``PUBLISH_TO`` does not answer.
    :raises FanfareError: As of :meth:`fanfare.Hub.publish`.
    """
    return (
        state()
        .target()
        .publish(
            topic,
            _encoded(data, json),
            name=name,
            id=id,
            key=key,
            retry_ms=retry_ms,
            window_ms=window_ms,
        )
    )


async def publish_async(
    topic: Text | Iterable[Text],
    data: Text | None = None,
    *,
    json: object = UNSET,
    name: Text | None = None,
    id: Text | None = None,  # noqa: A002 (the standard's word)
    key: Text | None = None,
    retry_ms: int | None = None,
    window_ms: int | None = None,
) -> str:
    """Publishes as :func:`publish` does, from an asynchronous view, whose loop is not blocked.

    When its task is cancelled the event may be published or not.
    """
    target, event = state().target(), _encoded(data, json)
    publish = target.publish if isinstance(target, Hub) else target.publish_async
    published = publish(
        topic, event, name=name, id=id, key=key, retry_ms=retry_ms, window_ms=window_ms
    )
    return published if isinstance(published, str) else await published


async def finish_async(
    topic: Text,
    data: Text | None = None,
    *,
    json: object = UNSET,
    name: Text | None = None,
    id: Text | None = None,  # noqa: A002 (the standard's word)
    key: Text | None = None,
    retry_ms: int | None = None,
) -> str:
    """Finishes a topic as :func:`finish` does, from an asynchronous view."""
    target, event = state().target(), _encoded(data, json)
    finish = target.finish if isinstance(target, Hub) else target.finish_async
    finished = finish(topic, event, name=name, id=id, key=key, retry_ms=retry_ms)
    return finished if isinstance(finished, str) else await finished


def finish(
    topic: Text,
    data: Text | None = None,
    *,
    json: object = UNSET,
    name: Text | None = None,
    id: Text | None = None,  # noqa: A002 (the standard's word)
    key: Text | None = None,
    retry_ms: int | None = None,
) -> str:
    """Finishes a topic, as of :meth:`fanfare.Hub.finish`, where :func:`publish` goes to."""
    return (
        state()
        .target()
        .finish(topic, _encoded(data, json), name=name, id=id, key=key, retry_ms=retry_ms)
    )


def event_stream(
    request: HttpRequest,
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
) -> HttpResponse:
    """Makes an event stream of a request's connection: what :func:`fanfare.wsgi.event_stream` does.

    The view returns the response. A client is sent the engine's answer, which has ``headers`` and
    nothing that middleware adds.

    :raises ImproperlyConfigured: There is ``PUBLISH_TO``: streams come from that process.
    :raises NoSocketError: The server gives no socket, or one with TLS or HTTP/2, or is of ASGI.
    """
    from django.http import HttpResponse

    environ: Any = request
    answer = wsgi.event_stream(
        environ,
        state().own(),
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
    response = HttpResponse(answer.text.encode(), status=answer.status.value)
    given: dict[str, list[str]] = {}
    for name, value in answer.headers:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        else:
            given.setdefault(name.lower(), []).append(value)
    for name, values in given.items():  # Django has each once
        response.headers[name] = ", ".join(values)
    return response


def _encoded(data: Text | None, json: object) -> Text | None:
    return data if json is UNSET else data_of(data, json, _encoder())


@cache
def _encoder() -> Callable[[object], str]:
    from django.core.serializers.json import DjangoJSONEncoder

    return json_encoder(DjangoJSONEncoder)
