"""Fan-out of Server-Sent Events to very many clients, inside your program.

>>> from fanfare import Hub
>>> with Hub(heartbeat_ms=10_000) as hub:
...     port = hub.listen("127.0.0.1:0")  # clients GET /events?topic=news
...     id = hub.publish("news", "hello", name="greeting")

The engine's own threads serve the clients, none of which ever waits for Python.
"""

from .errors import (
    AddressError,
    ArgumentError,
    BufferSizeError,
    BusyError,
    ClosedError,
    EncodingError,
    EndedError,
    EventError,
    FanfareError,
    FinishedError,
    ForkedError,
    FullError,
    GrantError,
    KeyFormatError,
    LimitError,
    LoggerError,
    OptionsError,
    OutOfResourcesError,
    PanicError,
    RequestError,
    SocketError,
    StaleError,
    SubscriptionError,
    TimedOutError,
    TLSSocketError,
    TokenError,
    TooLargeError,
    TooManyError,
    TopicError,
    UnreadSocketError,
    UnsentSocketError,
)
from .hub import Hub

__all__ = [
    "AddressError",
    "ArgumentError",
    "BufferSizeError",
    "BusyError",
    "ClosedError",
    "EncodingError",
    "EndedError",
    "EventError",
    "FanfareError",
    "FinishedError",
    "ForkedError",
    "FullError",
    "GrantError",
    "Hub",
    "KeyFormatError",
    "LimitError",
    "LoggerError",
    "OptionsError",
    "OutOfResourcesError",
    "PanicError",
    "RequestError",
    "SocketError",
    "StaleError",
    "SubscriptionError",
    "TLSSocketError",
    "TimedOutError",
    "TokenError",
    "TooLargeError",
    "TooManyError",
    "TopicError",
    "UnreadSocketError",
    "UnsentSocketError",
]
__version__ = "0.1.0"
