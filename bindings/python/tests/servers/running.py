"""Servers that run in processes of their own, each on a port that the system has chosen."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from client import DEADLINE_S, wait_until

import fanfare

HERE = Path(__file__).parent
PYTHON = HERE.parent.parent
BIN = Path(sys.executable).parent
ADDRESS = re.compile(r"(?:https?://|tcp:|address |bind: |at: http://)127\.0\.0\.1:(\d+)")

UVICORN = [sys.executable, "-m", "uvicorn", "--port", "0"]
GUNICORN = ["-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket"]
COMMANDS: dict[str, list[str]] = {
    "uvicorn-h11-asyncio": [*UVICORN, "--http", "h11", "--loop", "asyncio"],
    "uvicorn-httptools-uvloop": [*UVICORN, "--http", "httptools", "--loop", "uvloop"],
    "gunicorn": [sys.executable, *GUNICORN, "-k", "uvicorn_worker.UvicornWorker"],
    "hypercorn": [sys.executable, "-m", "hypercorn", "-b", "127.0.0.1:0"],
    "granian": [str(BIN / "granian"), "--interface", "asgi", "--port"],
    "daphne": [str(BIN / "daphne"), "-p", "0"],
    "aiohttp": [sys.executable],
}
#: Those that let an application reach the connection.
GIVE_SOCKETS = (
    "uvicorn-h11-asyncio",
    "uvicorn-httptools-uvloop",
    "gunicorn",
    "hypercorn",
    "aiohttp",
)


class Server:
    """A server with one application; ``mode`` is that of its hand-over."""

    def __init__(
        self, kind: str, mode: str, *more: str, app: str = "application:app", **env: str
    ) -> None:
        self.kind, self.mode = kind, mode
        # One connection for all that is asked: one more would be one more that is not closed yet.
        self.client = httpx.Client(timeout=DEADLINE_S, trust_env=False)
        self.log_file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop`)
        command = [*COMMANDS[kind], *more]
        self._port, self.scheme = 0, "http"
        if kind == "granian":  # it does not say which port it was given
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._port = free.getsockname()[1]
            command.append(str(self._port))
        app_of_aiohttp = str(HERE / "aiohttp_application.py") if app == "application:app" else app
        command.append(app_of_aiohttp if kind == "aiohttp" else app)
        # The package that the tests themselves have, which may be an installed one.
        package = Path(fanfare.__file__).parents[1]
        path = os.pathsep.join(map(str, (package, HERE, PYTHON / "examples")))
        self.process = subprocess.Popen(
            command,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HANDOVER": mode, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | env,
        )

    @property
    def hands_over(self) -> bool:
        return self.mode != "never" and self.kind in GIVE_SOCKETS

    def log(self) -> str:
        return os.pread(self.log_file.fileno(), 1 << 20, 0).decode()

    @property
    def port(self) -> int:
        if not self._port:
            wait_until(f"{self.kind} to say its port", self._has_said_it)
        return self._port

    def _has_said_it(self) -> bool:
        assert self.process.poll() is None, self.log()
        match = next((m for m in ADDRESS.finditer(self.log()) if m[1] != "0"), None)
        self._port = int(match[1]) if match else 0
        return match is not None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def wait_until_it_answers(self, path: str = "/plain", status: int = 200) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log()
            try:
                return self.get(path).status_code == status
            except httpx.TransportError:
                return False

        wait_until(f"{self.kind} to answer", answers)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(self.url + path, headers=headers)

    def post(self, path: str, content: bytes | str = b"", **params: str) -> Any:  # noqa: ANN401
        answer = self.client.post(self.url + path, content=content, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.get("/state").json()
        return state

    def wait_for_connections(self, count: int) -> None:
        wait_until(f"{count} connections", lambda: self.state()["connections"] == count)

    def end(self) -> int:
        """Asks it to end, and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log_file.close()
