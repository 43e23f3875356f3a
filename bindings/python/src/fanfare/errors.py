"""What can go wrong: one class for each code of the C ABI."""

from __future__ import annotations

from ._native import ffi, lib


class FanfareError(Exception):
    """Something that the engine refused; ``code`` is the ABI's number for it."""

    code: int
    #: Of ``publish_many``: the ids of those that were published before the one that was refused.
    published: tuple[str, ...] = ()

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        message = str(self.args[1])
        return message or str(ffi.string(lib.fanfare_strerror(self.code)), "utf-8")


class PanicError(FanfareError):
    """The library has a defect and panicked; please report it."""


class ArgumentError(FanfareError):
    """An argument is NULL, or a length or struct size is impossible; correct the call."""


class ForkedError(FanfareError):
    """The hub, or what else the call is for, was made before a fork; make a new one in the
    child.
    """


class ClosedError(FanfareError):
    """The hub is closed, or is being drained and takes no more clients; make a new one."""


class FullError(FanfareError):
    """Too many bytes wait to be sent; try again a little later. Nothing was published."""


class TopicError(FanfareError, ValueError):
    """The topic must be 1 to 256 bytes of UTF-8 without control characters, '+' and '#'."""


class EventError(FanfareError, ValueError):
    """The event is empty, or its name, id or key is empty, longer than 256 bytes, has a forbidden
    character or is reserved, or its window is too long, or a field is set that only a newer
    library knows; correct the event.
    """


class EncodingError(FanfareError, ValueError):
    """A text is not UTF-8; encode it as UTF-8."""


class TooLargeError(FanfareError, ValueError):
    """The event is larger than the option event_bytes_max, or more than 4 MiB were read of a
    connection, or a token would have more than 8 KiB; publish less data or raise the option,
    read less, or grant fewer topics.
    """


class OptionsError(FanfareError, ValueError):
    """An option is out of its bounds, or one is set that only a newer library knows; the function
    fanfare_..._problem of the struct says which, correct it. The message names the option and
    its bounds.
    """


class AddressError(FanfareError):
    """The address must be an IP address and a port such as 127.0.0.1:8080, or unix: and a path,
    which is not in use and may be bound.
    """


class OutOfResourcesError(FanfareError):
    """The system is out of descriptors, threads or memory; raise its limits or use less."""


class FinishedError(FanfareError):
    """The topic is finished; publish to another one."""


class TimedOutError(FanfareError, TimeoutError):
    """It did not happen within the time; wait again, or do without it."""


class SubscriptionError(FanfareError):
    """A subscription must be a topic, or a filter with '+' as a whole level or '#' as the last one;
    correct it.
    """


class TooManyError(FanfareError):
    """A list has more entries than it may have; give fewer."""


class BufferSizeError(FanfareError):
    """The buffer is too small; give one of the size that was written."""


class StaleError(FanfareError):
    """What the id, the listener or the token names is not there any more: it has ended, was closed,
    or was answered; there is nothing to do.
    """


class LimitError(FanfareError):
    """There are as many connections, subscriptions, rules, tickets or sources of notices as are
    allowed; raise the option, or try again later.
    """


class BusyError(FanfareError):
    """The engine is asked for more at once than it keeps a queue for, or the stream or the ticket
    is in use, or the call is in the log's callback; try again a little later.
    """


class SocketError(FanfareError):
    """The descriptor must be a connected stream socket of TCP or of a Unix domain; hand such a one
    over.
    """


class TLSSocketError(FanfareError):
    """The socket speaks TLS, which the engine cannot; use a pull stream instead."""


class UnreadSocketError(FanfareError):
    """The client has sent bytes behind the request, or a body that was not read; read the request
    whole before handing the socket over.
    """


class UnsentSocketError(FanfareError):
    """Bytes that the host has written are not sent yet; write nothing before handing the socket
    over.
    """


class RequestError(FanfareError):
    """The request is none that a stream can answer, by its method, query, header or version; answer
    the client in another way.
    """


class GrantError(FanfareError):
    """A grant or refusal is beyond its bounds, or a stream wants what is not granted; correct
    it.
    """


class KeyFormatError(FanfareError):
    """A key cannot be read, is too weak, or is of no algorithm that is taken; give another."""


class EndedError(FanfareError):
    """The stream has ended and nothing more will come; free it. ``reason`` says why."""

    reason: str = ""


class DisconnectedError(EndedError):
    """The stream was cut, for ``reason``, and something may be missing at its end: break it off."""


class LoggerError(FanfareError):
    """The program has set a logger of its own; take the library's records from that."""


class TokenError(FanfareError):
    """The token or ticket is not valid, or no longer; answer its client 401."""


class JournalError(FanfareError):
    """The journal in the option data_dir cannot be opened or written; the log says why, mend that
    and try again.
    """


class ClusterError(FanfareError):
    """The server of the cluster in the option cluster_url does not serve, or passes no question
    on, or the hub is in no cluster, or the library has none; the log says why, mend that and
    try again.
    """


_CLASSES: dict[int, type[FanfareError]] = {
    lib.FANFARE_ERR_PANIC: PanicError,
    lib.FANFARE_ERR_ARGUMENT: ArgumentError,
    lib.FANFARE_ERR_FORKED: ForkedError,
    lib.FANFARE_ERR_CLOSED: ClosedError,
    lib.FANFARE_ERR_FULL: FullError,
    lib.FANFARE_ERR_TOPIC: TopicError,
    lib.FANFARE_ERR_EVENT: EventError,
    lib.FANFARE_ERR_UTF8: EncodingError,
    lib.FANFARE_ERR_TOO_LARGE: TooLargeError,
    lib.FANFARE_ERR_OPTIONS: OptionsError,
    lib.FANFARE_ERR_ADDRESS: AddressError,
    lib.FANFARE_ERR_SYSTEM: OutOfResourcesError,
    lib.FANFARE_ERR_FINISHED: FinishedError,
    lib.FANFARE_ERR_TIMEOUT: TimedOutError,
    lib.FANFARE_ERR_SUBSCRIPTION: SubscriptionError,
    lib.FANFARE_ERR_TOO_MANY: TooManyError,
    lib.FANFARE_ERR_BUFFER: BufferSizeError,
    lib.FANFARE_ERR_STALE: StaleError,
    lib.FANFARE_ERR_LIMIT: LimitError,
    lib.FANFARE_ERR_BUSY: BusyError,
    lib.FANFARE_ERR_SOCKET: SocketError,
    lib.FANFARE_ERR_SOCKET_TLS: TLSSocketError,
    lib.FANFARE_ERR_SOCKET_READ: UnreadSocketError,
    lib.FANFARE_ERR_SOCKET_UNSENT: UnsentSocketError,
    lib.FANFARE_ERR_REQUEST: RequestError,
    lib.FANFARE_ERR_GRANT: GrantError,
    lib.FANFARE_ERR_KEY: KeyFormatError,
    lib.FANFARE_ERR_ENDED: EndedError,
    lib.FANFARE_ERR_LOGGER: LoggerError,
    lib.FANFARE_ERR_TOKEN: TokenError,
    lib.FANFARE_ERR_JOURNAL: JournalError,
    lib.FANFARE_ERR_CLUSTER: ClusterError,
}


def error(code: int, message: str = "") -> FanfareError:
    """The exception for a code that is not ``FANFARE_OK``, by default with the library's text."""
    return _CLASSES.get(code, FanfareError)(code, message)


def check(code: int) -> None:
    """Raises the exception for a code, if it stands for one."""
    if code != lib.FANFARE_OK:
        raise error(code)
