"""The engine's log as records of Python's ``logging``.

The library puts copies of its records into a bounded queue, and one thread of Python's own reads
them. So no thread of the engine enters the interpreter or waits for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Any

from ._convert import taken
from ._doorbell import Doorbell
from ._native import lib
from .errors import check

#: The level of Python's for what the engine traces, below ``logging.DEBUG``.
TRACE = 5
#: The levels of Python's logging, each with the engine's that it has.
LEVELS = (
    (logging.ERROR, lib.FANFARE_LOG_ERROR),
    (logging.WARNING, lib.FANFARE_LOG_WARN),
    (logging.INFO, lib.FANFARE_LOG_INFO),
    (logging.DEBUG, lib.FANFARE_LOG_DEBUG),
    (TRACE, lib.FANFARE_LOG_TRACE),
)
_NUMBERS = {number: level for level, number in LEVELS}
_TOKEN = 1


def log_to(
    logger: logging.Logger | str | None = "fanfare",
    *,
    level: int | None = None,
    capacity: int = 1000,
) -> None:
    """Gives what the engine logs to a logger from now on: of all hubs of the process.

    It takes the place of the logger of before. A record has ``target``, the part of the engine that
    it is from, such as ``fanfare::hub``, and its time is that at which it was made. One thread,
    which keeps no interpreter from its end, calls the logger's handlers; none of the engine does.
    The child of a fork has no such logger, and may set its own.

    :param logger: The logger or its name; ``None`` for none, as at first. What was logged before is
        given to the logger of before, when this returns.
    :param level: The least level that the engine is asked for, such as ``logging.DEBUG``; by
        default the logger's own at this moment. What the engine traces has the level 5.
    :param capacity: The most records that wait to be logged. What finds as many waiting is lost,
        and a warning says how many were.
        Bounds: 1 to 65,536.
    :raises ArgumentError: The capacity is out of its bounds.
    :raises LimitError: 16 other parts of the process have the engine's log already.
    """
    _replace(None)
    if logger is not None:
        if isinstance(logger, str):
            logger = logging.getLogger(logger)
        least = logger.getEffectiveLevel() if level is None else level
        _replace(_Reader(logger, _number_of(least), capacity))


def _replace(reader: _Reader | None) -> None:
    global _reader
    with _lock:
        before, _reader = _reader, reader
    # A handler may wait for the lock.
    if before is not None:
        before.stop()


@dataclass(frozen=True)
class _Read:
    level: int
    target: str
    message: str
    created: float
    lost: int


class _Reader:
    """The thread that reads the queue."""

    def __init__(self, logger: logging.Logger, number: int, capacity: int) -> None:
        self._logger = logger
        self._doorbell = Doorbell()
        # 0 would be the library's default.
        check(lib.fanfare_log_watch(self._doorbell.native, _TOKEN, number, capacity or 1 << 20))
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="fanfare-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Logs what waits, and ends. A handler may call this, and ends its own thread so."""
        self._wake.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        poll = select.poll()
        for fd in (self._doorbell.fd, self._woken.fileno()):
            poll.register(fd, select.POLLIN)
        is_over = False
        while not is_over:
            # What was logged before the end is read after it.
            is_over = any(fd == self._woken.fileno() for fd, _ in poll.poll())
            while read := self._doorbell.drain(_read):
                for record in read:
                    self._log(record)
        self._woken.close()
        self._doorbell.remove(_TOKEN)

    def _log(self, read: _Read) -> None:
        try:
            if read.lost > 0:
                text = "%d records of the engine were lost: they came faster than they were logged"
                self._logger.warning(text, read.lost)
            if self._logger.isEnabledFor(read.level):
                self._logger.handle(_record(self._logger, read))
        except Exception:
            # A filter has failed, or a handler that does not deal with it; the next ones may not.
            _, problem, traceback = sys.exc_info()
            told = (type(problem), problem, traceback, self._thread)
            threading.excepthook(threading.ExceptHookArgs(told))


def _record(logger: logging.Logger, read: _Read) -> logging.LogRecord:
    extra = {"target": read.target}
    record = logger.makeRecord(
        logger.name, read.level, "(fanfare)", 0, read.message, (), None, extra=extra
    )
    record.created, record.msecs = read.created, read.created % 1 * 1000
    return record


def _read(notice: Any) -> _Read:  # noqa: ANN401 (cffi has no types)
    log = notice.log
    level = _NUMBERS.get(log.level, logging.INFO)
    created = notice.at_unix_ms / 1000
    return _Read(level, taken(log.target), taken(log.message), created, notice.lost)


def _number_of(level: int) -> int:
    """The engine's level that has all of a level of Python's."""
    for known, number in LEVELS:
        if level >= known:
            return int(number)
    return int(lib.FANFARE_LOG_TRACE)


def _forget() -> None:
    """In the child of a fork there is no thread, and the lock may be held."""
    global _reader, _lock
    _reader, _lock = None, threading.Lock()


_lock = threading.Lock()
_reader: _Reader | None = None
atexit.register(log_to, None)
os.register_at_fork(after_in_child=_forget)
