"""Several workers and one engine: the workers publish to the process that owns it.

python examples/prefork.py /run/app/fanfare.sock 127.0.0.1:8080 owns it, and clients have their
streams from there: curl -N 'http://127.0.0.1:8080/events?topic=news'. The workers are

FANFARE=unix:/run/app/fanfare.sock gunicorn --chdir examples --preload -w 3 prefork:app

`fanfare serve --control-listen unix:/run/app/fanfare.sock` may own the engine as well.
"""

import os
import signal
import sys

from flask import Flask, request
from flask.typing import ResponseReturnValue

from fanfare import ClosedError, FullError, Hub, Publisher, PublishServer, UnreachableError

app = Flask(__name__)
publisher = Publisher(os.environ.get("FANFARE", "unix:/run/app/fanfare.sock"))


@app.post("/publish/<topic>")
def publish(topic: str) -> ResponseReturnValue:
    try:
        return {"id": publisher.publish(topic, request.get_data()), "worker": os.getpid()}
    except (FullError, ClosedError, UnreachableError) as why:
        return {"error": str(why)}, 503


def own(path: str, addr: str) -> None:
    """Owns the engine until it is told to end."""
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    with Hub() as hub, PublishServer(hub, f"unix:{path}"):
        print(f"listening on {hub.listen(addr).address}", flush=True)
        signal.sigwait(ending)
        hub.drain(window_ms=500)


if __name__ == "__main__":
    own(*sys.argv[1:])
