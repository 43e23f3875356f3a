"""Listeners: where a hub accepts clients."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ._base import Base
from ._convert import (
    POLICIES,
    Envelope,
    Headers,
    Memory,
    Policy,
    Start,
    Text,
    Topics,
    assign,
    begin,
    choose,
    chosen,
    options,
    out_of_bounds,
    problem,
    several,
    struct,
)
from ._native import ffi, lib
from .errors import StaleError, check

if TYPE_CHECKING:
    from .authorizing import Authorizer
    from .fallback import Fallback

_FORWARDED = {
    "x-forwarded-for": lib.FANFARE_FORWARDED_X_FORWARDED_FOR,
    "forwarded": lib.FANFARE_FORWARDED_FORWARDED,
}
_OVERLOADS = {
    "come-again": lib.FANFARE_OVERLOAD_COME_AGAIN,
    "unavailable": lib.FANFARE_OVERLOAD_UNAVAILABLE,
}


@dataclass(frozen=True)
class Route:
    """A path of a listener with streams of its own.

    In ``path``, such as ``/runs/{id}/events``, ``{name}`` is the place of a value, which goes where
    a subscription has the same ``{name}``.
    """

    path: Text
    #: What every stream of this path subscribes to, such as ``run/{id}``. None: what the query
    #: names.
    subscriptions: Topics = ()
    #: Header fields of the streams' answers, which replace the listener's of their names.
    headers: Headers = ()
    #: Whether ``POST`` opens a stream as well.
    post: bool = False
    #: Whether a request's query may name topics beside ``subscriptions``; by default only if there
    #: are none.
    query_topics: bool | None = None


class Listener:
    """Where a hub accepts clients, until it or the hub is closed.

    :meth:`fanfare.Hub.listen` makes it. It is safe to use from any thread, and a context manager,
    which closes it.
    """

    def __init__(self, hub: Listening, native: Any, port: int) -> None:  # noqa: ANN401 (cffi)
        self._hub = hub
        self._native = native
        self._port = port
        self._address = self._read_address()

    def __repr__(self) -> str:
        return f"<fanfare.Listener {self._address}>"

    @property
    def port(self) -> int:
        """The port, which the system has chosen if it was 0; 0 for a Unix domain socket."""
        return self._port

    @property
    def address(self) -> str:
        """Where it listens, such as ``127.0.0.1:4711`` or ``unix:/run/app.sock``."""
        return self._address

    def close(self) -> None:
        """Accepts no more clients, and frees the address. Streams that are open stay open.

        Closing once more does nothing.

        :raises ForkedError: The hub was made before a fork.
        """
        status = lib.fanfare_listener_close(self._hub._native, self._native)
        if status != lib.FANFARE_ERR_STALE:
            check(status)

    def admit(
        self,
        sock: socket.socket | int,
        read: bytes = b"",
        *,
        addr: str = "",
        peer: str = "",
        is_proxy: bool = False,
    ) -> None:
        """Serves a connection that the program has accepted, as if the listener had accepted it.

        The listener reads the request, asks its authorizer, and answers. Never blocks.

        :param sock: A connected socket of TCP or a Unix domain, or its descriptor. It is the hub's
            when this returns, and a ``socket`` is detached then; after an error it is yours.
        :param read: What was read of the request so far, at most 4 MiB.
        :param addr: The client's address; by default the socket's peer.
        :param peer: Where the connection is from, if that is another address: a proxy of the option
            ``trusted_proxies``.
        :param is_proxy: Whether it is from a proxy that speaks for clients which it does not name.
        :raises StaleError: The listener is closed.
        :raises SocketError: It is no such socket.
        :raises TooLargeError: More was read.
        :raises BusyError: Try again a little later.
        :raises ClosedError: The hub is closed.
        """
        memory, request = Memory(), struct("fanfare_admit_request")
        request.read = memory.text(read)
        if addr:
            request.addr = memory.text(addr)
        if peer:
            request.peer = memory.text(peer)
        request.is_proxy = is_proxy
        check(lib.fanfare_listener_admit(self._hub._native, self._native, fileno(sock), request))
        given(sock)

    def has_streams_at(self, path: str) -> bool:
        """Whether it has streams at a path, percent-encoded and without a query.

        :raises StaleError: The listener is closed.
        """
        return self._asks(lib.fanfare_listener_has_streams_at, path)

    def is_named(self, host: str) -> bool:
        """Whether a request with this ``Host`` is for it, as its option ``hosts`` says.

        :raises StaleError: The listener is closed.
        """
        return self._asks(lib.fanfare_listener_is_named, host)

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _asks(self, function: Any, text: str) -> bool:  # noqa: ANN401 (cffi has no types)
        memory, out = Memory(), ffi.new("uint32_t *")
        check(function(self._hub._native, self._native, memory.text(text), out))
        return bool(out[0])

    def _read_address(self) -> str:
        size, length = 512, ffi.new("size_t *")
        buffer = ffi.new("char[]", size)
        try:
            check(
                lib.fanfare_listener_address(self._hub._native, self._native, buffer, size, length)
            )
        except StaleError:  # the hub was closed meanwhile
            return "closed"
        return str(ffi.unpack(buffer, length[0]), "utf-8")


class Listening(Base):
    """How a hub accepts clients."""

    _authorizer: Authorizer | None
    _is_open_to_all: bool

    def listen(
        self,
        addr: str | socket.socket | int = "127.0.0.1:0",
        *,
        path: Text | None = None,
        health_path: Text | None = None,
        routes: Iterable[Route] = (),
        headers: Headers = (),
        cors_origins: Topics = (),
        cors_request_headers: Topics | None = None,
        cors_exposed_headers: Topics = (),
        hosts: Topics = (),
        proxy_protocol_from: Topics = (),
        trusted_proxies: Topics = (),
        authorizer: Authorizer | None = None,
        fallback: Fallback | None = None,
        cors_credentials: bool = False,
        forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for",
        socket_mode: int | None = None,
        overload: Literal["come-again", "unavailable"] = "come-again",
        start: Start | None = None,
        gap_start: Start | None = None,
        policies: Iterable[Policy] | None = None,
        envelope: Envelope | None = None,
        cors_max_age_ms: int | None = None,
        head_bytes_max: int | None = None,
        head_fields_max: int | None = None,
        body_bytes_max: int | None = None,
        head_time_max_ms: int | None = None,
        subscriptions_per_connection_max: int | None = None,
        wide_filters_max: int | None = None,
        notsent_lowat_bytes: int | None = None,
        send_buffer_bytes: int | None = None,
        keepalive_ms: int | None = None,
        user_timeout_ms: int | None = None,
    ) -> Listener:
        """Accepts clients at an address until the listener or the hub is closed.

        Their streams have the path ``/events?topic=NAME``, unless the options say otherwise. A hub
        may have several listeners. ``None`` stands for an option's default. It is safe to call from
        any thread.

        :param addr: An IP address and a port such as ``127.0.0.1:8080`` or ``[::]:8080``, where the
            system chooses port 0; ``unix:/run/app.sock``, a Unix domain socket; on Linux
            ``unix:@name``, an abstract name; or a socket that listens already, or its descriptor,
            which are the hub's when this returns: a ``socket`` is detached then.
        :param path: The path of the streams whose topics the query names; ``""`` for none, where
            there are routes. Default: ``/events``.
        :param health_path: A path whose ``GET`` is answered 200 while all shards live and else 503.
            Default: none.
        :param routes: More paths that have streams, at most 256.
        :param headers: Header fields of all streams' answers, at most 32 and 4 KiB in an answer.
        :param cors_origins: The other origins whose pages may read the streams:
            ``https://example.com``, ``*`` or ``null``. Default: none.
        :param cors_request_headers: The header fields that a page's ``fetch`` may set. Default:
            ``Last-Event-ID``, ``Authorization``, ``Cache-Control`` and ``Content-Type``.
        :param cors_exposed_headers: The header fields of an answer that a page may read. Default:
            none.
        :param hosts: The names by which the listener may be addressed, besides IP addresses and
            ``localhost``; ``*`` for any. On a loopback address it is always checked. Default: none,
            or ``*`` if the hub's option ``any_host`` is true.
        :param proxy_protocol_from: The proxies whose connections begin with a header of the PROXY
            protocol: addresses, networks such as ``10.0.0.0/8``, and ``unix``; at most 256.
        :param trusted_proxies: The proxies that are believed about their clients in the field that
            ``forwarded_header`` names, at most 256.
        :param authorizer: What decides which client gets which stream. By default that of
            :meth:`authorize`; without one every client gets what it asks for.
        :param fallback: Takes the connections whose requests are for paths without streams.
            Without one they are answered 404.
        :param cors_credentials: Pages of the origins may send cookies along; not with ``*`` or
            ``null``.
        :param forwarded_header: The field in which ``trusted_proxies`` say who their client is.
        :param socket_mode: The permission bits of the file of a Unix domain socket.
            Bounds: at most 0o777. Default: 0o600.
        :param overload: What clients are told that are too many: to come again with status 200,
            which an ``EventSource`` does, or 503.
        :param start: Where the stream of a client begins that says no id and no beginning. Default:
            now.
        :param gap_start: Where the stream of a client begins whose id is gone. Default: by the
            gap's reason.
        :param policies: Which policies a client may choose. Default: those that cost others no more
            than the hub's.
        :param envelope: What is around an event's data for a client that does not say it. Default:
            none.
        :param cors_max_age_ms: How long a browser may remember what it was told of CORS.
            Bounds: at most 1 day. Default: 10 min.
        :param head_bytes_max: The most bytes of a request's head.
            Bounds: 64 bytes to 1 MiB. Default: 16 KiB.
        :param head_fields_max: The most header fields of a request.
            Bounds: 8 to 4,096. Default: 128.
        :param body_bytes_max: The most bytes of the content of a ``POST``.
            Bounds: at most 1 MiB. Default: 64 KiB.
        :param head_time_max_ms: The longest time that a client may take for its request's head.
            Bounds: 1 ms to 1 hour. Default: 10 s.
        :param subscriptions_per_connection_max: The most topics and filters that one connection may
            want.
            Bounds: 1 to 65,536. Default: 64.
        :param wide_filters_max: The most filters of one connection that begin with a wildcard.
            Bounds: at most 65,536. Default: 4.
        :param notsent_lowat_bytes: How many bytes may wait in the kernel for a connection; 0 leaves
            it to the system.
            Bounds: at most 1 GiB. Default: 16 KiB.
        :param send_buffer_bytes: The kernel's send buffer of a connection; by default the system's.
            Bounds: 1 KiB to 1 GiB. Default: none.
        :param keepalive_ms: For how long nothing may have come from a client before it is probed; 0
            never probes.
            Bounds: 0, or 1 s to 9 hours. Default: 15 s.
        :param user_timeout_ms: For how long what was sent may stay without acknowledgement; 0
            leaves it to the system.
            Bounds: 0, or 1 s to 1 day, and at least twice keepalive_ms. Default: 30 s.
        :raises AddressError: The address is not one, is in use, or may not be bound; or the
            descriptor is no socket that listens.
        :raises OptionsError: An option is out of its bounds.
        :raises ClosedError: The hub is closed.
        :raises ForkedError: The hub was made before a fork.
        :raises OutOfResourcesError: The system is out of descriptors or memory.
        """
        if authorizer is None:
            authorizer = self._authorizer
        memory, made = Memory(), listen_options()
        if path is not None:
            made.path = memory.text(path)
        if health_path is not None:
            made.health_path = memory.text(health_path)
        _set_routes(made, memory, list(routes))
        made.headers, made.headers_count = memory.headers(headers)
        for option, texts in (
            ("cors_origins", cors_origins),
            ("cors_request_headers", cors_request_headers),
            ("cors_exposed_headers", cors_exposed_headers),
            ("hosts", hosts),
            ("proxy_protocol_from", proxy_protocol_from),
            ("trusted_proxies", trusted_proxies),
        ):
            _set_texts(made, memory, option, texts, even_if_empty=option == "cors_request_headers")
        if authorizer is not None:
            made.authorizer = authorizer._begin()
        if fallback is not None:
            made.fallback = memory.keep(fallback._begin())
        made.cors_credentials = bool(cors_credentials)
        made.forwarded_header = chosen("forwarded_header", forwarded_header, _FORWARDED)
        made.overload = chosen("overload", overload, _OVERLOADS)
        begin(made, "start", start)
        begin(made, "gap_start", gap_start)
        if policies is not None:
            made.policies = _bits(policies)
        choose(made, "envelope", envelope)
        for option, number in (
            ("socket_mode", socket_mode),
            ("cors_max_age_ms", cors_max_age_ms),
            ("head_bytes_max", head_bytes_max),
            ("head_fields_max", head_fields_max),
            ("body_bytes_max", body_bytes_max),
            ("head_time_max_ms", head_time_max_ms),
            ("subscriptions_per_connection_max", subscriptions_per_connection_max),
            ("wide_filters_max", wide_filters_max),
            ("notsent_lowat_bytes", notsent_lowat_bytes),
            ("send_buffer_bytes", send_buffer_bytes),
            ("keepalive_ms", keepalive_ms),
            ("user_timeout_ms", user_timeout_ms),
        ):
            assign(made, option, number)
        listener = self._listen(addr, memory, made)
        if authorizer is None:
            self._is_open_to_all = True
        return listener

    def _listen(
        self,
        addr: str | socket.socket | int,
        memory: Memory,
        made: Any,  # noqa: ANN401 (cffi has no types)
    ) -> Listener:
        native, port = ffi.new("fanfare_listener *"), ffi.new("uint16_t *")
        if isinstance(addr, str):
            status = lib.fanfare_hub_listen(self._native, memory.text(addr), made, native, port)
        elif isinstance(addr, socket.socket | int):
            status = lib.fanfare_hub_listen_on(self._native, fileno(addr), made, native, port)
        else:
            raise TypeError(f"expected str, a socket or int, not {type(addr).__name__}")
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_listen_options_problem)
        check(status)
        given(addr)
        return Listener(self, native[0], port[0])


def listen_options() -> Any:  # noqa: ANN401 (cffi has no types)
    """Options of a listener that are all at their defaults."""
    return options("fanfare_listen_options")


def given(sock: object) -> None:
    """Detaches a socket whose descriptor is the hub's now, so that nobody else closes it."""
    if isinstance(sock, socket.socket):
        sock.detach()


