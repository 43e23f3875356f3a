"""What a call of `publish` costs a program while there is no subscriber.

    taskset -c 1 python bench/publish.py [CALLS]

Each line is the median of seven runs in ns a call, with the fastest and the slowest, in the CPU
time of the thread, so that what else runs on the machine counts little. What is left without the
library's own time, which is the bare call less one that the library refuses at once, is the
interpreter's. With four threads it is the time that passes, divided by all calls: with a global
lock they take turns, and without one they run at once.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from fanfare import Hub, Topic
from fanfare._native import ffi, lib

RUNS = 7
REFUSED, BARE = "bare call, refused at once", "bare call of the library"
THREADS = 4


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if has_lock else 'without'} a global lock")
    with Hub(shards=1) as hub:
        news, data, as_bytes = hub.topic("news"), "hello, world", b"hello, world"
        value = {"temperature": 21.5, "room": "kitchen"}
        measures: dict[str, Callable[[], object]] = {
            REFUSED: _bare(ffi.NULL, news),
            BARE: _bare(hub._native, news),
            "handle, str": lambda: news.publish(data),
            "handle, bytes": lambda: news.publish(as_bytes),
            "handle, str and a name": lambda: news.publish(data, name="greeting"),
            "handle, json": lambda: news.publish(json=value),
            "handle, str and a key": lambda: news.publish(data, key="kitchen"),
            "handle, 64 KiB": lambda: news.publish("a" * 65536),
            "by name, str": lambda: hub.publish("news", data),
        }
        empty = _lambda_ns(calls)
        medians = {}
        for name, call in measures.items():
            many = max(1, calls // 20) if "KiB" in name else calls
            medians[name] = _print(name, [_run(call, many) - empty for _ in range(RUNS)])
        engine = medians[BARE] - medians[REFUSED]
        print("the interpreter's part of the time with a handle and a str: ", end="")
        print(f"{medians['handle, str'] - engine:.0f} ns")
        _print(f"{THREADS} threads, handle, str", [_threads(hub, calls) for _ in range(RUNS)])


def _bare(
    native: Any,  # noqa: ANN401 (cffi has no types)
    topic: Topic,
) -> Callable[[], object]:
    event, out = ffi.new("fanfare_event *"), ffi.new("fanfare_event_id *")
    data = ffi.from_buffer(b"hello, world")
    event.size, event.data = ffi.sizeof("fanfare_event"), (data, len(data))
    function, handle = lib.fanfare_hub_publish_to, topic._native

    def call(_: object = data) -> object:
        return function(native, handle, event, out)

    return call


def _run(call: Callable[[], object], calls: int) -> float:
    begun = time.thread_time_ns()
    for _ in range(calls):
        call()
    return (time.thread_time_ns() - begun) / calls


def _lambda_ns(calls: int) -> float:
    """What the loop and the call of a lambda take, which no program has to pay for."""
    return statistics.median(_run(lambda: None, calls) for _ in range(RUNS))


def _threads(hub: Hub, calls: int) -> float:
    ready = threading.Barrier(THREADS + 1)

    def publish(number: int) -> None:
        topic = hub.topic(f"thread/{number}")
        ready.wait()
        for _ in range(calls):
            topic.publish("hello, world", timeout=0)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - begun) / (calls * THREADS)


def _print(name: str, runs: list[float]) -> float:
    median = statistics.median(runs)
    print(f"{name:28} {median:7.0f} ns  {min(runs):7.0f} to {max(runs):.0f}")
    return median


if __name__ == "__main__":
    main()
