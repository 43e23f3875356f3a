"""Tokens and tickets: authorization that asks the program nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._convert import (
    Memory,
    Moment,
    Text,
    Topics,
    assign,
    options,
    problem,
    several,
    struct,
    unix_ms,
)
from ._native import ffi, lib
from .authorizing import Authorizer
from .errors import check, error
from .grants import Grant, grant_of


@dataclass(frozen=True)
class Jwks:
    """A JWK set (RFC 7517), ``{"keys":[...]}``, of at most 256 KiB."""

    content: Text


#: The content of a key file: a public key in PEM, of P-256, Ed25519 or RSA with 2,048 bits or more;
#: or else a secret of at least 32 bytes, for HS256. Or a set of keys.
Key = Text | Jwks


class Granted:
    """What a token or a ticket grants, for a program that opens streams itself.

    That of a ticket says, until it is closed, that the ticket's stream is connected. It is a
    context manager, which closes it, and safe to use from any thread.
    """

    def __init__(self, native: Any) -> None:  # noqa: ANN401 (cffi has no types)
        self._native: Any = ffi.gc(native, lib.fanfare_granted_free)
        made = struct("fanfare_grant")
        check(lib.fanfare_granted_grant(self._native, made))
        #: What is granted: the topics, tag, policy and end.
        self.grant: Grant = grant_of(made)

    @property
    def is_current(self) -> bool:
        """Whether a ticket's stream is still that of this connection.

        It is not when the client has come back with the same ticket: end this connection then.
        """
        native, out = self._native, ffi.new("uint32_t *")
        if native is None:
            return False
        check(lib.fanfare_granted_is_current(native, out))
        return bool(out[0])

    def close(self) -> None:
        """Says that the stream's connection has ended: the ticket may be used again."""
        self._native = None

    def __enter__(self) -> Granted:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Tokens:
    """Checks JSON Web Tokens. It is safe to use from any thread.

    :param keys: What tokens are checked with: 1 to 64.
    :param audiences: Of a token's ``aud`` one has to be among these, at most 64. By default a token
        must not have one.
    :param issuers: A token's ``iss`` has to be among these, at most 64. By default it is not looked
        at.
    :param claim: The name of the claim that says what is granted, 1 to 256 bytes. Default:
        ``fanfare``.
    :param leeway_ms: How much earlier than its ``nbf`` a token may be used.
        Bounds: at most 5 min. Default: 5 s.
    :raises KeyFormatError: A key cannot be read, or is too weak; the message says why.
    :raises OptionsError: An option is out of its bounds.
    :raises TooManyError: There are more than 64 keys.
    """

    def __init__(
        self,
        keys: Key | Iterable[Key],
        *,
        audiences: Topics = (),
        issuers: Topics = (),
        claim: Text | None = None,
        leeway_ms: int | None = None,
    ) -> None:
        memory, made = Memory(), options("fanfare_token_options")
        for option, texts in (("audiences", several(audiences)), ("issuers", several(issuers))):
            if texts:
                array, count = memory.texts(texts)
                setattr(made, option, array)
                setattr(made, f"{option}_count", count)
        if claim is not None:
            made.claim = memory.text(claim)
        assign(made, "leeway_ms", leeway_ms)
        array, count = _keys(memory, keys)
        out = ffi.new("fanfare_tokens **")
        status = lib.fanfare_tokens_new(array, count, made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_token_options_problem)
        _check_keys(status, array, count)
        self._native = ffi.gc(out[0], lib.fanfare_tokens_free)

    def set_keys(self, keys: Key | Iterable[Key]) -> None:
        """Replaces the keys. Streams that are open stay open.

        :raises KeyFormatError: As of the constructor; the keys are those of before.
        """
        memory = Memory()
        array, count = _keys(memory, keys)
        _check_keys(lib.fanfare_tokens_set_keys(self._native, array, count), array, count)

    def verify(self, token: Text) -> Granted:
        """What a token of at most 8 KiB grants.

        :raises TokenError: It is not valid, or no longer.
        """
        memory, out = Memory(), ffi.new("fanfare_granted **")
        check(lib.fanfare_tokens_verify(self._native, memory.text(token), out))
        return Granted(out[0])


