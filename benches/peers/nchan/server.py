"""nchan in Debian's nginx, published to with POST requests as its README shows.

Publishing without pause is one POST after the other on a kept connection, each sent when the one
before was answered. Only nginx counts as the server; this process does not.
"""

import pathlib
import re
import tempfile

from protocol import Poster, Server, Settings, free_port, obey, publish_all

NGINX = "/usr/sbin/nginx"
# What a message takes in nchan's memory beside its data, in bytes, generously.
MESSAGE_BYTES = 1024
MEMORY_MIB_MIN = 128
# nginx closes connections that have not sent their request yet when less than a sixteenth of
# its connections are free, so it is given an eighth more than there are clients.
CONNECTIONS_MAX = 20_000


def main():
    settings = Settings.from_environment()
    port = settings.port or free_port(settings.host)
    # Two channels.
    memory = 2 * settings.events * (settings.bytes + MESSAGE_BYTES)
    with tempfile.TemporaryDirectory(prefix="fanfare-nchan-") as folder:
        # The worker is another user when nginx is started by root.
        pathlib.Path(folder).chmod(0o755)
        config = pathlib.Path(folder, "nginx.conf")
        values = {
            "FOLDER": folder,
            "HOST": settings.host,
            "PORT": port,
            "CONNECTIONS": min(settings.clients * 9 // 8 + 512, CONNECTIONS_MAX),
            "EVENTS": max(settings.events, 10),
            "MEMORY_MIB": max(MEMORY_MIB_MIN, memory // 2**20),
        }
        template = pathlib.Path(__file__).with_name("nginx.conf").read_text()
        config.write_text(re.sub(r"\{\{([A-Z_]+)\}\}", lambda m: str(values[m[1]]), template))
        command = [NGINX, "-e", "stderr", "-p", folder, "-c", str(config)]
        with Server(command) as server:
            server.wait_until_listening(settings.host, port)

            def poster(channel):
                headers = {"Content-Type": "text/plain"}
                return Poster(settings.host, port, f"/pub?id={channel}", headers).post

            def publish():
                return publish_all(settings, poster("all"), poster("solo"))

            obey(server, f"{settings.host}:{port}", ["/sub?id=all", "/sub?id=solo"], publish)


main()
