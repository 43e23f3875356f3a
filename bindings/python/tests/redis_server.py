"""A Redis server of a test's own, on a port of the loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: How long anything is waited for, in seconds: a machine may be slow.
DEADLINE_S = 30


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Runs a server that keeps nothing; gives its URL."""
    process, port = _started(folder)
    try:
        yield f"redis://127.0.0.1:{port}/2"
    finally:
        process.kill()
        process.wait()


def _started(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = ["redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        command += ["--port", str(port), "--dir", str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        # It ends at once if another process has got the port in between.
        while process.poll() is None:
            with suppress(OSError):
                if _answers(port):
                    return process, port
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.01)
    raise OSError("redis-server found no port")


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
