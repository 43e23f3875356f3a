"""Fan-out from a Python program, beside sse-starlette and FastAPI's own event streams in one run.

    python bench/fanout.py [--clients N] [--events N] [--repeat N]

It has ``fanfare-bench`` measure ``subject.py`` in each way, in turn, as docs/benchmark.md says, and
prints its table. Then for how long the event loop did not turn at most, from the first event on
until the clients leave: on the clock, in which the machine may do other things, and in CPU time.
Needs ``cargo build --release -p fanfare-bench``, ``pip install sse-starlette`` beside what the
tests need, and as many descriptors as clients (``ulimit -n``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODES = ("handover", "pull", "sse-starlette", "fastapi")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fan-out from a Python program")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    asked = parser.parse_args()
    program = os.environ.get("FANFARE_BENCH", str(ROOT / "target/release/fanfare-bench"))
    command = [program, "saturation", "--bytes", "128", "--clients", str(asked.clients)]
    command += ["--events", str(asked.events), "--repeat", str(asked.repeat)]
    command += ["--peer-repeat", str(asked.repeat), "--subjects", ",".join(asked.modes)]
    for mode in asked.modes:
        command += ["--peer", f"{mode}={sys.executable} {HERE / 'subject.py'} {mode}"]
    with tempfile.NamedTemporaryFile("r") as pauses:
        path = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"FANOUT_PAUSES": pauses.name, "PYTHONPATH": path}
        status = subprocess.run(command, env=env).returncode
        lines = [json.loads(line) for line in pauses]
    print("\nlongest time without a turn of the loop: median of the runs")
    for mode in asked.modes:
        runs = [line for line in lines if line["mode"] == mode]
        if runs:
            wall, cpu = (
                statistics.median(run[key] for run in runs) for key in ("wall_ns", "cpu_ns")
            )
            print(f"  {mode:14} {wall / 1e6:9.1f} ms   of CPU time {cpu / 1e6:8.1f} ms")
    return status


if __name__ == "__main__":
    sys.exit(main())
