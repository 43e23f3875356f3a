from collections.abc import Callable, Iterator

import pytest

from server import Server


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the module's tests."""
    servers: list[Server] = []

    def start_one(*args: str, **kwargs: object) -> Server:
        servers.append(Server(*args, **kwargs))
        return servers[-1]

    yield start_one
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def server(start: Callable[..., Server]) -> Server:
    return start()
