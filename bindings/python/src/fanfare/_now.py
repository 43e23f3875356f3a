"""Publishing one event without waiting.

A small event is published in memory that is used again, which takes half the time of making it
anew. The memory of a call is taken out of a list and put back, so that no two calls have the same:
not those of several threads, nor one in a signal's handler that interrupts another.
"""

from __future__ import annotations

from typing import Any

from ._convert import Memory, Text, encoded
from ._native import ffi
from .errors import check, error
from .event import EVENT_ID, UNSET, id_of, made

#: What counts as small. Of a larger event the making is the smaller part of the time.
DATA_BYTES_MAX = 4096
NAME_BYTES_MAX = 256

_string = ffi.string


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
    publish: Any,  # noqa: ANN401 (cffi has no types)
    hub: Any,  # noqa: ANN401 (cffi has no types)
    topic: Any,  # noqa: ANN401 (cffi has no types)
    data: Text | None,
    name: Text | None,
    id: Text | None,  # noqa: A002 (the standard's word)
    key: Text | None,
    retry_ms: int | None,
    comment: Text | None,
    window_ms: int | None,
) -> str:
    """Publishes an event by a function of the library's, or raises the reason why not."""
    if (
        data is None
        or id is not None
        or key is not None
        or retry_ms is not None
        or comment is not None
        or window_ms is not None
    ):
        rest = (id, key, retry_ms, comment, window_ms)
        return _publish_any(publish, hub, topic, data, name, *rest)
    data = encoded(data)
    length = len(data)
    encoded_name = b"" if name is None else encoded(name)
    if length > DATA_BYTES_MAX or len(encoded_name) > NAME_BYTES_MAX:
        return _publish_any(publish, hub, topic, data, name)
    spare = _unnamed if name is None else _named
    try:
        memory = spare.pop()
    except IndexError:
        memory = _memory(name is not None)
    event, data_text, data_buffer, name_text, name_buffer, out, id_text = memory
    data_text.length = length
    data_buffer[0:length] = data
    if name is not None:
        name_text.length = length = len(encoded_name)
        name_buffer[0:length] = encoded_name
    status = publish(hub, topic, event, out)
    published: str = _string(id_text).decode()
    spare.append(memory)
    if status:
        raise error(status)
    return published


def _publish_any(
    publish: Any,  # noqa: ANN401 (cffi has no types)
    hub: Any,  # noqa: ANN401 (cffi has no types)
    topic: Any,  # noqa: ANN401 (cffi has no types)
    data: Text | None,
    name: Text | None,
    *rest: Any,  # noqa: ANN401 (as of `made`)
) -> str:
    memory, out = Memory(), ffi.new(EVENT_ID)
    check(publish(hub, topic, made(memory, data, UNSET, name, *rest), out))
    return id_of(out)
