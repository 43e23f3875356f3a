"""What is published: events, and the topics that they go to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from json import JSONEncoder
from typing import Any, Final

from ._convert import Memory, Text, encoded, no_whole_number
from ._native import ffi, lib
from .errors import error

#: Types by value: to look one up by its name each time would take as long as all else.
_EVENT = ffi.typeof("fanfare_event *")
_EVENT_SIZE = ffi.sizeof("fanfare_event")
EVENT_ID: Any = ffi.typeof("fanfare_event_id *")


def json_encoder(kind: type[JSONEncoder]) -> Callable[[object], str]:
    """How the JSON of events is written, also by an encoder that takes more kinds of values.

    Make it once: ``json.dumps`` makes one each time, which takes longer than most values do.
    """
    return kind(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


_encode_json = json_encoder(JSONEncoder)


class _Unset:
    """Stands for a JSON value that was not given: ``None`` is JSON's null."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


@dataclass(frozen=True)
class Publication:
    """An event and its topics, for :meth:`fanfare.Hub.publish_many`.

    The fields are the parameters of :meth:`fanfare.Hub.publish`.
    """

    topic: Destination
    data: Text | None = None
    json: object = UNSET
    name: Text | None = None
    id: Text | None = None
    key: Text | None = None
    retry_ms: int | None = None
    comment: Text | None = None
    window_ms: int | None = None


class NativeTopic:
    """A topic whose name was checked."""

    __slots__ = ("_native", "name")

    #: The topic's name.
    name: str

    def __init__(self, name: Text) -> None:
        memory, out = Memory(), ffi.new("fanfare_topic **")
        status = lib.fanfare_topic_new(memory.text(name), out)
        if status != lib.FANFARE_OK:
            raise error(status)
        self._native = ffi.gc(out[0], lib.fanfare_topic_free)
        self.name = str(encoded(name), "utf-8")


#: A topic by name or by handle, or several of them, at most 64.
Destination = Text | NativeTopic | Iterable[Text | NativeTopic]


def data_of(
    data: Text | None, json: object, encode: Callable[[object], str] = _encode_json
) -> Text | None:
    """The data of an event, which may be given as a JSON value."""
    if json is UNSET:
        return data
    if data is not None:
        raise TypeError("an event has data or json, not both")
    return encode(json)


def made(
    memory: Memory,
    data: Text | None,
    json: object = UNSET,
    name: Text | None = None,
    id: Text | None = None,  # noqa: A002 (the standard's word)
    key: Text | None = None,
    retry_ms: int | None = None,
    comment: Text | None = None,
    window_ms: int | None = None,
) -> Any:  # noqa: ANN401 (cffi has no types)
    """A ``fanfare_event``."""
    event = ffi.new(_EVENT)
    event.size = _EVENT_SIZE
    data = data_of(data, json)
    if data is not None:
        event.data = memory.text(data)
    if name is not None:
        event.name = memory.text(name)
    if id is not None:
        event.id = memory.text(id)
    if key is not None:
        event.key = memory.text(key)
    if comment is not None:
        event.comment = memory.text(comment)
    for option, value in (("retry_ms", retry_ms), ("window_ms", window_ms)):
        if value is not None:
            _assign(event, option, value)
    return event


def _assign(event: Any, option: str, value: int) -> None:  # noqa: ANN401 (cffi has no types)
    try:
        setattr(event, option, value)
    except OverflowError:
        raise error(lib.FANFARE_ERR_EVENT) from None
    except TypeError:
        raise no_whole_number(option, value) from None


def addressed(
    memory: Memory,
    publication: Any,  # noqa: ANN401 (cffi has no types)
    topic: Destination,
    event: Any,  # noqa: ANN401 (cffi has no types)
) -> None:
    """Fills in a ``fanfare_publication``."""
    topics = [topic] if isinstance(topic, str | bytes | NativeTopic) else list(topic)
    names = [memory.text(each) for each in topics if not isinstance(each, NativeTopic)]
    handles = [each for each in topics if isinstance(each, NativeTopic)]
    if not topics:
        raise error(lib.FANFARE_ERR_TOPIC, "there is no topic to publish to: give at least one")
    if names:
        publication.topics = memory.array("fanfare_text", names)
        publication.topics_count = len(names)
    if handles:
        memory.keep(handles)
        natives = [each._native for each in handles]
        publication.handles = memory.array("fanfare_topic *", natives)
        publication.handles_count = len(handles)
    publication.event = memory.keep(event)


def id_of(published: Any) -> str:  # noqa: ANN401 (cffi has no types)
    """The text of a ``fanfare_event_id``."""
    return str(ffi.unpack(published.text, published.length), "ascii")
