"""A clock that ticks only while someone watches it: python examples/clock.py [ADDRESS].

All of it runs in one event loop.
"""

import asyncio
import contextlib
import sys
from datetime import datetime, timezone

from fanfare import Hub, Notices, Unwanted, Wanted

WATCHED: set[str] = set()


async def watch(notices: Notices) -> None:
    async for notice in notices:
        if isinstance(notice, Wanted):
            WATCHED.add(notice.subscription)
        elif isinstance(notice, Unwanted):
            WATCHED.discard(notice.subscription)


async def main(addr: str = "127.0.0.1:8080") -> None:
    async with Hub() as hub:
        port = hub.listen(addr).port
        print(f"curl -N 'http://127.0.0.1:{port}/events?topic=time/utc'", flush=True)
        watching = asyncio.create_task(watch(hub.notices(connections=False, interest="time/utc")))
        try:
            while True:
                if WATCHED:
                    now = datetime.now(timezone.utc)
                    await hub.publish_async("time/utc", json={"at": now.isoformat()}, name="tick")
                await asyncio.sleep(1)
        finally:
            watching.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
