"""What client libraries make of each form of heartbeats, and of a stream's first block: what their
programs see, and whether they miss something when they are cut off before their first event.

`heartbeat_forms.json` says what is known, as does the table of docs/resuming.md.
"""

import contextlib
import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest

from heartbeat_client import CLIENTS
from proxy import Proxy
from server import DEADLINE_S, HERE, ROOT, Server, events_target, read_until

KNOWN: list[dict[str, Any]] = json.loads((HERE / "heartbeat_forms.json").read_text("utf-8"))
# What a heartbeat of each form has, and nothing else of a stream.
BEATS = {"id": "id: ", "comment": ":\n", "event": "event: fanfare-heartbeat\n"}
MISSED = ["missed 1", "missed 2", "missed 3"]


@pytest.mark.parametrize("form", BEATS)
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known['language']}-{known['name']}")
def test_a_client_sees_and_misses_what_is_known_of_it(
    start: Callable[..., Server], known: dict[str, Any], form: str
) -> None:
    server = start("--heartbeat", "100ms", "--retry", "100ms")
    server.publish("busy", "so that there is an id")
    with Proxy(server.port) as proxy, program_of(known, proxy, form) as output:
        proxy.wait_for(BEATS[form], times=4)
        proxy.end()
        for data in MISSED:
            server.publish("quiet", data)
        wait_until(lambda: server.metrics()["fanfare_connections"] == 0)
        proxy.serve_again()
        wait_until(lambda: server.metrics()["fanfare_connections"] == 1)
        server.publish("quiet", "the end")
        lines = read_until(output, lambda seen: b'"the end"' in seen).decode().splitlines()
    seen = [json.loads(line) for line in lines if line.startswith("{")]
    events = [event for event in seen if event["event"] != "fanfare-heartbeat" and event["data"]]
    got = [event["data"] for event in events]
    assert got in ([*MISSED, "the end"], ["the end"])
    observed = {
        "sees": sorted({what(event) for event in seen if event not in events}),
        "loses": got == ["the end"],
    }
    assert observed == known[form]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known['language']}-{known['name']}")
def test_a_client_comes_back_with_an_id_beyond_ascii_as_it_sends_it(
    start: Callable[..., Server], known: dict[str, Any]
) -> None:
    server = start("--heartbeat", "100ms", "--retry", "100ms")
    with Proxy(server.port) as proxy, program_of(known, proxy, "event") as output:
        proxy.wait_for("event: fanfare-heartbeat\n", times=1)
        server.publish("quiet", "first", id="caf\u00e9")
        seen = read_until(output, lambda seen: b'"first"' in seen)
        # The last bytes were handed on: the client has read the event's end.
        proxy.wait_for("data: first\n\n", times=1)
        proxy.end()
        for data in MISSED:
            server.publish("quiet", data)
        wait_until(lambda: server.metrics()["fanfare_connections"] == 0)
        proxy.serve_again()
        seen = read_until(output, lambda seen: b'"missed 3"' in seen, seen)
    lines = [json.loads(line) for line in seen.decode().splitlines() if line.startswith("{")]
    got = [line["data"] for line in lines if line["event"] == "message" and line["data"]]
    assert got == ["first", *MISSED]


def what(event: dict[str, str]) -> str:
    """What an event is to a program that did not ask for it."""
    return "heartbeats" if event["event"] == "fanfare-heartbeat" else "empty events"


@contextlib.contextmanager
def program_of(known: dict[str, Any], proxy: Proxy, form: str) -> Iterator[IO[bytes]]:
    """A program that listens with a client; its output."""
    url = f"http://127.0.0.1:{proxy.port}{events_target('quiet')}&heartbeat={form}"
    command = {
        "Node.js": ["node", HERE / "heartbeat-client.js"],
        "Python": [sys.executable, HERE / "heartbeat_client.py"],
    }[known["language"]]
    process = subprocess.Popen([*command, known["name"], url], stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def row(known: dict[str, Any]) -> str:
    """A client's row in the documentation's table."""
    cells = [
        ", ".join(
            [f"shows {what}" for what in known[form]["sees"]]
            + ["misses events"] * known[form]["loses"]
        )
        or "right"
        for form in BEATS
    ]
    name, version = package_of(known)
    return f"| {known['language']} | `{name}` {version} | {' | '.join(cells)} |"


def package_of(known: dict[str, Any]) -> tuple[str, str]:
    """The name and version of a client's package."""
    if known["language"] == "Python":
        return known["name"], importlib.metadata.version(known["name"])
    package = HERE / "node_modules" / known["name"] / "package.json"
    found = json.loads(package.read_text("utf-8"))
    return found["name"], found["version"]


def test_the_documentation_has_the_table_that_is_measured_here() -> None:
    text = (ROOT / "docs" / "resuming.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith(("| Python |", "| Node.js |"))]
    assert rows == [row(known) for known in KNOWN]


def test_every_client_is_known() -> None:
    def known(language: str) -> set[str]:
        return {known["name"] for known in KNOWN if known["language"] == language}

    assert known("Python") == set(CLIENTS)
    packages = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    assert known("Node.js") == set(packages)
