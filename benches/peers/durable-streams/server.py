"""The Durable Streams server in memory mode, appended to with POST and read with `live=sse`.

Both as its README shows. It is a stream of bytes: what was appended since a reader's last event
comes as one event of several `data` lines, so each record ends with a line feed, and each line
is counted as one event. Publishing without pause is one append after the other on a kept
connection, each sent when the one before was acknowledged. The server ends every reading
connection after 60 seconds, so a run has to be shorter. Only the server counts as the server;
this process does not.
"""

import tempfile

from protocol import Poster, Server, Settings, free_port, obey, publish_all

PROGRAM = "build/peers/durable-streams/bin/durable-streams-server"
HEADERS = {"Content-Type": "text/plain"}


def main():
    settings = Settings.from_environment()
    port = settings.port or free_port(settings.host)
    with tempfile.TemporaryDirectory(prefix="fanfare-durable-streams-") as folder:
        where = ["--host", settings.host, "--port", str(port), "--data-dir", folder]
        with Server([PROGRAM, *where, "--durability", "memory"]) as server:
            server.wait_until_listening(settings.host, port)
            for stream in ["/all", "/solo"]:
                Poster(settings.host, port, stream, HEADERS).request("PUT", b"")

            def appender(stream):
                poster = Poster(settings.host, port, stream, HEADERS)
                return lambda data: poster.post(data + "\n")

            def publish():
                return publish_all(settings, appender("/all"), appender("/solo"))

            paths = [f"{stream}?offset=now&live=sse" for stream in ["/all", "/solo"]]
            obey(server, f"{settings.host}:{port}", paths, publish)


main()
