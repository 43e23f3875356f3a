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
    ClosedError,
    EncodingError,
    EventError,
    FanfareError,
    FinishedError,
    ForkedError,
    FullError,
    OptionsError,
    OutOfResourcesError,
    PanicError,
    TooLargeError,
    TopicError,
)
from .hub import Hub

__all__ = [
    "AddressError",
    "ArgumentError",
    "ClosedError",
    "EncodingError",
    "EventError",
    "FanfareError",
    "FinishedError",
    "ForkedError",
    "FullError",
    "Hub",
    "OptionsError",
    "OutOfResourcesError",
    "PanicError",
    "TooLargeError",
    "TopicError",
]
__version__ = "0.1.0"
