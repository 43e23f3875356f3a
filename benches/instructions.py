#!/usr/bin/env python3
"""Counts the instructions of the hot functions and holds them against what is recorded.

    benches/instructions.py [--record]

Runs `cargo bench -p fanfare-bench --bench instructions`, whose runner GUNGRAUN_RUNNER names (`make
bench-instructions` sees to both). Fails when a function takes more than the recorded count and the
tolerance, both in instructions.json, or when the two do not name the same functions; says so when
one takes less, so that the better count can be recorded. The counts depend on the compiler and the
C library, which are recorded with them: after an upgrade of these, record anew.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
RECORD = HERE / "instructions.json"
SECONDS_MAX = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="make the counts the recorded ones")
    parser.add_argument("--against", type=pathlib.Path, default=RECORD, help="what is recorded")
    parser.add_argument("--counts", type=pathlib.Path, help="read the runner's JSON, do not run it")
    arguments = parser.parse_args()

    lines = arguments.counts.read_text() if arguments.counts else run()
    counts = read_counts(lines)
    recorded = json.loads(arguments.against.read_text())
    if arguments.record:
        recorded |= {"recorded_with": machine(), "instructions": counts}
        arguments.against.write_text(json.dumps(recorded, indent=2) + "\n")
        return 0
    return compare(counts, recorded)


def run() -> str:
    command = ["cargo", "bench", "--locked", "-p", "fanfare-bench", "--bench", "instructions"]
    command += ["--", "--output-format=json"]
    # With several units what is inlined depends on how the compiler parts the code, which the checkout's path
    # changes, by up to 16 % of a count.
    one_unit = os.environ | {"CARGO_PROFILE_BENCH_CODEGEN_UNITS": "1"}
    return subprocess.run(
        command,
        cwd=HERE.parent,
        env=one_unit,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS_MAX,
    ).stdout


def read_counts(lines: str) -> dict[str, int]:
    """One JSON object a line, of which the sum over all threads is wanted."""
    counts = {}
    for summary in map(json.loads, filter(None, lines.splitlines())):
        (profile,) = (p for p in summary["profiles"] if p["tool"] == "Callgrind")
        values = profile["data"]["total"]["metrics"]["Ir"]["values"]
        # Beside an earlier run of the same folder's, this one comes first.
        new = values["new"] if "new" in values else values["both"][0]
        counts[f"{summary['function_name']} {summary['id']}"] = int(new)
    return counts


def compare(counts: dict[str, int], recorded: dict) -> int:
    known, tolerance = recorded["instructions"], recorded["tolerance"]
    status = 0
    if not counts:
        print("instructions: nothing was counted", file=sys.stderr)
        return 1
    for name in sorted(known.keys() | counts.keys()):
        if name not in counts or name not in known:
            where = "recorded only" if name in known else "not recorded"
            print(f"instructions: {name} is {where}", file=sys.stderr)
            status = 1
            continue
        change = counts[name] / known[name] - 1
        print(f"{name:<32} {counts[name]:>10,}  {known[name]:>10,} recorded  {change:>+7.2%}")
        if counts[name] > known[name] * (1 + tolerance):
            print(f"instructions: {name} takes more than {tolerance:.0%} more", file=sys.stderr)
            status = 1
        elif counts[name] < known[name] * (1 - tolerance):
            print(f"instructions: {name} takes less; record it", file=sys.stderr)
    if status and recorded["recorded_with"] != machine():
        print(f"instructions: recorded with {recorded['recorded_with']}", file=sys.stderr)
        print(f"instructions: counted with {machine()}", file=sys.stderr)
    return status


def machine() -> dict[str, str]:
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True)
    return {
        "rustc": rustc.stdout.strip(),
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