class Tickets:
    """The tickets that were issued and are not over. It is safe to use from any thread.

    :param tickets_max: The most tickets that there are at once. One that was used is kept for its
        stream's reconnects, until its grant expires.
        Bounds: 1 to 10,000,000. Default: 65,536.
    :param first_use_time_max_ms: How long a ticket may be unused before it is forgotten.
        Bounds: 1 s to 1 hour. Default: 60 s.
    :raises OptionsError: An option is out of its bounds.
    """

    def __init__(
        self, *, tickets_max: int | None = None, first_use_time_max_ms: int | None = None
    ) -> None:
        made, out = ticket_options(), ffi.new("fanfare_tickets **")
        assign(made, "tickets_max", tickets_max)
        assign(made, "first_use_time_max_ms", first_use_time_max_ms)
        status = lib.fanfare_tickets_new(made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_ticket_options_problem)
        check(status)
        self._native = ffi.gc(out[0], lib.fanfare_tickets_free)

    def issue(self, grant: Grant) -> str:
        """A ticket for a grant that expires, for the query of a stream's URL: ``ticket=...``.

        A client that has it may use it, so it belongs into no log.

        :raises GrantError: The grant is out of its bounds, does not expire or has expired.
        :raises LimitError: There are too many tickets.
        """
        memory, out = Memory(), ffi.new("fanfare_ticket *")
        made = grant._native(memory)
        status = lib.fanfare_tickets_issue(self._native, made, out)
        if status == lib.FANFARE_ERR_GRANT:
            raise problem(made, lib.fanfare_grant_problem, status)
        check(status)
        return str(ffi.unpack(out.text, out.length), "ascii")

    def look_up(self, ticket: Text, *, goes_on: bool = False) -> Granted:
        """What a ticket grants that a client shows; uses nothing up.

        For a program that opens streams itself, and first looks whether the client's request is
        within the grant. The parameter and the errors are as of :meth:`redeem`, which gives the
        stream to the client then, and may still refuse it.
        """
        memory, out = Memory(), ffi.new("fanfare_granted **")
        check(lib.fanfare_tickets_look_up(self._native, memory.text(ticket), bool(goes_on), out))
        return Granted(out[0])

    def redeem(self, ticket: Text, *, goes_on: bool = False) -> Granted:
        """Takes a ticket that a client shows to the program.

        :param goes_on: Whether the client's request has the id of an event, so that its stream goes
            on: an older connection of the stream is then no longer current.
        :raises TokenError: It is not valid, or no longer.
        :raises BusyError: Its stream is connected, and the request does not go on.
        """
        memory, out = Memory(), ffi.new("fanfare_granted **")
        check(lib.fanfare_tickets_redeem(self._native, memory.text(ticket), bool(goes_on), out))
        return Granted(out[0])


class TicketAuthorizer(Authorizer):
    """Gives a client the stream that its token or its ticket is for.

    A client shows a token in ``Authorization: Bearer TOKEN``, or in a cookie; or a ticket in its
    query, ``ticket=...``, which it gets with ``POST`` to ``exchange_path`` and its token, or from
    the program. One that shows nothing that is valid is answered 401, one whose ticket's stream is
    connected 409, and one for topics that are not granted 403.

    :param cookie: The name of a cookie that has a token. Default: none.
    :param cookie_origins: The other origins whose pages may use the cookie, at most 64.
    :param exchange_path: The path at which a client gets a ticket for its token; ``""`` for none.
        Default: ``/tickets``.
    :raises OptionsError: An option is out of its bounds.
    """

    def __init__(
        self,
        tokens: Tokens,
        tickets: Tickets,
        *,
        cookie: Text | None = None,
        cookie_origins: Topics = (),
        exchange_path: Text | None = None,
    ) -> None:
        memory, made = Memory(), struct("fanfare_access_options")
        if cookie is not None:
            made.cookie = memory.text(cookie)
        made.cookie_origins, made.cookie_origins_count = memory.texts(cookie_origins)
        if exchange_path is not None:
            made.exchange_path = memory.text(exchange_path)
        out = ffi.new("fanfare_authorizer **")
        status = lib.fanfare_authorizer_new_tickets(tokens._native, tickets._native, made, out)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_access_options_problem)
        check(status)
        self._native = ffi.gc(out[0], lib.fanfare_authorizer_free)


