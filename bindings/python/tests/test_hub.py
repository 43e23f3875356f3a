"""A hub's rules, drain, statistics and listeners."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import httpx
import pytest
from client import DEADLINE_S, events, wait_until

from fanfare import (
    AddressError,
    ClosedError,
    Drained,
    Hub,
    Listener,
    Metrics,
    OptionsError,
    Route,
    StaleError,
    SubscriptionError,
)
from fanfare._native import ffi


def test_a_rule_is_set_listed_and_removed() -> None:
    with Hub(shards=1) as hub:
        hub.set_rule("run/#", history_events_max=2, policy="conflate")
        hub.set_rule("news", history_age_max_ms=60_000)
        for n in range(5):
            hub.publish("run/1", str(n))
        rules = {rule.subscription: rule for rule in hub.rules()}
        assert set(rules) == {"run/#", "news"}
        run = rules["run/#"]
        assert (run.history_events_max, run.policy, run.kept_events) == (2, "conflate", 2)
        assert (run.history_age_max_ms, run.history_bytes_max, run.finished_age_max_ms) == (
            None,
            None,
            None,
        )
        assert hub.remove_rule("run/#")
        assert not hub.remove_rule("run/#")
        with pytest.raises(SubscriptionError):
            hub.set_rule("a/#/b")


def test_a_rule_that_keeps_events_is_refused_where_the_hub_keeps_none() -> None:
    with Hub(shards=1, history_events_max=0) as hub, pytest.raises(OptionsError):
        hub.set_rule("news", history_events_max=5)


def test_a_drain_tells_clients_to_come_back_and_closes_the_hub() -> None:
    with Hub(shards=1) as hub, events(hub.listen().port, "news") as received:
        hub.publish("news", "last")
        assert hub.drain(window_ms=0, grace_ms=500, retry_ms=77) == Drained(told=1, cut=0)
        assert [event.data for event in received if event.data] == ["last"]
        with pytest.raises(ClosedError):
            hub.publish("news", "a")
        assert repr(hub) == "<fanfare.Hub closed>"


def test_a_hub_is_drained_and_closed_from_a_coroutine_and_the_loop_goes_on() -> None:
    async def run() -> None:
        async with Hub(shards=1) as hub:
            assert repr(hub) == "<fanfare.Hub>"
            drain = asyncio.create_task(hub.drain_async(window_ms=200))
            ticks = 0
            while not drain.done():
                await asyncio.sleep(0.001)
                ticks += 1
            assert await drain == Drained(told=0, cut=0)
            assert ticks > 0
            with pytest.raises(ClosedError):
                await hub.publish_async("news", "a")
        await hub.close_async()

    asyncio.run(run())


def test_metrics_have_all_that_the_abi_counts() -> None:
    with Hub(shards=1, connections_max=7) as hub:
        with events(hub.listen().port, "news") as received:
            hub.publish("news", "a")
            assert next(received).data == "a"
            wait_until("the delivery is counted", lambda: hub.metrics().delivered_events == 1)
            metrics = hub.metrics()
            assert (metrics.connections, metrics.published_events) == (1, 1)
            assert (metrics.connections_max, metrics.living_shards) == (7, 1)
            assert sum(count for _, count in metrics.latencies_us) == 1
            assert metrics.latencies_us[-1][0] == 2**64 - 1
            assert "fanfare_connections 1\n" in hub.prometheus()
        wait_until("the client to be gone", lambda: hub.metrics().connections == 0)
    after = hub.metrics()
    assert after.disconnects == {"client_closed": 1}
    assert after.living_shards == 0
    with pytest.raises(FrozenInstanceError):
        after.connections = 1  # type: ignore[misc]
    otherwise = {"size", "latency_buckets", "latency_bounds_us", "latency_counts", "latencies_us"}
    abi = {name for name, _ in ffi.typeof("fanfare_metrics").fields}
    assert {field.name for field in fields(Metrics)} ^ abi == otherwise


def test_the_text_for_prometheus_is_whole_when_it_is_long() -> None:
    with Hub(shards=1) as hub:
        for n in range(300):
            hub.set_rule(f"rule/{n}/#", history_events_max=n)
        text = hub.prometheus()
        assert len(text) > 16 * 1024
        assert text.endswith("\n")
        assert "rule/299/#" in text


def test_a_listener_is_closed_alone_and_its_streams_stay() -> None:
    with Hub(shards=1) as hub:
        listener = hub.listen()
        assert isinstance(listener, Listener)
        assert listener.address == f"127.0.0.1:{listener.port}"
        assert repr(listener) == f"<fanfare.Listener {listener.address}>"
        with events(listener.port, "news") as received:
            listener.close()
            listener.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", listener.port), DEADLINE_S)
            hub.publish("news", "a")
            assert next(received).data == "a"
        with pytest.raises(StaleError):
            listener.has_streams_at("/events")
        with hub.listen() as other:
            port = other.port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), DEADLINE_S)


def test_a_unix_domain_socket_is_listened_at_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with Hub(shards=1) as hub:
        listener = hub.listen(f"unix:{path}", socket_mode=0o660, health_path="/healthz")
        assert (listener.port, listener.address) == (0, f"unix:{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, timeout=DEADLINE_S) as client:
            assert client.get("http://localhost/healthz").status_code == 200
    assert not path.exists()


@pytest.mark.parametrize("by_descriptor", [False, True])
def test_a_socket_that_listens_is_handed_over_on_success_alone(by_descriptor: bool) -> None:
    with Hub(shards=1) as hub, socket.socket() as unbound:
        with pytest.raises(AddressError):
            hub.listen(unbound)
        assert unbound.fileno() >= 0
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        listener = hub.listen(sock.detach() if by_descriptor else sock)
        assert listener.port == port
        assert sock.fileno() == -1
        with events(port, "news") as received:
            hub.publish("news", "a")
            assert next(received).data == "a"
        for wrong in (-1, 2**40):
            with pytest.raises(AddressError):
                hub.listen(wrong)
        with pytest.raises(TypeError, match="expected str, a socket or int"):
            hub.listen(1.5)  # type: ignore[arg-type]


def test_a_listener_does_what_its_options_say() -> None:
    with Hub(shards=1) as hub:
        listener = hub.listen(
            path="",
            routes=[
                Route("/runs/{id}", subscriptions="run/{id}", headers={"X-Run": "yes"}, post=True),
                Route("/any", query_topics=True),
                Route("/fixed", subscriptions=["a", "b"], query_topics=False),
            ],
            headers=[("X-All", "1"), ("X-All", "2")],
            cors_origins=["https://app.example"],
            cors_exposed_headers="X-Run",
            cors_credentials=True,
            hosts=["app.example"],
            policies=["drop-oldest"],
            envelope="json",
            start=5,
            overload="unavailable",
            forwarded_header="forwarded",
            trusted_proxies=["10.0.0.0/8"],
            subscriptions_per_connection_max=2,
        )
        assert listener.has_streams_at("/runs/7")
        assert not listener.has_streams_at("/events")
        assert listener.is_named("app.example:80")
        assert not listener.is_named("other.example")
        old = hub.publish("run/7", "old")
        url = f"http://127.0.0.1:{listener.port}"
        headers = {"Host": "app.example", "Origin": "https://app.example"}
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, headers=headers) as client:
            with client.stream("POST", f"{url}/runs/7") as response:
                assert response.status_code == 200
                assert response.headers["x-run"] == "yes"
                assert response.headers["x-all"] == "1, 2"
                assert response.headers["access-control-allow-credentials"] == "true"
                assert response.headers["access-control-expose-headers"].lower() == "x-run"
                lines = (line for line in response.iter_lines() if line.startswith("data"))
                data = json.loads(next(lines).removeprefix("data: "))
                assert data == {"topic": "run/7", "id": old, "data": "old"}
            for path, status in (
                ("/any?topic=a&topic=b&topic=c", 400),
                ("/any?topic=a&policy=conflate", 403),
                ("/fixed?topic=c", 403),
                ("/events?topic=a", 404),
            ):
                assert client.get(f"{url}{path}").status_code == status, path


def test_a_connection_that_the_program_has_accepted_is_admitted() -> None:
    with Hub(shards=1) as hub, socket.create_server(("127.0.0.1", 0)) as server:
        listener = hub.listen()
        with socket.create_connection(server.getsockname(), DEADLINE_S) as client:
            client.settimeout(DEADLINE_S)
            accepted, _ = server.accept()
            client.sendall(b"GET /events?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read = accepted.recv(10)
            listener.admit(accepted, read, addr="192.0.2.7:4711")
            assert accepted.fileno() == -1
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            listener.close()
            pair = socket.socketpair()
            with pair[0], pair[1], pytest.raises(StaleError):
                listener.admit(pair[0])


EXITS = {
    "without closing": "",
    "in the middle of a stream that a thread reads": """
