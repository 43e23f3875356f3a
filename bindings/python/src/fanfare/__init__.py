"""Fan-out of Server-Sent Events to very many clients, inside your program.

>>> from fanfare import Hub
>>> with Hub(heartbeat_ms=10_000) as hub:
...     port = hub.listen("127.0.0.1:0").port  # clients GET /events?topic=news
...     id = hub.publish("news", "hello", name="greeting")

The engine's own threads serve the clients, none of which ever waits for Python.
"""

from . import _native  # noqa: F401 (first, as it says why the library cannot be loaded)
from ._convert import (
    Durability,
    Envelope,
    Headers,
    HeartbeatForm,
    Moment,
    Policy,
    Start,
    Text,
    Topics,
)
from ._names import ConnectionState, DisconnectReason, GapReason
from .admin import Connection
from .authorizing import Authorizer, FunctionAuthorizer, Verdict
from .cluster import ClusterConnections
from .errors import (
    AddressError,
    ArgumentError,
    BufferSizeError,
    BusyError,
    ClosedError,
    ClusterError,
    DisconnectedError,
    EncodingError,
    EndedError,
    EventError,
    FanfareError,
    FinishedError,
    ForkedError,
    FullError,
    GrantError,
    JournalError,
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
from .event import Destination, Publication
from .fallback import Fallback, Unhandled
from .grants import Grant, Refusal
from .hub import Drained, Hub
from .listening import Listener, Route
from .log import log_to
from .metrics import Metrics
from .notices import Connected, Disconnected, Notice, Notices, Unwanted, Wanted
from .process import PerProcess
from .publish_server import PublishServer
from .publisher import Publisher, RefusedError, UnansweredError, UnreachableError
from .rules import Rule
from .stream_request import StreamRequest
from .streams import STREAM_HEADERS, Stream
from .tokens import Granted, Jwks, Key, SigningKey, TicketAuthorizer, Tickets, Tokens
from .topic import Topic

__all__ = [
    "STREAM_HEADERS",
    "AddressError",
    "ArgumentError",
    "Authorizer",
    "BufferSizeError",
    "BusyError",
    "ClosedError",
    "ClusterConnections",
    "ClusterError",
    "Connected",
    "Connection",
    "ConnectionState",
    "Destination",
    "DisconnectReason",
    "Disconnected",
    "DisconnectedError",
    "Drained",
    "Durability",
    "EncodingError",
    "EndedError",
    "Envelope",
    "EventError",
    "Fallback",
    "FanfareError",
    "FinishedError",
    "ForkedError",
    "FullError",
    "FunctionAuthorizer",
    "GapReason",
    "Grant",
    "GrantError",
    "Granted",
    "Headers",
    "HeartbeatForm",
    "Hub",
    "JournalError",
    "Jwks",
    "Key",
    "KeyFormatError",
    "LimitError",
    "Listener",
    "LoggerError",
    "Metrics",
    "Moment",
    "Notice",
    "Notices",
    "OptionsError",
    "OutOfResourcesError",
    "PanicError",
    "PerProcess",
    "Policy",
    "Publication",
    "PublishServer",
    "Publisher",
    "Refusal",
    "RefusedError",
    "RequestError",
    "Route",
    "Rule",
    "SigningKey",
    "SocketError",
    "StaleError",
    "Start",
    "Stream",
    "StreamRequest",
    "SubscriptionError",
    "TLSSocketError",
    "Text",
    "TicketAuthorizer",
    "Tickets",
    "TimedOutError",
    "TokenError",
    "Tokens",
    "TooLargeError",
    "TooManyError",
    "Topic",
    "TopicError",
    "Topics",
    "UnansweredError",
    "Unhandled",
    "UnreachableError",
    "UnreadSocketError",
    "UnsentSocketError",
    "Unwanted",
    "Verdict",
    "Wanted",
    "log_to",
]
__version__ = "0.1.0"