def fileno(sock: socket.socket | int) -> int:
    fd = sock.fileno() if isinstance(sock, socket.socket) else sock
    # What the ABI has no number for is no descriptor either.
    return fd if 0 <= fd < 2**31 else -1


def _set_texts(
    made: Any,  # noqa: ANN401 (cffi has no types)
    memory: Memory,
    option: str,
    texts: Topics | None,
    *,
    even_if_empty: bool,
) -> None:
    listed = None if texts is None else several(texts)
    if listed is not None and (even_if_empty or listed):
        array, count = memory.texts(listed)
        setattr(made, option, array)
        setattr(made, f"{option}_count", count)


def _set_routes(made: Any, memory: Memory, routes: list[Route]) -> None:  # noqa: ANN401 (cffi)
    if not routes:
        return
    made.routes = array = memory.keep(ffi.new("fanfare_route[]", len(routes)))
    made.routes_count = len(routes)
    size = struct("fanfare_route").size
    for target, route in zip(array, routes, strict=True):
        target.size = size
        target.path = memory.text(route.path)
        target.subscriptions, target.subscriptions_count = memory.texts(route.subscriptions)
        target.headers, target.headers_count = memory.headers(route.headers)
        target.post = route.post
        if route.query_topics is not None:
            target.query_topics = (
                lib.FANFARE_QUERY_TOPICS_ANY
                if route.query_topics
                else lib.FANFARE_QUERY_TOPICS_NONE
            )


def _bits(policies: Iterable[Policy]) -> int:
    if isinstance(policies, str):
        raise out_of_bounds("policies", "a list of disconnect, drop-oldest and conflate")
    bits: int = lib.FANFARE_POLICIES_THESE
    for policy in policies:
        bits |= 1 << chosen("policies", policy, POLICIES)
    return bits
