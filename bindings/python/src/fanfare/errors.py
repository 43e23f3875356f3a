"""What can go wrong: one class for each code of the C ABI."""

from __future__ import annotations

from ._native import ffi, lib


class FanfareError(Exception):
    """Something that the engine refused; ``code`` is the ABI's number for it."""

    code: int

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code

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
}


def error(code: int, message: str = "") -> FanfareError:
    """The exception for a code that is not ``FANFARE_OK``, by default with the library's text."""
    return _CLASSES.get(code, FanfareError)(code, message)


def check(code: int) -> None:
    """Raises the exception for a code, if it stands for one."""
    if code != lib.FANFARE_OK:
        raise error(code)
