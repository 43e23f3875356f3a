"""Runs the cases of ``tests/conformance``, by each way in: see the README there."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from client import DEADLINE_S

from fanfare import DisconnectedError, EndedError, FanfareError, Hub
from fanfare._native import lib

TABLES = Path(__file__).parents[3] / "tests" / "conformance"
Case = dict[str, Any]
CASES: list[Case] = json.loads((TABLES / "cases.json").read_text("utf-8"))
#: How large a piece of a stream is read at once.
PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Fired:
    """An event as a browser would fire it."""

    name: str
    data: str
    id: str


class Parser:
    """WHATWG HTML, section "Interpreting an event stream", for LF as the one end of lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._name, self._data, self._id = "", "", ""

    def feed(self, piece: bytes) -> Iterator[Fired]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            field, _, value = line.decode("utf-8").partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                self._data += value + "\n"
            elif field == "event":
                self._name = value
            elif field == "id":
                self._id = value
            elif not line:
                if self._data:
                    yield Fired(self._name or "message", self._data[:-1], self._id)
                self._name, self._data = "", ""


class RefusedError(Exception):
    """The answer was none of a stream: its status, or a code of the C ABI."""

    def __init__(self, status: int = 0, code: int = 0) -> None:
        super().__init__(f"status {status}, code {code}")
        self.status, self.code = status, code


class Client:
    """A client whose stream comes in pieces; an empty one is the stream's end, in order."""

    def __init__(self, read: Callable[[], bytes], close: Callable[[], None]) -> None:
        self._read, self.close = read, close
        self._parser = Parser()
        self._fired: deque[Fired] = deque()

    def next(self) -> Fired | None:
        """The next event, or ``None`` for the stream's end."""
        while not self._fired:
            piece = self._read()
            if not piece:
                return None
            self._fired.extend(self._parser.feed(piece))
        return self._fired.popleft()


class WayIn:
    """How clients reach a hub: one for each hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def open(self, wanted: Case) -> Client:
        """Opens a stream, for what a step ``connect`` says. What is published next reaches it.

        :raises RefusedError: The answer is not a stream.
        """
        raise NotImplementedError


class Pulled(WayIn):
    """The program reads the stream itself."""

    def open(self, wanted: Case) -> Client:
        with refused():
            stream = self.hub.subscribe(wanted["topics"], **choices(wanted))
        if stream.is_complete:
            stream.close()
            raise RefusedError(status=204)

        def read() -> bytes:
            try:
                return stream.read(DEADLINE_S)
            except DisconnectedError:
                raise
            except EndedError:
                return b""

        return Client(read, stream.close)


class Adopted(WayIn):
    """The program hands a connection over."""

    def open(self, wanted: Case) -> Client:
        ours, theirs = socket.socketpair()
        with ours, theirs, refused():
            self.hub.adopt(theirs, wanted["topics"], version="HTTP/1.0", **choices(wanted))
            return answered(ours.dup())


class Listened(WayIn):
    """Clients of a listener of the hub's own."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._listener = hub.listen("127.0.0.1:0")

    def open(self, wanted: Case) -> Client:
        query = [("topic", topic) for topic in wanted["topics"]]
        for name in ("start", "gap_start", "envelope"):
            if name in wanted:
                query.append((name.replace("_", "-"), wanted[name]))
        head = f"GET /events?{urlencode(query)} HTTP/1.0\r\nHost: localhost\r\n"
        if "last_event_id" in wanted:
            head += f"Last-Event-ID: {wanted['last_event_id']}\r\n"
        client = socket.create_connection(("127.0.0.1", self._listener.port))
        client.sendall(head.encode() + b"\r\n")
        return answered(client)


WAYS_IN: list[type[WayIn]] = [Listened, Pulled, Adopted]


@contextmanager
def refused() -> Iterator[None]:
    try:
        yield
    except FanfareError as refusal:
        raise RefusedError(code=refusal.code) from refusal