class SigningKey:
    """A key that signs tokens. It is safe to use from any thread.

    :param content: The content of its file: a private key in PEM without a passphrase, of P-256,
        Ed25519 or RSA with 2,048 bits or more; or else a secret of at least 32 bytes, for HS256.
    :raises KeyFormatError: It cannot be read, or is too weak.
    """

    def __init__(self, content: Text) -> None:
        memory, out = Memory(), ffi.new("fanfare_signing_key **")
        check(lib.fanfare_signing_key_new(memory.text(content), out))
        self._native = ffi.gc(out[0], lib.fanfare_signing_key_free)

    def sign(
        self,
        grant: Grant,
        *,
        audience: Text | None = None,
        issuer: Text | None = None,
        subject: Text | None = None,
        kid: Text | None = None,
        claim: Text | None = None,
        not_before: Moment | None = None,
    ) -> str:
        """A token for a grant, which has 1 to 256 topics and expires.

        Of the grant a token has its topics, tag, policy and the whole seconds of its end; one with
        anything else is refused. Each text is at most 1 KiB.

        :param audience: Whom it is for (``aud``).
        :param issuer: Who has made it (``iss``).
        :param subject: Whom it is about (``sub``).
        :param kid: The id of the key.
        :param claim: The name of the claim that says what is granted. Default: ``fanfare``.
        :param not_before: Since when it is valid (``nbf``). Default: always.
        :raises GrantError: The grant is out of its bounds, or does not expire.
        :raises TooLargeError: The token would have more than 8 KiB.
        :raises OptionsError: A claim is too long, or is not UTF-8.
        :raises KeyFormatError: The key cannot sign.
        """
        memory, claims = Memory(), struct("fanfare_token_claims")
        for name, text in (
            ("audience", audience),
            ("issuer", issuer),
            ("subject", subject),
            ("kid", kid),
            ("claim", claim),
        ):
            if text is not None:
                setattr(claims, name, memory.text(text))
        claims.not_before_unix_ms = unix_ms(not_before)
        made, length = grant._native(memory), ffi.new("size_t *")
        buffer = ffi.new("char[]", 8192)
        status = lib.fanfare_signing_key_sign(self._native, made, claims, buffer, 8192, length)
        if status == lib.FANFARE_ERR_GRANT:
            raise problem(made, lib.fanfare_grant_problem, status)
        check(status)
        return str(ffi.unpack(buffer, length[0]), "ascii")


def ticket_options() -> Any:  # noqa: ANN401 (cffi has no types)
    """Options of tickets that are all at their defaults."""
    return options("fanfare_ticket_options")


def _keys(memory: Memory, keys: Key | Iterable[Key]) -> tuple[Any, int]:
    listed = [keys] if isinstance(keys, str | bytes | Jwks) else list(keys)
    made = [
        (memory.text(key.content), lib.FANFARE_KEY_JWKS, 0)
        if isinstance(key, Jwks)
        else (memory.text(key), lib.FANFARE_KEY_FILE, 0)
        for key in listed
    ]
    return memory.array("fanfare_key", made), len(made)


def _check_keys(status: int, array: Any, count: int) -> None:  # noqa: ANN401 (cffi has no types)
    if status != lib.FANFARE_ERR_KEY:
        return check(status)
    buffer, length = ffi.new("char[]", 1024), ffi.new("size_t *")
    told = lib.fanfare_keys_problem(array, count, buffer, 1024, length)
    why = str(ffi.unpack(buffer, length[0]), "utf-8") if told == lib.FANFARE_OK else ""
    raise error(status, why)
