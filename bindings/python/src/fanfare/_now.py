"""Publishing one event without waiting.

A small event is published in memory that is used again, which takes half the time of making it
anew. The memory of a call is taken out of a list and put back, so that no two calls have the same:
not those of several threads, nor one in a signal's handler that interrupts another.
"""

from __future__ import annotations

from typing import Any

from ._convert import Memory, Text, encoded
from ._native import ffi, lib
from .errors import check, error
from .event import EVENT_ID, UNSET, NativeTopic, id_of, made

#: What counts as small. Of a larger event the making is the smaller part of the time.
DATA_BYTES_MAX = 4096
NAME_BYTES_MAX = 256

_string = ffi.string
_publish = lib.fanfare_hub_publish
_publish_to = lib.fanfare_hub_publish_to


def _memory(is_named: bool) -> tuple[Any, ...]:
    """A ``fanfare_event`` whose texts are in buffers, the lengths of both, and space for an id."""
    event, published = ffi.new("fanfare_event *"), ffi.new(EVENT_ID)
    event.size = ffi.sizeof("fanfare_event")
    data = ffi.new("char[]", DATA_BYTES_MAX)
    name = ffi.new("char[]", NAME_BYTES_MAX) if is_named else ffi.NULL
    event.data.data, event.name.data = data, name
    return event, event.data, data, event.name, name, published, published.text


#: Memory that no call has, of events without a name and with one.
_unnamed: list[tuple[Any, ...]] = []
_named: list[tuple[Any, ...]] = []


def publish_now(
    hub: Any,  # noqa: ANN401 (cffi has no types)
    topic: Text | NativeTopic,
    data: Text | None,
    name: Text | None,
    id: Text | None,  # noqa: A002 (the standard's word)
    key: Text | None,
    retry_ms: int | None,
    comment: Text | None,
    window_ms: int | None,
) -> str:
    """Publishes an event to one topic, or raises the reason why not."""
    if isinstance(topic, NativeTopic):
        publish, native = _publish_to, topic._native
    else:
        publish, native = _publish, _lent(topic)
    if (
        data is None
        or id is not None
        or key is not None
        or retry_ms is not None
        or comment is not None
        or window_ms is not None
    ):
        rest = (id, key, retry_ms, comment, window_ms)
        return _publish_any(publish, hub, native, data, name, *rest)
    data = encoded(data)
    encoded_name = b"" if name is None else encoded(name)
    if len(data) > DATA_BYTES_MAX or len(encoded_name) > NAME_BYTES_MAX:
        return _publish_any(publish, hub, native, data, name)
    spare = _unnamed if name is None else _named
    try:
        memory = spare.pop()
    except IndexError:
        memory = _memory(name is not None)
    event, data_text, data_buffer, name_text, name_buffer, out, id_text = memory
    data_text.length = length = len(data)
    data_buffer[0:length] = data
    if name is not None:
        name_text.length = length = len(encoded_name)
        name_buffer[0:length] = encoded_name
    status = publish(hub, native, event, out)
    published: str = _string(id_text).decode()
    spare.append(memory)
    if status:
        raise error(status)
    return published


def _publish_any(
    publish: Any,  # noqa: ANN401 (cffi has no types)
    hub: Any,  # noqa: ANN401 (cffi has no types)
    native: Any,  # noqa: ANN401 (cffi has no types)
    data: Text | None,
    name: Text | None,
    *rest: Any,  # noqa: ANN401 (as of `made`)
) -> str:
    memory, out = Memory(), ffi.new(EVENT_ID)
    check(publish(hub, native, made(memory, data, UNSET, name, *rest), out))
    return id_of(out)


def _lent(text: Text) -> tuple[Any, int]:
    """A ``fanfare_text`` to be passed, which lasts as long as it is referred to."""
    data = encoded(text)
    return ffi.from_buffer(data), len(data)
