"""A hub ends when it is told to, and what waited is sent before."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import httpx
import pytest
from client import DEADLINE_S, events, wait_until

from fanfare import ClosedError, FullError, Hub


def test_a_client_gets_what_was_published_and_then_the_end() -> None:
    with Hub(shards=1) as hub:
        port = hub.listen().port
        with events(port, "news") as received:
            for i in range(20):
                hub.publish("news", str(i))
            hub.close()
            assert [event.data for event in received] == [str(i) for i in range(20)]
    assert not answers(port)


def test_a_closed_hub_refuses_everything_but_closing() -> None:
    hub = Hub(shards=1)
    hub.close()
    hub.close()
    with pytest.raises(ClosedError, match="the hub is closed"):
        hub.publish("news", "a")
    with pytest.raises(ClosedError):
        hub.listen()


def answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=DEADLINE_S, trust_env=False)
    except httpx.ConnectError:
        return False
    return True


def test_a_hub_may_be_closed_while_threads_publish() -> None:
    for _ in range(20):
        hub = Hub(shards=1)
        published, refused = threading.Barrier(5), threading.Semaphore(0)

        def publish(hub: Hub, published: threading.Barrier, refused: threading.Semaphore) -> None:
            hub.publish("news", "first")
            published.wait(DEADLINE_S)
            while True:
                try:
                    hub.publish("news", "a")
                except FullError:
                    pass
                except ClosedError:
                    break
            refused.release()

        for _ in range(4):
            threading.Thread(target=publish, args=(hub, published, refused), daemon=True).start()
        published.wait(DEADLINE_S)
        hub.close()
        for _ in range(4):
            assert refused.acquire(timeout=DEADLINE_S)


def test_a_hub_may_be_closed_by_a_signal_in_the_middle_of_publishing() -> None:
    hub = Hub(shards=1)
    before = signal.signal(signal.SIGALRM, lambda *_: hub.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)

        def closed() -> bool:
            try:
                while True:
                    hub.publish("news", "a" * 100)
            except FullError:
                return False
            except ClosedError:
                return True

        wait_until("the signal to close the hub", closed)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_abandoned_hub_is_closed_with_a_warning() -> None:
    hub = Hub(shards=1)
    with events(hub.listen().port, "news") as received:
        hub.publish("news", "last")
        finished = weakref.ref(hub)
        with pytest.warns(ResourceWarning, match="was not closed"):
            del hub  # nothing else refers to it
        assert finished() is None
        assert [event.data for event in received] == ["last"]


@pytest.mark.parametrize(("example", "topic"), [("ticker.py", "time"), ("clock.py", "time/utc")])
def test_an_example_ticks_until_it_is_interrupted(example: str, topic: str) -> None:
    folder = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, folder / "examples" / example, "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        # Where these tests run in the background, the shell has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as ticker:
        try:
            assert ticker.stdout is not None
            port = int(ticker.stdout.readline().split(":")[2].split("/")[0])
            with events(port, topic) as received:
                assert next(received).event == "tick"
                ticker.send_signal(signal.SIGINT)
                for _ in received:
                    pass
            assert ticker.wait(DEADLINE_S) == 0
        finally:
            ticker.kill()
