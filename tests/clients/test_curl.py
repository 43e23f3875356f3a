"""curl -N, on HTTP/1.0 and HTTP/1.1: the bytes of the stream as they come."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from server import CASES, Server, read_until
from wire import Event, complete, events_in

VERSIONS = pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])


@contextmanager
def curl(version: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    command = ["curl", "--silent", "--show-error", "--fail", "--no-buffer", version, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            # The server has taken the client in when its first bytes have come.
            assert process.stdout
            process.first = read_until(process.stdout, lambda seen: b"\n\n" in seen)
            yield process
        finally:
            process.kill()


@VERSIONS
def test_curl_reads_every_text_as_it_was_published(server: Server, version: str) -> None:
    with curl(version, server.events("text", "other")) as process:
        published = []
        for case in CASES:
            published_id = server.publish_case("text", case)
            published.append(Event(case.event or "message", case.arrives, published_id))
        seen = read_until(
            process.stdout,
            lambda seen: seen.endswith(b"\n\n") and len(events_in(complete(seen))) >= len(CASES),
            process.first,
        )
    for got, wanted, case in zip(events_in(seen), published, CASES, strict=True):
        assert got == wanted, case.what


@VERSIONS
def test_curl_gets_exactly_these_bytes(start: Callable[..., Server], version: str) -> None:
    server = start("--retry", "3s")
    with curl(version, server.events("a", "b")) as process:
        ids = [
            server.publish("a", "x"),
            server.publish("c", "for no one here"),
            server.publish("b", "größe\r\n\n: y", event="tick"),
            server.publish("a", "", id="mine", retry="1500"),
            server.publish("b", "the end", event="end"),
        ]
        seen = read_until(process.stdout, lambda seen: b"the end\n\n" in seen, process.first)
    head, _, events = seen.partition(b"\n\n")
    # Each client gets a time of its own, so that they do not all come back in one moment.
    assert re.fullmatch(rb"retry: \d+", head)
    assert 3000 <= int(head[7:]) <= 6000
    assert re.fullmatch(r"[!-+\--~]+-\d+", ids[0])
    fields_of_mine = [b"id: mine", b"retry: 1500", b"data: "]
    frames = events.split(b"\n\n")
    assert frames[0] == f"id: {ids[0]}\ndata: x".encode()
    assert frames[1] == f"id: {ids[2]}\nevent: tick\ndata: größe\ndata: \ndata: : y".encode()
    assert sorted(frames[2].split(b"\n")) == sorted(fields_of_mine)
    assert frames[3] == f"id: {ids[4]}\nevent: end\ndata: the end".encode()
    assert frames[4:] == [b""]


@VERSIONS
def test_events_published_as_lines_of_json_arrive_in_their_order(
    server: Server, version: str
) -> None:
    lines = (
        '{"topic":"lines","data":"one"}\n'
        '{"topic":"elsewhere","data":"not here"}\n'
        '{"topic":"lines","data":"zw\\u00f6lf \\ud83c\\udfba\\nb","event":"tick","id":"own-1"}\n'
        '{"data":"","topic":"lines"}'
    )
    with curl(version, server.events("lines")) as process:
        answer = server.post("/publish", lines, Content_Type="application/x-ndjson")
        assert answer == {"published": 4}
        server.publish("lines", "the end")
        seen = read_until(process.stdout, lambda seen: b"the end\n\n" in seen, process.first)
    got = events_in(seen)
    assert [(event.type, event.data) for event in got] == [
        ("message", "one"),
        ("tick", "zwölf 🎺\nb"),
        ("message", ""),
        ("message", "the end"),
    ]
    assert got[1].id == "own-1"


def test_curl_hears_the_server_out_when_it_is_stopped(start: Callable[..., Server]) -> None:
    server = start()
    with curl("--http1.0", server.events("news")) as process:
        server.publish("news", "last words")
        assert server.stop() == 0
        seen = read_until(process.stdout, lambda _: False, process.first)
        assert process.wait(5) == 0
    assert [event.data for event in events_in(seen)] == ["last words"]
