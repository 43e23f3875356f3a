"""curl -N, on HTTP/1.0 and HTTP/1.1: the bytes of the stream as they come."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

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
            server.publish("c", "for no client here"),
            server.publish("b", "größe\r\n\n: y", event="tick"),
            server.publish("a", "", id="mine", retry="1500"),
            server.publish("b", "the end", event="end"),
        ]
        seen = read_until(process.stdout, lambda seen: b"the end\n\n" in seen, process.first)
    head, first_id, events = seen.split(b"\n\n", 2)
    # Each client gets a different time, so that they do not all come back in one moment.
    assert re.fullmatch(rb"retry: \d+", head)
    assert 3000 <= int(head[7:]) <= 6000
    # What a client that is cut off before its first event comes back with.
    assert re.fullmatch(rb"id: [0-9a-z]+-0", first_id)
    assert ids[0] == first_id.decode().removeprefix("id: ")[:-2] + "-1"
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
        '{"topic":"other","data":"not here"}\n'
        '{"topic":"lines","data":"zw\\u00f6lf \\ud83c\\udfba\\nb","event":"tick","id":"own-1"}\n'
        '{"data":"","topic":"lines"}'
    )
    with curl(version, server.events("lines")) as process:
        answer = server.post("/publish", lines, Content_Type="application/x-ndjson")
        ids = answer.pop("ids")
        assert (answer, len(ids), ids[2]) == ({"published": 4}, 4, "own-1")
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


@VERSIONS
def test_curl_gets_what_it_asks_for_of_the_past(start: Callable[..., Server], version: str) -> None:
    server = start()
    ids = [server.publish("abc"[n % 3], str(n)) for n in range(12)]
    url = server.events("a", "b")
    asked = {
        ("-H", f"Last-Event-ID: {ids[6]}", url): [7, 9, 10],
        (f"{url}&last-event-id={ids[3]}",): [4, 6, 7, 9, 10],
        (f"{url}&lastEventId={ids[8]}",): [9, 10],
        ("-H", f"Last-Event-ID: {ids[8]}", f"{url}&last-event-id={ids[0]}"): [9, 10],
        ("-H", f"Last-Event-ID: {ids[11]}", url): [],
        (f"{url}&latest",): [9, 10],
        (f"{url}&last=3",): [7, 9, 10],
        (f"{url}&start=earliest",): [0, 1, 3, 4, 6, 7, 9, 10],
        (url,): [],
    }
    with ExitStack() as stack:
        processes = [stack.enter_context(curl(version, *args)) for args in asked]
        live = server.publish("a", "live")
        for process, (args, wanted) in zip(processes, asked.items(), strict=True):
            seen = read_until(process.stdout, lambda seen: b"live\n\n" in seen, process.first)
            published = [Event("message", str(n), ids[n]) for n in wanted]
            assert events_in(seen) == [*published, Event("message", "live", live)], args


@VERSIONS
def test_curl_is_told_first_when_events_are_missing(
    start: Callable[..., Server], version: str
) -> None:
    server = start("--history-events-max", "2", "--gap-event", "lücke")
    ids = [server.publish("a", str(n)) for n in range(5)]
    nothing = ids[0].replace("-1", "-0")
    for last_id, to, reason, missed, then in [
        (ids[0], ids[2], "expired", "null", ["3", "4"]),
        (nothing, ids[2], "expired", "3", ["3", "4"]),
        ("0000aaaa-17", ids[2], "restarted", "null", ["3", "4"]),
        ("what?", ids[4], "unknown_id", "null", []),
    ]:
        with curl(version, "-H", f"Last-Event-ID: {last_id}", server.events("a")) as process:
            wanted = f'{{"from":"{last_id}","to":"{to}","reason":"{reason}","missed":{missed}}}'
            blocks = len(then) + 2  # with the reconnection time and the gap
            seen = read_until(
                process.stdout, lambda seen, n=blocks: seen.count(b"\n\n") >= n, process.first
            )
        told, *rest = events_in(seen)
        assert told == Event("lücke", wanted, to)
        assert [event.data for event in rest] == then


def test_curl_hears_the_server_out_when_it_is_stopped(start: Callable[..., Server]) -> None:
    server = start()
    with curl("--http1.0", server.events("news")) as process:
        server.publish("news", "last words")
        assert server.stop() == 0
        seen = read_until(process.stdout, lambda _: False, process.first)
        assert process.wait(5) == 0
    assert [event.data for event in events_in(seen)] == ["last words"]


@VERSIONS
def test_curl_ends_by_itself_when_its_topics_are_finished(server: Server, version: str) -> None:
    # The cases share a server.
    a, b = f"run/a{version}", f"run/b{version}"
    with curl(version, server.events(a, b)) as process:
        published = [Event("message", "one", server.publish(a, "one"))]
        server.post(f"/finish?topic={a}", b"")
        published.append(Event("message", "two", server.publish(b, "two")))
        server.post(f"/finish?topic={b}&event=end", "complete")
        rest = read_until(process.stdout, lambda _: False, process.first)
        # Zero is a body that has come whole.
        assert process.wait() == 0
    seen = events_in(rest)
    assert seen[:2] == published
    assert [(event.type, event.data) for event in seen[2:]] == [("end", "complete")]


@VERSIONS
def test_curl_opens_a_runs_stream_by_post_with_content_of_either_framing(
    start: Callable[..., Server], version: str
) -> None:
    server = start("--route", "/runs/{id}/events:topic=run/{id},methods=GET+POST")
    framings = {
        "--http1.0": [[]],
        "--http1.1": [[], ["Transfer-Encoding: chunked"], ["Expect: 100-continue"]],
    }
    for framing in framings[version]:
        fields = [part for field in framing for part in ("--header", field)]
        post = ["--data", '{"prompt": "why?"}', *fields, f"{server.url}/runs/7/events"]
        with curl(version, *post) as process:
            server.publish("run/8", "of another run")
            published_id = server.publish("run/7", "of this run")
            seen = read_until(
                process.stdout, lambda seen: b"of this run\n\n" in seen, process.first
            )
        assert [*events_in(seen)] == [Event("message", "of this run", published_id)], framing
