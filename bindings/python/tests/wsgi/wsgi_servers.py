"""Servers in processes of their own, and what is asked of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from client import DEADLINE_S, wait_until
from httpx_sse import EventSource, ServerSentEvent, connect_sse

import fanfare

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1]
EXAMPLES = PACKAGE / "examples"
PROGRAM = os.environ.get("FANFARE_BIN", str(PACKAGE.parents[1] / "target/release/fanfare"))
#: What a server's log may not have.
COMPLAINT = re.compile(
    r"\[(?:ERROR|CRITICAL|WARNING)\]|Traceback|Error\b|Exception|Broken pipe|Warning: .*fanfare"
)
WORKERS = ("sync", "gthread", "gevent")


class Server:
    """A server that runs, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def complaints(self) -> list[str]:
        return [line for line in self.log().splitlines() if COMPLAINT.search(line)]

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.get("/stats").json()
        return stats

    def get(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:  # noqa: ANN401
        with httpx.Client(timeout=DEADLINE_S, trust_env=False) as client:
            return client.request(method, self.url + path, **more)

    def publish(self, topic: str, data: str) -> str:
        published = self.get(f"/publish/{topic}", "POST", content=data.encode())
        return str(published.json()["id"])

    @contextmanager
    def events(
        self,
        path: str,
        method: str = "GET",
        **more: Any,  # noqa: ANN401
    ) -> Iterator[tuple[Iterator[ServerSentEvent], EventSource]]:
        """The events of a stream, once it is open."""
        with (
            httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
            connect_sse(client, method, self.url + path, **more) as source,
        ):
            yield (block for block in source.iter_sse() if block.data), source

    def connect(self, sent: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        client.sendall(sent.encode())
        return client

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(DEADLINE_S)

    def wait_for(self, pattern: str) -> str:
        """What the first group of a pattern is in the log, once it is there."""

        def has_come() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the server has ended:\n{self.log()}")
            return re.search(pattern, self.log()) is not None

        wait_until(f"{pattern} in the log of the server", has_come)
        found = re.search(pattern, self.log())
        assert found is not None
        return found[1]


@contextmanager
def started(
    command: list[str],
    log: Path,
    ready: str,
    folder: Path = HERE,
    **environ: str,
) -> Iterator[Server]:
    """A command that is ready when its log has a pattern, whose group is its port."""
    # The package that the tests have, be it installed or this folder's.
    paths = [str(Path(fanfare.__file__).parents[1]), str(folder)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **environ}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, env=env) as process,
    ):
        server = Server(process, log)
        try:
            server.port = int(server.wait_for(ready))
            yield server
        finally:
            if process.poll() is None:
                server.stop()


def python(*args: str) -> list[str]:
    return [sys.executable, *args]


def gunicorn(worker: str, app: str, *args: str) -> list[str]:
    return python(
        *("-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "--no-control-socket"),
        *("--access-logfile", "-", "--graceful-timeout", "10", *args, app),
    )


GUNICORN_READY = r"Listening at: http://127\.0\.0\.1:(\d+)"
WERKZEUG_READY = r"Running on http://127\.0\.0\.1:(\d+)"


@contextmanager
def serving(kind: str, log: Path, *args: str, app: str = "wsgi_app:app") -> Iterator[Server]:
    """The application of the tests, or another one, under a server."""
    if kind == "werkzeug":
        command, ready = python("-m", "flask", "--app", app, "run", "-p", "0"), WERKZEUG_READY
    else:
        command, ready = gunicorn(kind, app, *args), GUNICORN_READY
    with started(command, log, ready) as server:
        yield server


def head_of(client: socket.socket) -> str:
    """The head of an answer, read byte by byte."""
    head = b""
    while b"\r\n\r\n" not in head:
        byte = client.recv(1)
        if not byte:
            raise AssertionError(f"the connection has ended behind {head!r}")
        head += byte
    return head.decode("latin-1")


def until(client: socket.socket, part: str | None = None) -> str:
    """What comes until a part of it has come, or until the end."""
    text = b""
    while part is None or part.encode() not in text:
        piece = client.recv(65536)
        if not piece:
            if part is None:
                break
            raise AssertionError(f"the connection has ended behind {text!r}")
        text += piece
    return text.decode("latin-1")
