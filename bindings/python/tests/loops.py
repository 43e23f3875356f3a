"""The event loops under which coroutines are tested, to all of which anyio is the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from client import DEADLINE_S

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in a loop, and fails if that does not end."""
    backend, options = LOOPS[request.param]

    def run(function: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 (whatever it returns)
        async def limited() -> Any:  # noqa: ANN401
            with anyio.fail_after(DEADLINE_S):
                return await function()

        return anyio.run(limited, backend=backend, backend_options=options)

    return run
