"""What test_gevent.py runs: everything that waits, while another greenlet counts."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402
from test_waiting import BIG, full_hub  # noqa: E402

from fanfare import FullError, Grant, Hub, TimedOutError  # noqa: E402

#: The longest time between two turns of the greenlet that counts. A call that blocks does so for
#: 100 ms at least.
PAUSE_MAX_S = 0.08
longest = 0.0


def count() -> None:
    global longest
    last = time.monotonic()
    while True:
        gevent.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now


def goes_on(what: str, wait: Callable[[], object]) -> None:
    """Waits, and prints whether other greenlets ran meanwhile: in the best of some tries."""
    global longest
    pauses = []
    for _ in range(3):
        gevent.sleep(0.01)
        longest = 0.0
        wait()
        gevent.sleep(0.01)
        pauses.append(longest)
        if min(pauses) < PAUSE_MAX_S:
            break
    ends = "goes on" if min(pauses) < PAUSE_MAX_S else f"is blocked for {min(pauses):.3f} s"
    print(f"{what}: the hub {ends}", flush=True)


def main() -> None:
    gevent.spawn(count)
    with full_hub() as (hub, _):

        def publish() -> None:
            try:
                hub.publish("news", BIG, timeout=0.3)
            except TimedOutError:
                return
            raise AssertionError("there was space")

        goes_on("publish", publish)
    with Hub(shards=1) as hub:
        hub.authorize(lambda _: Grant("news"))
        notices, stream = hub.notices(), hub.subscribe("news")
        next(notices)
        stream.read()
        goes_on("notices", lambda: (gevent.spawn_later(0.3, hub.subscribe, "a"), next(notices)))

        def read() -> None:
            gevent.spawn_later(0.3, hub.publish, "news", "a")
            while b"data: a" not in stream.read(10):
                pass

        goes_on("read", read)
        port = hub.listen().port
        goes_on("authorize", lambda: asked(port))
        assert threading.current_thread() is threading.main_thread()
    goes_on("close", closed_with_a_client_that_lags)


def asked(port: int) -> None:
    from client import events

    with events(port, "news"):
        pass


def closed_with_a_client_that_lags() -> None:
    with full_hub() as (hub, _):
        with contextlib.suppress(FullError):
            hub.publish("news", BIG)
        hub.close()


if __name__ == "__main__":
    main()
