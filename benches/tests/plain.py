"""The least peer that `fanfare bench --peer` can measure: asyncio and nothing else.

    fanfare bench saturation --clients 100 --events 200 --peer plain="python3 benches/tests/plain.py" --subjects floor-b,plain

PLAIN_FORM: lf, crlf, own-ids or close (no chunks). PLAIN_FAULT makes one connection's stream wrong:
lose, double, swap, damage, cut, or hang; to see that the client finds it.
"""

import asyncio
import os
import sys
import time

EVENTS = int(os.environ["FANFARE_BENCH_EVENTS"])
BYTES = int(os.environ["FANFARE_BENCH_BYTES"])
RATE = float(os.environ["FANFARE_BENCH_RATE"])
FORM = os.environ.get("PLAIN_FORM", "lf")
FAULT = os.environ.get("PLAIN_FAULT", "")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

writers = []
tasks = []


async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writers.append(writer)
    coding = b"Connection: close\r\n" if FORM == "close" else b"Transfer-Encoding: chunked\r\n"
    writer.write(HEAD + coding + b"\r\n" + chunk(b"retry: 1000\n\n: hello\n\n"))


def chunk(block):
    return block if FORM == "close" else b"%x\r\n%b\r\n" % (len(block), block)


def encode(number, stamp, connection):
    data = f"{number} {stamp} ".ljust(BYTES, "x")
    owner = connection if FORM == "own-ids" else 0
    text = f"event: tick\ndata:{data}\nid: {owner}-{number}\n\n"
    return (text.replace("\n", "\r\n") if FORM == "crlf" else text).encode()


async def publish():
    begun = time.monotonic_ns()
    cpu = time.process_time_ns()
    middle = EVENTS // 2
    held = b""
    for number in range(EVENTS):
        if RATE:
            await asyncio.sleep(max(0, begun / 1e9 + number / RATE - time.monotonic()))
        if FAULT == "hang" and number == middle:
            await asyncio.sleep(3600)
        stamp = time.monotonic_ns()
        shared = chunk(encode(number, stamp, 0))
        for index, writer in enumerate(writers):
            wire = chunk(encode(number, stamp, index)) if FORM == "own-ids" else shared
            if index == 1 and number == middle:
                if FAULT == "cut":
                    writer.close()
                elif FAULT == "lose":
                    continue
                elif FAULT == "double":
                    wire += wire
                elif FAULT == "damage":
                    wire = wire.replace(b"xxx", b"xyx", 1)
                elif FAULT == "swap":
                    held = wire
                    continue
            elif index == 1 and number == middle + 1 and held:
                wire += held
            writer.write(wire)
        for writer in writers:
            if not writer.is_closing():
                await writer.drain()
    elapsed = time.monotonic_ns() - begun
    print("done", EVENTS, elapsed, time.process_time_ns() - cpu, flush=True)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"listening {host}:{port} /events", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "go":
            tasks.append(asyncio.create_task(publish()))
    os._exit(0)


asyncio.run(main())
