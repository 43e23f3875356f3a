"""Whether clients that come and go leave anything behind: descriptors, threads, memory.

    python bench/handovers.py [CLIENTS] [WAYS...]

The ways are "listen", a client that connects to a listener; "adopt", one whose connection the
program hands over; "subscribe", one whose stream the program reads; and "authorize", one that a
function decides on. It prints what the process has when a tenth of them have come and gone, and
when all have.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fanfare import Disconnected, FunctionAuthorizer, Grant, Hub

REQUEST = b"GET /events?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n"
DEADLINE_S = 60


class Held(NamedTuple):
    """What a process has."""

    descriptors: int
    threads: int
    rss_kib: int

    @staticmethod
    def now() -> Held:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
        return Held(len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), kib)


def settled(clients: int, ways: list[str]) -> tuple[Held, Held]:
    """What the process has when a tenth of the clients have come and gone, and when all have."""
    with (
        Hub(shards=1) as hub,
        hub.notices(capacity=1000) as notices,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        authorizer = FunctionAuthorizer(lambda _: Grant("news"), threads=1)
        listener, guarded = hub.listen(), hub.listen(authorizer=authorizer)

        def listen(port: int) -> None:
            with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as client:
                client.sendall(REQUEST)
                _read_until(client, b"data: hello", hub)

        def adopt() -> None:
            with socket.create_connection(server.getsockname(), DEADLINE_S) as client:
                taken, _ = server.accept()
                hub.adopt(taken, "news")
                _read_until(client, b"data: hello", hub)

        def subscribe() -> None:
            with hub.subscribe("news") as stream:
                hub.publish("news", "hello")
                while b"data: hello" not in stream.read(DEADLINE_S):
                    pass

        comes: dict[str, Callable[[], None]] = {
            "listen": lambda: listen(listener.port),
            "authorize": lambda: listen(guarded.port),
            "adopt": adopt,
            "subscribe": subscribe,
        }
        before = Held.now()
        for number in range(clients):
            comes[ways[number % len(ways)]]()
            while not isinstance(next(notices), Disconnected):
                pass
            if number + 1 == max(1, clients // 10):
                gc.collect()
                before = Held.now()
        gc.collect()
        after = Held.now()
        authorizer.close()
    return before, after


def _read_until(client: socket.socket, wanted: bytes, hub: Hub) -> None:
    read = client.recv(65536)  # the stream has begun: its head was sent
    hub.publish("news", "hello")
    while wanted not in read:
        more = client.recv(65536)
        if not more:
            raise AssertionError(f"the stream has ended: {read!r}")
        read += more


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    ways = sys.argv[2:] or ["listen", "adopt", "subscribe", "authorize"]
    begun = time.monotonic()
    before, after = settled(clients, ways)
    print(f"{clients} clients by {', '.join(ways)} in {time.monotonic() - begun:.0f} s")
    for when, held in (("a tenth", before), ("all", after)):
        print(
            f"after {when:8} {held.descriptors:5} descriptors {held.threads:3} threads "
            f"{held.rss_kib / 1024:7.1f} MiB"
        )


if __name__ == "__main__":
    main()
