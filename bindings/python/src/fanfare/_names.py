"""What the engine has short names for, which are those of its metrics and of gap events."""

from __future__ import annotations

from functools import cache
from typing import Literal, cast

from ._convert import taken
from ._native import lib

#: Why an event stream ended. docs/metrics.md says what each means.
DisconnectReason = Literal[
    "client_closed",
    "error",
    "lagging",
    "garbage",
    "closed",
    "drained",
    "timed_out",
    "reset",
    "stalled",
    "kicked",
    "aged",
    "finished",
    "expired",
]
#: Why events are missing from a stream, as ``reason`` of a gap event says. docs/resuming.md says
#: what each means.
GapReason = Literal["expired", "restarted", "unknown_id", "slow", "lost"]
#: Whether a connection takes what it is sent, did not take all, or is sent what it has missed.
ConnectionState = Literal["live", "lagging", "replaying"]


@cache
def disconnect_reason(number: int) -> DisconnectReason:
    return cast("DisconnectReason", _text("disconnect_reason", number))


@cache
def gap_reason(number: int) -> GapReason:
    return cast("GapReason", _text("gap_reason", number))


@cache
def connection_state(number: int) -> ConnectionState:
    return cast("ConnectionState", _text("connection_state", number))


def _text(kind: str, number: int) -> str:
    return taken(getattr(lib, f"fanfare_{kind}_name")(number))
