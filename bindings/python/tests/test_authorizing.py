"""Functions, tokens and tickets decide who gets which stream."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from client import DEADLINE_S, wait_until

from fanfare import (
    BusyError,
    FunctionAuthorizer,
    Grant,
    GrantError,
    Hub,
    Jwks,
    KeyFormatError,
    LimitError,
    OptionsError,
    Refusal,
    Route,
    SigningKey,
    StreamRequest,
    TicketAuthorizer,
    Tickets,
    TokenError,
    Tokens,
    TooManyError,
    Verdict,
)

SECRET = "0123456789abcdef0123456789abcdef"


def ask(port: int, query: str = "topic=news", **headers: str) -> httpx.Response:
    """The head of the answer, and the content of one that is no stream."""
    with (
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as client,
        client.stream(
            "GET",
            f"http://127.0.0.1:{port}/events?{query}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        ) as response,
    ):
        if response.status_code != 200:
            response.read()
        return response


@contextmanager
def asking(decide: Callable[[StreamRequest], Verdict], **options: int) -> Iterator[tuple[Hub, int]]:
    with Hub(shards=1) as hub:
        hub.authorize(**options)(decide)
        yield hub, hub.listen(routes=[Route("/post", post=True)]).port


def test_a_function_grants_and_refuses_by_what_a_request_says() -> None:
    seen: list[StreamRequest] = []

    def decide(request: StreamRequest) -> Verdict:
        seen.append(request)
        if request.header("AUTHORIZATION") == "Bearer me":
            return Grant("news", {"X-User": "me"}, tag="me", start="earliest", policy="conflate")
        return Refusal(401, "who are you?", {"WWW-Authenticate": "Bearer"})

    with asking(decide) as (_, port):
        granted = ask(port, authorization="Bearer me", last_event_id="x")
        assert (granted.status_code, granted.headers["x-user"]) == (200, "me")
        refused = ask(port, "topic=news&topic=a%2F%23")
        assert (refused.status_code, refused.text) == (401, "who are you?\n")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert ask(port, "topic=other", authorization="Bearer me").status_code == 403
        posted = httpx.post(
            f"http://127.0.0.1:{port}/post?topic=x", content=b"\xff\0", trust_env=False
        )
        assert posted.status_code == 401
    first, second, _, last = seen
    assert (first.method, first.path, first.query) == ("GET", "/events", "topic=news")
    assert (first.topics, first.last_event_id, first.content) == (("news",), "x", b"")
    assert first.header("host") == f"127.0.0.1:{port}"
    assert first.header("cookie") is None
    assert first.addr is not None
    assert set(second.topics) == {"news", "a/#"}
    assert second.last_event_id is None
    assert (last.method, last.path, last.content) == ("POST", "/post", b"\xff\0")


@pytest.mark.parametrize(("verdict", "status"), [(True, 200), (False, 403)])
def test_a_bool_is_a_verdict(verdict: bool, status: int) -> None:
    with asking(lambda _: verdict) as (_, port):
        assert ask(port).status_code == status


def _raises(_: StreamRequest) -> Verdict:
    raise LookupError("the database is gone")


FAILURES: dict[str, tuple[Callable[[StreamRequest], Any], str]] = {
    "it raises": (_raises, "LookupError: the database is gone"),
    "it exits": (lambda _: sys.exit(), "SystemExit"),
    "it returns nothing": (lambda _: None, "TypeError: an authorizer returns a Grant"),
    "its grant is none": (lambda _: Grant(["a/#/b"]), "GrantError: .*topics"),
    "its refusal is none": (lambda _: Refusal(200), "GrantError: .*status"),
    "its status is no number": (lambda _: Refusal(-1), "OptionsError: .*status"),
}


@pytest.mark.parametrize(("decide", "told"), FAILURES.values(), ids=FAILURES.keys())
def test_a_function_that_fails_is_logged_refuses_and_goes_on(
    decide: Callable[[StreamRequest], Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    def either(request: StreamRequest) -> Any:  # noqa: ANN401 (what is wrong)
        return True if request.header("x-good") else decide(request)

    with caplog.at_level(logging.ERROR, "fanfare"), asking(either) as (_, port):
        failed = ask(port)
        assert (failed.status_code, failed.headers["retry-after"]) == (503, "5")
        # A 503 would keep an EventSource away for good.
        assert ask(port, accept="text/event-stream").status_code == 200
        assert ask(port, x_good="1").status_code == 200
    assert "the authorizer has failed" in caplog.text
    assert caplog.records[0].exc_info is not None
    assert re.search(told, caplog.text)


def test_requests_are_decided_at_once_in_threads_that_end_with_the_hub() -> None:
    together = threading.Barrier(3)

    def decide(_: StreamRequest) -> Verdict:
        together.wait(DEADLINE_S)
        return True

    with asking(decide, threads=3) as (_, port):
        statuses: list[int] = []
        clients = [
            threading.Thread(target=lambda: statuses.append(ask(port).status_code))
            for _ in range(3)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join(DEADLINE_S)
        assert statuses == [200, 200, 200]
    wait_until(
        "the threads to end",
        lambda: all(thread.name != "fanfare-authorizer" for thread in threading.enumerate()),
    )


def test_a_request_that_waits_for_too_long_is_refused_and_its_answer_counted() -> None:
    leave = threading.Event()

    def decide(_: StreamRequest) -> Verdict:
        return leave.wait(DEADLINE_S)

    with asking(decide, timeout_ms=50, waiting_max=1) as (hub, port):
        assert ask(port).status_code == 503
        leave.set()
        wait_until("the answer is counted", lambda: hub.metrics().late_authorizations == 1)
        assert ask(port).status_code == 200


def test_an_authorizer_that_is_closed_refuses_and_one_out_of_bounds_is_none() -> None:
    with Hub(shards=1) as hub:
        authorizer = FunctionAuthorizer(lambda _: True)
        port = hub.listen(authorizer=authorizer).port
        assert ask(port).status_code == 200
        authorizer.close()
        authorizer.close()
        assert ask(port).status_code == 503
    with pytest.raises(ValueError, match="threads may be 1 to 64"):
        FunctionAuthorizer(lambda _: True, threads=0)
    with pytest.raises(OptionsError, match="timeout_ms"):
        FunctionAuthorizer(lambda _: True, timeout_ms=9)


def test_tokens_and_tickets_decide_without_the_program() -> None:
    key, tokens, tickets = SigningKey(SECRET), Tokens(SECRET, audiences="app"), Tickets()
    grant = Grant("news", tag="me", expires_at=time.time() + 600)
    token = key.sign(grant, audience="app", subject="me")
    with Hub(shards=1) as hub:
        authorizer = TicketAuthorizer(tokens, tickets, cookie="session", exchange_path="/swap")
        port = hub.listen(authorizer=authorizer).port
        assert ask(port, authorization=f"Bearer {token}").status_code == 200
        assert ask(port).status_code == 401
        assert ask(port, "topic=x", authorization=f"Bearer {token}").status_code == 403
        answer = httpx.post(
            f"http://127.0.0.1:{port}/swap",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code in (200, 201)
        issued = tickets.issue(grant)
        assert ask(port, f"topic=news&ticket={issued}").status_code == 200
        tokens.set_keys("another secret of at least thirty-two bytes")
        assert ask(port, authorization=f"Bearer {token}").status_code == 401


def test_a_program_that_opens_streams_itself_checks_tokens_and_tickets() -> None:
    key, tokens, tickets = SigningKey(SECRET.encode()), Tokens([SECRET]), Tickets(tickets_max=1)
    until = float(int(time.time()) + 600)
    grant = Grant(["news", "a/#"], tag="me", expires_at=until, policy="conflate")
    with tokens.verify(key.sign(grant)) as granted:
        assert set(granted.grant.topics) == {"news", "a/#"}
        assert (granted.grant.tag, granted.grant.expires_at) == ("me", until)
        assert granted.grant.policy == "conflate"
        assert granted.is_current
    assert not granted.is_current
    ticket = tickets.issue(Grant(any_topics=True, expires_at=until))
    for _ in range(2):
        assert tickets.look_up(ticket).grant == tickets.look_up(ticket, goes_on=True).grant
    with tickets.redeem(ticket) as first:
        assert (first.grant.any_topics, first.grant.topics) == (True, ())
        with pytest.raises(BusyError):
            tickets.redeem(ticket)
        with tickets.redeem(ticket, goes_on=True) as second:
            assert (first.is_current, second.is_current) == (False, True)
    assert tickets.issue(grant)  # in the place of the one that is not connected any more
    with pytest.raises(LimitError):
        tickets.issue(grant)
    for check in (tokens.verify, tickets.redeem, tickets.look_up):
        with pytest.raises(TokenError, match="not valid"):
            check("nonsense")
    for make in (tickets.issue, key.sign):
        with pytest.raises(GrantError):
            make(Grant("news"))


def test_keys_that_cannot_be_used_are_refused_with_the_reason() -> None:
    for wrong in ("short", b"", Jwks("{}"), Jwks('{"keys":[]}')):
        with pytest.raises(KeyFormatError) as caught:
            Tokens(wrong)
        assert len(str(caught.value)) > 20
    with pytest.raises(KeyFormatError):
        SigningKey("short")
    with pytest.raises(TooManyError):
        Tokens([SECRET] * 65)
    with pytest.raises(OptionsError, match="the option leeway_ms"):
        Tokens(SECRET, leeway_ms=300_001)
    with pytest.raises(OptionsError, match="the option cookie"):
        TicketAuthorizer(Tokens(SECRET), Tickets(), cookie="a b")
    tokens = Tokens(SECRET)
    with pytest.raises(KeyFormatError):
        tokens.set_keys("short")
    assert tokens.verify(SigningKey(SECRET).sign(Grant("a", expires_at=time.time() + 60)))
