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
    """The library has a defect; please report it."""


class ArgumentError(FanfareError):
    """The binding has a defect; please report it."""


class ForkedError(FanfareError):
    """The hub was made before a fork; make a new one in the child."""


class ClosedError(FanfareError):
    """The hub is closed."""


class FullError(FanfareError):
    """Too many bytes wait to be sent; nothing was published, try again a little later."""


class TopicError(FanfareError, ValueError):
    """The topic is empty, longer than 256 bytes, not UTF-8, or has a forbidden character."""


class EventError(FanfareError, ValueError):
    """The event is empty, or a field of it is too long or has a forbidden character."""


class EncodingError(FanfareError, ValueError):
    """The event's text is not UTF-8."""


class TooLargeError(FanfareError, ValueError):
    """The event is larger than the option ``event_bytes_max``."""


class OptionsError(FanfareError, ValueError):
    """An option is out of its bounds; the message names both."""


class AddressError(FanfareError):
    """The address cannot be read, is in use, or may not be bound."""


class OutOfResourcesError(FanfareError):
    """The system is out of descriptors, threads or memory."""


class FinishedError(FanfareError):
    """The topic is finished; publish to another one."""


class TimedOutError(FanfareError, TimeoutError):
    """What was waited for did not happen within the time; wait again, or do without it."""


class SubscriptionError(FanfareError):
    """A topic or filter to subscribe to is none."""


class TooManyError(FanfareError):
    """A list has more entries than it may have; give fewer."""


class BufferSizeError(FanfareError):
    """The caller's buffer is too small; give a larger one."""


class StaleError(FanfareError):
    """What an id names is not there any more; there is nothing to do."""


class LimitError(FanfareError):
    """There are as many as the options allow; raise the option, or try again later."""


class BusyError(FanfareError):
    """The engine is asked for more at once than it keeps a queue for; try again a little later."""


class SocketError(FanfareError):
    """The descriptor is no connected stream socket."""


class TLSSocketError(FanfareError):
    """The socket speaks TLS, which the engine cannot."""


class UnreadSocketError(FanfareError):
    """The client has sent bytes behind the request, or a body that was not read."""


class UnsentSocketError(FanfareError):
    """Bytes that the host has written are not sent yet; wait until they are."""


class RequestError(FanfareError):
    """The request is none that a stream can answer."""


class GrantError(FanfareError):
    """A grant or a refusal is beyond its bounds, or a stream wants what is not granted."""


class KeyFormatError(FanfareError):
    """A key cannot be read, is too weak, or is of no algorithm that is taken."""


class EndedError(FanfareError):
    """The stream has ended, in order and for ``reason``; close it."""

    reason: str = ""


class DisconnectedError(EndedError):
    """The stream was cut, for ``reason``, and something may be missing at its end: break it off."""


class LoggerError(FanfareError):
    """The program has set a logger in Rust; take the library's records from that."""


class TokenError(FanfareError):
    """The token or the ticket is not valid, or no longer; answer its client 401."""


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
}


def error(code: int, message: str = "") -> FanfareError:
    """The exception for a code that is not ``FANFARE_OK``, by default with the library's text."""
    return _CLASSES.get(code, FanfareError)(code, message)


def check(code: int) -> None:
    """Raises the exception for a code, if it stands for one."""
    if code != lib.FANFARE_OK:
        raise error(code)
