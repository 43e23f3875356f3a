"""The engine's log as records of Python's logging."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import DEADLINE_S, events, wait_until

import fanfare
from fanfare import ArgumentError, Hub, log_to


class Kept(logging.Handler):
    """Keeps records, once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: set[str] = set()
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.begun.set()
        assert self.gate.wait(DEADLINE_S)
        self.threads.add(threading.current_thread().name)
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger("fanfare.test")
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    yield handler
    handler.gate.set()
    log_to(None)
    logger.removeHandler(handler)


def provoke_a_warning() -> None:
    """No process has so many descriptors."""
    Hub(shards=1, connections_max=10_000_000).close()


def test_what_the_engine_logs_comes_from_one_thread_of_pythons_own(kept: Kept) -> None:
    provoke_a_warning()
    begun = time.time()
    log_to("fanfare.test")
    provoke_a_warning()
    wait_until("a record", lambda: len(kept.records) == 1)
    (record,) = kept.records
    assert record.name == "fanfare.test"
    assert record.levelno == logging.WARNING
    assert "connections_max" in record.getMessage()
    assert vars(record)["target"] == "fanfare::hub"
    assert begun - 0.01 <= record.created <= time.time()
    assert kept.threads == {"fanfare-log"}
    log_to(None)
    provoke_a_warning()
    log_to(None)
    assert len(kept.records) == 1


def test_the_engine_is_asked_for_the_loggers_level_or_another(kept: Kept) -> None:
    logger = logging.getLogger("fanfare.test")
    log_to(logger, level=logging.ERROR)
    provoke_a_warning()
    log_to(logger)
    provoke_a_warning()
    log_to(None)
    assert [record.levelno for record in kept.records] == [logging.WARNING]
    logger.setLevel(logging.DEBUG)
    log_to(logger)
    with Hub(shards=1) as hub:
        with events(hub.listen().port, "t"):
            pass
        wait_until(
            "what happens with a connection",
            lambda: logging.DEBUG in {record.levelno for record in kept.records},
        )


def test_a_handler_that_is_slow_holds_up_nothing_and_is_told_what_it_has_lost(kept: Kept) -> None:
    log_to("fanfare.test", capacity=2)
    kept.gate.clear()
    provoke_a_warning()
    assert kept.begun.wait(DEADLINE_S)
    for _ in range(5):
        provoke_a_warning()
    kept.gate.set()
    wait_until("the records that there was room for", lambda: len(kept.records) == 3)
    provoke_a_warning()
    wait_until("what was lost, and the next record", lambda: len(kept.records) == 5)
    texts = [record.getMessage() for record in kept.records]
    assert texts[3].startswith("3 records of the engine were lost")
    assert sum("connections_max" in text for text in texts) == 4


def test_a_handler_that_fails_does_not_end_the_log(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    logger = logging.getLogger("fanfare.test")

    def fail(record: logging.LogRecord) -> bool:
        raise ValueError(record)

    logger.addFilter(fail)
    log_to(logger)
    provoke_a_warning()
    wait_until("the failure", lambda: len(failures) == 1)
    logger.removeFilter(fail)
    provoke_a_warning()
    wait_until("the next record", lambda: len(kept.records) == 1)


def test_a_capacity_out_of_its_bounds_is_refused_and_no_thread_stays(kept: Kept) -> None:
    for capacity in (0, 65_537):
        with pytest.raises(ArgumentError):
            log_to("fanfare.test", capacity=capacity)
    provoke_a_warning()
    assert kept.records == []
    assert "fanfare-log" not in {thread.name for thread in threading.enumerate()}


PROGRAM = """
import logging, os
import fanfare

logging.basicConfig(format="%(process)d %(levelname)s %(target)s", level=logging.INFO)
fanfare.log_to(logging.getLogger())
child = os.fork()
if child == 0:
    fanfare.log_to(logging.getLogger())
    fanfare.Hub(shards=1, connections_max=10_000_000).close()
    fanfare.log_to(None)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
fanfare.Hub(shards=1, connections_max=10_000_000).close()
print(child, os.getpid())
"""


def test_what_waits_is_logged_at_the_interpreters_end_and_a_child_has_its_own() -> None:
    package = Path(fanfare.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    processes = run.stdout.split()
    warnings = [line for line in run.stderr.splitlines() if "WARNING" in line]
    assert warnings == [f"{process} WARNING fanfare::hub" for process in processes]