def choices(wanted: Case) -> Case:
    """The parameters of ``subscribe`` and ``adopt`` for a step ``connect``."""
    chosen: Case = {name: wanted[name] for name in ("last_event_id", "envelope") if name in wanted}
    for name in ("start", "gap_start"):
        if name in wanted:
            start = wanted[name]
            is_count = start.startswith("last=")
            chosen[name] = int(start.removeprefix("last=")) if is_count else start
    return chosen


def answered(client: socket.socket) -> Client:
    """The client of a connection whose answer is to come, over HTTP/1.0."""
    client.settimeout(DEADLINE_S)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    status = int(head.split()[1])
    if status != 200:
        client.close()
        raise RefusedError(status=status)
    return Client(lambda: client.recv(PIECE_BYTES), client.close)


class Run:
    """One case, step by step."""

    def __init__(self, case: Case, way_in: type[WayIn]) -> None:
        self._case, self._way_in = case, way_in
        self._ids: dict[str, str] = {}
        self._clients: dict[str, Client] = {}

    def __call__(self) -> None:
        with Hub(shards=1, **self._case.get("options", {})) as hub, ExitStack() as ends:
            way_in = self._way_in(hub)
            for number, step in enumerate(self._case["steps"]):
                verb = next(iter(step))
                try:
                    getattr(self, f"_{verb}")(hub, way_in, self._named(step))
                except Exception as problem:
                    raise AssertionError(f"step {number}, {verb}: {problem!r}") from problem
                if verb == "connect" and step[verb] in self._clients:
                    ends.callback(self._clients[step[verb]].close)

    def _named(self, value: Any) -> Any:  # noqa: ANN401 (JSON)
        """The value with ids instead of their names, and with texts repeated."""
        if isinstance(value, dict):
            made = {key: self._named(each) for key, each in value.items() if key != "times"}
            if "times" in value:
                made["data"] *= value["times"]
            return made
        if isinstance(value, list):
            return [self._named(each) for each in value]
        if isinstance(value, str) and value.startswith("@"):
            return self._ids[value[1:]]
        return value

    def _publish(self, hub: Hub, _: WayIn, step: Case) -> None:
        self._call(step, "publish", hub.publish)

    def _finish(self, hub: Hub, _: WayIn, step: Case) -> None:
        self._call(step, "finish", hub.finish)

    def _call(self, step: Case, verb: str, call: Callable[..., str | None]) -> None:
        fields = {key: each for key, each in step.items() if key not in (verb, "as", "error")}
        wanted = getattr(lib, f"FANFARE_ERR_{step['error']}") if "error" in step else lib.FANFARE_OK
        code, published = lib.FANFARE_OK, None
        try:
            # It waits for space, as the clients may be slow.
            published = call(step[verb], **fields, timeout=DEADLINE_S)
        except FanfareError as refusal:
            code = refusal.code
        assert code == wanted
        if "as" in step:
            assert published
            self._ids[step["as"]] = published

    def _rule(self, hub: Hub, _: WayIn, step: Case) -> None:
        hub.set_rule(**{"subscription" if key == "rule" else key: step[key] for key in step})

    def _connect(self, _: Hub, way_in: WayIn, step: Case) -> None:
        status, code = 200, lib.FANFARE_OK
        try:
            self._clients[step["connect"]] = way_in.open(step)
        except RefusedError as refusal:
            status, code = refusal.status, refusal.code
        if code == lib.FANFARE_OK:
            assert status == step.get("status", 200)
        else:
            assert code == getattr(lib, f"FANFARE_ERR_{step['error']}")

    def _receive(self, _: Hub, __: WayIn, step: Case) -> None:
        for wanted in step["events"]:
            fired = self._clients[step["receive"]].next()
            assert fired is not None, f"the stream has ended, wanted {wanted}"
            assert fired.name == wanted.get("name", "message"), fired
            assert fired.id == wanted.get("id", fired.id), fired
            if "json" in wanted:
                members = json.loads(fired.data)
                assert {key: members[key] for key in wanted["json"]} == wanted["json"], fired
            else:
                assert fired.data == wanted["data"], fired

    def _ends(self, _: Hub, __: WayIn, step: Case) -> None:
        assert self._clients[step["ends"]].next() is None

    def _leave(self, _: Hub, __: WayIn, step: Case) -> None:
        self._clients[step["leave"]].close()