import threading
stream = hub.subscribe("news")
threading.Thread(target=lambda: list(stream), daemon=True).start()
""",
    "while a thread waits for a full topic": """
import threading
def publish():
    while True:
        hub.publish("news", "a" * 4000, timeout=None)
threading.Thread(target=publish, daemon=True).start()
""",
    "by an exception": "raise RuntimeError('on purpose')",
    "while a thread reads notices": """
import threading
notices = hub.notices()
threading.Thread(target=lambda: list(notices), daemon=True).start()
""",
    "with an authorizer": """
authorizer = fanfare.FunctionAuthorizer(lambda request: hub is not None)
guarded = hub.listen(authorizer=authorizer)
""",
}


@pytest.mark.parametrize(("how", "code"), EXITS.items(), ids=EXITS.keys())
def test_an_interpreter_that_exits_with_live_connections_ends_and_sends_the_rest(
    how: str, code: str
) -> None:
    program = f"""
import sys
import fanfare
hub = fanfare.Hub(shards=1)
print(hub.listen().port, flush=True)
sys.stdin.readline()
hub.publish("news", "last")
{code}
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with events(port, "news") as received:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                begun = time.monotonic()
                assert next(received).data == "last"
                for _ in received:
                    pass
            assert process.wait(DEADLINE_S) == (1 if how == "by an exception" else 0)
            assert time.monotonic() - begun < DEADLINE_S
            assert process.stderr is not None
            told = process.stderr.read()
            assert ("RuntimeError: on purpose" in told) == (how == "by an exception")
            assert "Fatal" not in told
        finally:
            process.kill()
