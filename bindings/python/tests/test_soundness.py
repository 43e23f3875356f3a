"""What happens at a bad moment: interrupts, forks, subinterpreters, clients without end."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from client import DEADLINE_S, events
from test_life import in_a_child
from test_waiting import BIG, full_hub

from fanfare import ForkedError, FullError, Hub, Publication

pytestmark = pytest.mark.each_version

#: How long an interrupt may take to end what waits: the library waits for 100 ms at once.
ENDS_S = 0.1 + 1
HANDOVERS = Path(__file__).parents[1] / "bench" / "handovers.py"


@contextmanager
def interrupted() -> Iterator[None]:
    """Expects that an interrupt, as of Ctrl-C, ends what is done here, and soon."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - begun < 0.1 + ENDS_S
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_ends_everything_that_waits_for_space_and_nothing_was_published() -> None:
    with full_hub() as (hub, _):
        waits: list[Callable[[], object]] = [
            lambda: hub.publish("news", BIG, timeout=None),
            lambda: hub.publish(["news", "sports"], BIG, timeout=None),
            lambda: hub.topic("news").publish(BIG, timeout=None),
            lambda: hub.publish_many([Publication("news", BIG)], timeout=None),
            lambda: hub.finish("news", BIG, timeout=None),
        ]
        before = hub.metrics().published_events
        for wait in waits:
            with interrupted():
                wait()
        assert hub.metrics().published_events == before
        with interrupted():
            hub.drain(window_ms=60_000)


def test_an_interrupt_ends_a_thread_that_waits_for_notices_or_a_stream_and_both_go_on() -> None:
    with Hub(shards=1) as hub, hub.notices() as notices, hub.subscribe("news") as stream:
        next(notices)
        stream.read()
        with interrupted():
            next(notices)
        with interrupted():
            while True:
                stream.read()
        with interrupted():
            list(stream)
        hub.publish("news", "a")
        assert b"data: a" in stream.read(DEADLINE_S)
        with hub.subscribe("sports"):
            assert type(next(notices)).__name__ == "Connected"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_threads_publish_leaves_both_processes_whole() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "sports") as received:
        news, ends = hub.topic("news"), threading.Event()

        def publish() -> None:
            while not ends.is_set():
                for name in (None, "named"):
                    with suppress(FullError):
                        news.publish("a", name=name)

        threads = [threading.Thread(target=publish, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()

        def child() -> None:
            with pytest.raises(ForkedError):
                news.publish("a")
            with Hub(shards=1) as own, own.subscribe("news") as stream:
                assert own.topic("news").publish("of the child", name="child")
                while b"data: of the child" not in stream.read(DEADLINE_S):
                    pass

        try:
            for _ in range(5):
                in_a_child(child)
        finally:
            ends.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        hub.publish("sports", "of the parent", timeout=DEADLINE_S)
        assert next(received).data == "of the parent"


SUBINTERPRETER = """

code = '''
try:
    import fanfare
except ImportError as problem:
    print("refused:", problem)
else:
    with fanfare.Hub(shards=1) as hub, hub.subscribe("news") as stream:
        hub.publish("news", "a")
        while b"data: a" not in stream.read(10):
            pass
    print("works")
'''
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
for _ in range(2):
    made = interpreters.create()
    problem = interpreters.run_string(made, code)
    assert problem is None, problem
    interpreters.destroy(made)
import fanfare
with fanfare.Hub(shards=1) as hub:
    assert hub.publish("news", "a")
print("and in the main one", flush=True)
"""


def test_a_subinterpreter_works_or_is_refused_and_the_main_one_works_on() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SUBINTERPRETER], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.returncode == 0, ran.stderr
    *inside, last = ran.stdout.splitlines()
    assert last == "and in the main one"
    assert len(inside) == 2, ran.stdout
    assert all(line == "works" or "subinterpreter" in line for line in inside), ran.stdout


def test_clients_that_come_and_go_leave_no_descriptor_thread_or_memory() -> None:
    spec = importlib.util.spec_from_file_location("handovers", HANDOVERS)
    assert spec is not None
    assert spec.loader is not None
    handovers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(handovers)
    before, after = handovers.settled(1000, ["listen", "adopt", "subscribe", "authorize"])
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.rss_kib - before.rss_kib < 4096


def test_a_hub_that_is_dropped_by_the_thread_that_waits_for_it_is_closed_with_a_warning() -> None:
    program = """
import threading, warnings
import fanfare
warnings.simplefilter("always")

def run():
    hub = fanfare.Hub(shards=1)
    stream = hub.subscribe("news")
    notices = hub.notices()
    stream.read()
    threading.Thread(target=lambda: list(stream), daemon=True).start()
    del hub
    for _ in notices:
        pass

thread = threading.Thread(target=run)
thread.start()
thread.join(30)
print(thread.is_alive(), flush=True)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "False\n"
    assert "ResourceWarning: a fanfare.Hub was not closed" in ran.stderr
