"""Publishes the time once a second: python examples/ticker.py [ADDRESS]."""

import contextlib
import sys
import time

from fanfare import FullError, Hub


def main(addr: str = "127.0.0.1:8080") -> None:
    with Hub() as hub:
        port = hub.listen(addr).port
        print(f"curl -N 'http://127.0.0.1:{port}/events?topic=time'", flush=True)
        while True:
            try:
                hub.publish("time", time.strftime("%H:%M:%S"), name="tick")
            except FullError:
                print("the clients are too slow, a tick is left out", file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
