"""Between Python's values and those of the C ABI."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from ._native import ffi, lib
from .errors import FanfareError, OptionsError, check, error

#: Text that is sent: ``bytes`` have to be UTF-8 already.
Text = str | bytes
#: A topic, a filter, or several of them.
Topics = Text | Iterable[Text]
#: Header fields of HTTP: names and values, in their order.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
#: What happens to a connection that lags too far.
Policy = Literal["disconnect", "drop-oldest", "conflate"]
#: What is promised of events that a hub with a ``data_dir`` has accepted.
Durability = Literal["os", "interval", "always"]
#: What a connection is sent when there is nothing else.
HeartbeatForm = Literal["id", "comment", "event"]
#: What is around the data of events.
Envelope = Literal["none", "json"]
#: Where a stream begins: a number is that of the newest events which are kept.
Start = Literal["now", "latest", "earliest"] | int
#: A moment: seconds since 1970, as of ``time.time()``, or a ``datetime`` with a time zone.
Moment = float | datetime

POLICIES: dict[str, int] = {
    "disconnect": lib.FANFARE_POLICY_DISCONNECT,
    "drop-oldest": lib.FANFARE_POLICY_DROP_OLDEST,
    "conflate": lib.FANFARE_POLICY_CONFLATE,
}
HEARTBEATS: dict[str, int] = {
    "id": lib.FANFARE_HEARTBEAT_ID,
    "comment": lib.FANFARE_HEARTBEAT_COMMENT,
    "event": lib.FANFARE_HEARTBEAT_EVENT,
}
ENVELOPES: dict[str, int] = {"none": lib.FANFARE_ENVELOPE_NONE, "json": lib.FANFARE_ENVELOPE_JSON}
STARTS: dict[str, int] = {
    "now": lib.FANFARE_START_NOW,
    "latest": lib.FANFARE_START_LATEST,
    "earliest": lib.FANFARE_START_EARLIEST,
}
DURABILITIES: dict[str, int] = {
    "os": lib.FANFARE_DURABILITY_OS,
    "interval": lib.FANFARE_DURABILITY_INTERVAL,
    "always": lib.FANFARE_DURABILITY_ALWAYS,
}
#: The choices of an option by the option's name.
CHOICES = {
    "policy": POLICIES,
    "heartbeat_form": HEARTBEATS,
    "envelope": ENVELOPES,
    "durability": DURABILITIES,
}
#: What is refused with the option's name before the library sees it.
WHOLE = "a whole number from 0 to 2**64 - 1"


#: The latest moment, in seconds since 1970: in milliseconds it is a number that JSON has exactly.
MOMENT_S_MAX = 2**53 // 1000


class Memory:
    """What one call lends to the library: kept until the call has returned."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def text(self, text: Text) -> tuple[Any, int]:
        """A ``fanfare_text``, to be assigned to a field or passed."""
        data = encoded(text)
        lent = ffi.from_buffer(data)
        self._kept.append(lent)
        return lent, len(data)

    @staticmethod
    def passed(text: Text) -> tuple[Any, int]:
        """A ``fanfare_text`` that is passed by value, and lasts as long as it is referred to."""
        data = encoded(text)
        return ffi.from_buffer(data), len(data)

    def keep(self, value: Any) -> Any:  # noqa: ANN401 (cffi has no types)
        self._kept.append(value)
        return value

    def array(self, kind: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 (cffi has no types)
        """An array that is not NULL, also without elements."""
        return self.keep(ffi.new(f"{kind}[]", values if values else 1))

    def texts(self, texts: Topics) -> tuple[Any, int]:
        """An array of texts and its length."""
        lent = [self.text(text) for text in several(texts)]
        return self.array("fanfare_text", lent), len(lent)

    def headers(self, headers: Headers) -> tuple[Any, int]:
        """An array of header fields and its length."""
        pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
        lent = [(self.text(name), self.text(value)) for name, value in pairs]
        return self.array("fanfare_header", lent), len(lent)


def encoded(text: Text) -> bytes:
    """The bytes of a text; what UTF-8 has no bytes for is left for the engine to refuse."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogatepass")
    raise TypeError(f"expected str or bytes, not {type(text).__name__}")


def several(texts: Topics) -> list[Text]:
    """One text, or several, as a list."""
    if isinstance(texts, str | bytes):
        return [texts]
    if isinstance(texts, Iterable):
        return list(texts)
    raise TypeError(f"expected str, bytes or several of them, not {type(texts).__name__}")


def decoded(text: Any) -> str | None:  # noqa: ANN401 (cffi has no types)
    """The text of a ``fanfare_text``, or ``None`` for no text at all."""
    if text.data == ffi.NULL:
        return None
    return str(ffi.unpack(text.data, text.length), "utf-8", "replace")


def taken(text: Any) -> str:  # noqa: ANN401 (cffi has no types)
    """The text of a ``fanfare_text``; no text is the empty one."""
    return decoded(text) or ""


def all_taken(array: Any, count: int) -> tuple[str, ...]:  # noqa: ANN401 (cffi has no types)
    """The texts of an array of them."""
    return tuple(taken(array[index]) for index in range(count))


def struct(kind: str) -> Any:  # noqa: ANN401 (cffi has no types)
    """A struct that begins with its size, all else zero."""
    made = ffi.new(f"{kind} *")
    made.size = ffi.sizeof(kind)
    return made


def options(kind: str) -> Any:  # noqa: ANN401 (cffi has no types)
    """Options that are all at their defaults."""
    made = struct(kind)
    check(getattr(lib, f"{kind}_init")(made))
    return made


def assign(made: Any, option: str, value: int | None) -> None:  # noqa: ANN401 (cffi has no types)
    """Sets a number; ``None`` is its default."""
    if value is None:
        return
    try:
        setattr(made, option, value)
    except OverflowError:
        raise out_of_bounds(option, WHOLE) from None
    except TypeError:
        raise no_whole_number(option, value) from None


def no_whole_number(option: str, value: object) -> TypeError:
    return TypeError(f"the option {option} takes a whole number, not {value!r}")


def choose(made: Any, option: str, name: str | None) -> None:  # noqa: ANN401 (cffi has no types)
    """Sets what is chosen by name; ``None`` is its default."""
    if name is not None:
        setattr(made, option, chosen(option, name, CHOICES[option]))


def chosen(option: str, name: str, choices: Mapping[str, int]) -> int:
    """The number of a name among the choices of an option."""
    if name not in choices:
        *others, last = choices
        raise out_of_bounds(option, f"{', '.join(others)} or {last}")
    return choices[name]


def begin(made: Any, option: str, start: Start | None) -> None:  # noqa: ANN401 (cffi has no types)
    """Sets where a stream begins; ``None`` is the default."""
    if isinstance(start, str):
        if start not in STARTS:
            raise out_of_bounds(option, "now, latest, earliest or a number of events")
        setattr(made, option, STARTS[start])
    elif start is not None:
        setattr(made, option, lib.FANFARE_START_LAST)
        try:
            setattr(made, f"{option}_last", start)
        except OverflowError:
            raise out_of_bounds(option, "a number of events from 0 to 2**32 - 1") from None
        except TypeError:
            raise no_whole_number(option, start) from None


def unix_ms(moment: Moment | None) -> int:
    """Milliseconds since 1970; 0 for ``None``, and at least 1 for any moment."""
    if moment is None:
        return 0
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("a datetime needs a time zone, such as datetime.now(timezone.utc)")
        moment = moment.timestamp()
    if not isinstance(moment, int | float):
        kind = type(moment).__name__
        raise TypeError(f"a moment is a number of seconds since 1970 or a datetime, not {kind}")
    if not moment <= MOMENT_S_MAX:
        raise ValueError(
            f"a moment is a number of seconds since 1970, at most {MOMENT_S_MAX:,}, not {moment}; "
            "give None if there is none"
        )
    return math.ceil(max(0.001, moment) * 1000)


def problem(
    made: Any,  # noqa: ANN401 (cffi has no types)
    find: Callable[[Any, Any, Any], int],
    code: int = lib.FANFARE_ERR_OPTIONS,
) -> FanfareError:
    """The error for a struct that the library has refused: it says which part, and its bounds."""
    name, bounds = ffi.new("fanfare_text *"), ffi.new("fanfare_text *")
    check(find(made, name, bounds))
    if name.data == ffi.NULL:
        return error(code)
    return error(code, _bounds(taken(name), taken(bounds)))


def out_of_bounds(option: str, bounds: str) -> OptionsError:
    return OptionsError(lib.FANFARE_ERR_OPTIONS, _bounds(option, bounds))


def _bounds(option: str, bounds: str) -> str:
    return f"the option {option} is out of bounds: it may be {bounds}"
