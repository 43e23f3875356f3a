"""A proxy between a client and the program under test, which ends streams as the program does, and
keeps clients away for a while."""

import contextlib
import socket
import threading
import time
from typing import Self

from server import DEADLINE_S
from wire import dechunk


class Proxy:
    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.changed = threading.Condition()
        self.away = False
        # What each stream was sent, and its sockets while it is open.
        self.sent: list[bytes] = []
        self.open: dict[int, tuple[socket.socket, socket.socket]] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.end()

    def body(self) -> str:
        """What the newest stream was sent."""
        head_and_body = self.sent[-1].split(b"\r\n\r\n", 1) if self.sent else []
        return dechunk(head_and_body[1]).decode() if len(head_and_body) == 2 else ""

    def wait_for(self, text: str, times: int) -> None:
        """Waits until the newest stream was sent a text so often."""
        deadline = time.monotonic() + DEADLINE_S
        with self.changed:
            while self.body().count(text) < times:
                left = deadline - time.monotonic()
                assert self.changed.wait(max(0.0, left)) or left > 0, self.sent

    def end(self) -> None:
        """Ends each stream with its last chunk, and lets new clients wait from now on."""
        with self.changed:
            self.away = True
            for nth, (client, server) in self.open.items():
                assert self.sent[nth].endswith(b"\r\n"), "the end of a chunk"
                with contextlib.suppress(OSError):
                    client.sendall(b"0\r\n\r\n")
                    client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
            self.open.clear()

    def serve_again(self) -> None:
        """Serves the clients that wait, and those that come from now on."""
        with self.changed:
            self.away = False
            self.changed.notify_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(DEADLINE_S)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                piece = client.recv(1 << 16)
                if not piece:
                    return
                request += piece
            with self.changed:
                if not self.changed.wait_for(lambda: not self.away, DEADLINE_S):
                    return
                server = socket.create_connection(("127.0.0.1", self.server_port), DEADLINE_S)
                nth = len(self.sent)
                self.sent.append(b"")
                self.open[nth] = (client, server)
            with server:
                server.sendall(request)
                self._pass_on(client, server, nth)

    def _pass_on(self, client: socket.socket, server: socket.socket, nth: int) -> None:
        while piece := server.recv(1 << 16):
            with self.changed:
                if nth not in self.open:
                    return
                self.sent[nth] += piece
                client.sendall(piece)
                self.changed.notify_all()
