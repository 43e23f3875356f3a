"""All servers that are needed are started at once, with the first test that needs one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running import COMMANDS, GIVE_SOCKETS, Server

BOTH = [(kind, "auto") for kind in GIVE_SOCKETS] + [
    (kind, "never") for kind in COMMANDS if kind != "gunicorn"
]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Server]]:
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {call.params.get("server") for call in calls if call is not None}
    made = {both: Server(*both) for both in BOTH if both in wanted}
    yield made
    for server in made.values():
        server.kill()


@pytest.fixture(scope="module", params=BOTH, ids=lambda both: "-".join(both))
def server(request: pytest.FixtureRequest, servers: dict[tuple[str, str], Server]) -> Server:
    server: Server = servers[request.param]
    server.wait_until_it_answers()
    return server
