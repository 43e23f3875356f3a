"""The benchmark's side of the peers that are written in Python, or driven from it.

What a subject is told and what it answers is described in benches/src/subject/mod.rs.
"""

import concurrent.futures
import dataclasses
import http.client
import os
import queue
import socket
import subprocess
import sys
import threading
import time

START_SECONDS = 15
# Within the time that the benchmark gives a subject before it kills it.
END_SECONDS = 1
REQUEST_SECONDS = 60

# Set when standard input has ended, and with it the run.
IS_ENDED = threading.Event()


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is to be, from the environment."""

    host: str
    port: int
    clients: int
    events: int
    bytes: int
    rate: float
    solo_interval_ms: int

    @classmethod
    def from_environment(cls):
        def value(name):
            return os.environ[f"FANFARE_BENCH_{name}"]

        host, port = value("LISTEN").rsplit(":", 1)
        return cls(
            host=host,
            port=int(port),
            clients=int(value("CLIENTS")),
            events=int(value("EVENTS")),
            bytes=int(value("BYTES")),
            rate=float(value("RATE")),
            solo_interval_ms=int(value("SOLO_INTERVAL_MS")),
        )

    def due_ns(self, begun_ns, number):
        """When an event is to be published: at once if there is no rate."""
        return begun_ns + int(number * 1e9 / self.rate) if self.rate else begun_ns

    def data(self, number, stamp_ns):
        """An event's data."""
        return f"{number} {stamp_ns} ".ljust(self.bytes, "x")


@dataclasses.dataclass
class Done:
    """What was published, and how long it took."""

    published: int
    elapsed_ns: int
    cpu_ns: int
    # By how much each solo event was late; None if none were asked for.
    solo_late_ns: list | None = None

    def line(self):
        line = f"done {self.published} {self.elapsed_ns} {self.cpu_ns}"
        if self.solo_late_ns is not None:
            late = sorted(self.solo_late_ns) or [0]
            p99 = late[min(len(late) - 1, len(late) * 99 // 100)]
            line += f" solo={len(self.solo_late_ns)} solo_late_p99_ns={p99}"
        return line


def say(line):
    print(line, flush=True)


def publish_all(settings, publish, publish_solo):
    """Publishes a run's events from this thread, and the solo events from a second one.

    Both functions take the data of one event and return when the server has accepted it.
    """
    is_over = threading.Event()
    solo = None
    begun_ns = time.monotonic_ns()
    cpu_ns = time.process_time_ns()
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        if settings.solo_interval_ms:
            solo = beside.submit(_publish_solos, settings, publish_solo, is_over)
        try:
            for number in range(settings.events):
                wait_ns = settings.due_ns(begun_ns, number) - time.monotonic_ns()
                if wait_ns > 0 and IS_ENDED.wait(wait_ns / 1e9):
                    raise RuntimeError("the benchmark ended during the run")
                publish(settings.data(number, time.monotonic_ns()))
            elapsed_ns = time.monotonic_ns() - begun_ns
            cpu_ns = time.process_time_ns() - cpu_ns
        finally:
            is_over.set()
    return Done(settings.events, elapsed_ns, cpu_ns, solo and solo.result())


def _publish_solos(settings, publish, is_over):
    """Publishes until it is over; by how much each was late, in nanoseconds."""
    interval_ns = settings.solo_interval_ms * 1_000_000
    late_ns = []
    due_ns = time.monotonic_ns() + interval_ns
    # Waits until the next one is due, unless the run is over before.
    while not is_over.wait(max(0, due_ns - time.monotonic_ns()) / 1e9):
        if time.monotonic_ns() < due_ns:
            continue
        late_ns.append(time.monotonic_ns() - due_ns)
        publish(settings.data(len(late_ns) - 1, due_ns))
        due_ns += interval_ns
    return late_ns


class Server:
    """A server that is a process of its own, and dies with this one."""

    def __init__(self, command):
        # SIGTERM: on SIGKILL a master process would leave its workers behind.
        dying_with_this = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        # Standard output belongs to the protocol.
        self._process = subprocess.Popen(
            dying_with_this, stdin=subprocess.DEVNULL, stdout=sys.stderr
        )
        self.pid = self._process.pid

    def wait_until_listening(self, host, port):
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self._process.returncode}")
            try:
                socket.create_connection((host, port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends it; once is enough."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Poster:
    """Sends requests on one kept connection."""

    def __init__(self, host, port, path, headers):
        self._connection = http.client.HTTPConnection(host, port, timeout=REQUEST_SECONDS)
        self._path = path
        self._headers = headers

    def request(self, method, body):
        self._connection.request(method, self._path, body, self._headers)
        response = self._connection.getresponse()
        text = response.read()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {self._path}: status {response.status}: {text!r}")

    def post(self, body):
        self.request("POST", body)


def free_port(host):
    """A port for a server that cannot be told to take any."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def obey(server, address, paths, publish):
    """Speaks the protocol for a server process until standard input ends.

    `publish` publishes all events of a run from the calling thread.
    """
    commands = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(commands, server), daemon=True).start()
    say(f"pids {server.pid}")
    say(f"listening {address} {' '.join(paths)}")
    while (line := commands.get()) is not None:
        if line.strip() != "go":
            raise ValueError(f"unknown command {line!r}")
        say(publish().line())


def _hear(commands, server):
    for line in sys.stdin:
        commands.put(line)
    IS_ENDED.set()
    # Whatever the publisher waits for there fails now.
    server.end()
    commands.put(None)
