"""What test_gevent.py runs: everything that waits, while another greenlet counts."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from client import events  # noqa: E402
from test_waiting import BIG, full_hub  # noqa: E402

from fanfare import FullError, Grant, Hub, StreamRequest, TimedOutError  # noqa: E402
from fanfare.publishing import _Call  # noqa: E402

#: How often the greenlet that counts has its turn while something waits for 0.3 s at least: some
#: hundred times, on a busy machine less often, and not at all if the wait blocks.
TURNS_MIN = 10
turns = 0


def count() -> None:
    global turns
    while True:
        gevent.sleep(0.001)
        turns += 1


def goes_on(what: str, wait: Callable[[], object]) -> None:
    """Waits, and prints whether other greenlets ran meanwhile: in the best of some tries."""
    most = 0
    for _ in range(3):
        before = turns
        wait()
        most = max(most, turns - before)
        if most >= TURNS_MIN:
            break
    print(f"{what}: the hub {'goes on' if most >= TURNS_MIN else 'is blocked'}", flush=True)


def main() -> None:
    gevent.spawn(count)
    with full_hub() as (hub, _):
        attempts: list[int] = []

        def counted(self: _Call, timeout_ms: int, call: Any = _Call.__call__) -> int:  # noqa: ANN401
            attempts.append(timeout_ms)
            status: int = call(self, timeout_ms)
            return status

        setattr(_Call, "__call__", counted)  # noqa: B010 (as a type checker sees it, it is fixed)

        def publish() -> None:
            attempts.clear()
            try:
                hub.publish("news", BIG, timeout=0.3)
            except TimedOutError:
                # One at first, one for each part of its time, and one at its end.
                assert len(attempts) <= 4, f"{len(attempts)} attempts"
                return
            raise AssertionError("there was space")

        goes_on("publish", publish)
        with contextlib.suppress(FullError):
            hub.publish("news", BIG)
        goes_on("close", hub.close)
    with Hub(shards=1) as hub:

        @hub.authorize
        def decide(_: StreamRequest) -> Grant:
            gevent.sleep(0.3)
            return Grant("news")

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

        def authorize() -> None:
            with events(port, "news"):
                pass

        goes_on("authorize", authorize)
        assert threading.current_thread() is threading.main_thread()


if __name__ == "__main__":
    main()
