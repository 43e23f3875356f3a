"""The program under test: started on a free port, published to, stopped."""

import json
import os
import re
import selectors
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / os.environ.get("FANFARE_BIN", "target/release/fanfare")

# How long a test waits for what has to happen. Long, as a machine may be busy.
DEADLINE_S = 60.0

# No test is about how slow a client may be, and one that gets no CPU for a while is not slow.
PATIENT = {f"FANFARE_{bound}": "10m" for bound in ("LAG_AGE_MAX", "LAG_GRACE", "STALL_TIME_MAX")}


class Case(NamedTuple):
    """A text that every client has to read as it was published."""

    what: str
    event: str | None
    data: str
    arrives: str


def _case(what: str, data: str, event: str | None = None, times: int = 1, **rest: str) -> Case:
    return Case(what, event, data * times, rest.get("arrives", data) * times)


CASES = [
    _case(**case)
    for case in json.loads((HERE.parent / "conformance" / "texts.json").read_text("utf-8"))
]


class Server:
    def __init__(
        self, *args: str, command: str = "serve", env: dict[str, str] | None = None
    ) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FANFARE_")}
        self.process = subprocess.Popen(
            [BIN, command, "--listen", "127.0.0.1:0", *args],
            stdout=subprocess.PIPE,
            env=inherited | PATIENT | (env or {}),
        )
        assert self.process.stdout
        said = read_until(self.process.stdout, lambda seen: seen.count(b"\n") >= 2).decode()
        address = r"(http://127\.0\.0\.1:(\d+))\n"
        match = re.match(f"listening on {address}control on {address}", said)
        if not match:
            self.kill()
            raise AssertionError(f"the first lines are {said!r}")
        self.url, self.port = match[1], int(match[2])
        # The control listener, where events are published and metrics read.
        self.control, self.control_port = match[3], int(match[4])

    def events(self, *topics: str) -> str:
        """The address of a stream of these topics."""
        return f"{self.url}{events_target(*topics)}"

    def publish(self, topic: str, data: str | bytes, **fields: str) -> str:
        """Publishes one event and returns its id."""
        answer = self.post(publish_target(topic, **fields), data)
        return answer["id"]

    def publish_case(self, topic: str, case: Case) -> str:
        fields = {"event": case.event} if case.event else {}
        return self.publish(topic, case.data, **fields)

    def post(self, target: str, data: str | bytes, **headers: str) -> dict[str, Any]:
        body = data.encode() if isinstance(data, str) else data
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.control + target, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            return json.load(response)

    def metrics(self) -> dict[str, float]:
        """Every sample, by its name with its labels."""
        with urllib.request.urlopen(f"{self.control}/metrics", timeout=DEADLINE_S) as response:
            text = response.read().decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def stop(self) -> int:
        """Asks the program to end, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


def events_target(*topics: str) -> str:
    return "/events?" + "&".join(f"topic={urllib.parse.quote(topic, safe='')}" for topic in topics)


def publish_target(topic: str, **fields: str) -> str:
    query = urllib.parse.urlencode({"topic": topic, **fields}, quote_via=urllib.parse.quote)
    return f"/publish?{query}"


def read_until(pipe: IO[bytes], enough: Callable[[bytes], bool], seen: bytes = b"") -> bytes:
    """Reads from a pipe until `enough` of it was seen, until its end, or fails at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not enough(seen):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"waited {DEADLINE_S} s; so far {seen[-500:]!r}")
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                break
            seen += piece
    return seen
