#!/usr/bin/env python3
"""Prints why a test suite failed, of the log of its run, in about a hundred lines, or which of its tests failed:

    tests/failures/reasons.py LOG
    tests/failures/reasons.py --names LOG

What each test runner says of a test that failed may be thousands of lines before the end of the log, so the end
alone does not show it. These are printed, each with the number of its line: Rust's panics, the messages of
pytest, of Go, of Node.js and of the tests in C and in shell, and the end of the log. The names are one line for
each test, for the summary of all suites, since of a long output often its end alone is kept.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINES_MAX = 100
LINE_CHARACTERS_MAX = 400
NAMES_MAX = 8
NAME_CHARACTERS_MAX = 160
PANICS_MAX = 5
#: How many lines behind the line of a panic are printed, if its message has as many.
PANIC_LINES = 12
#: The lines of a backtrace that are in this source tree, at most.
FRAMES_MAX = 3
END_LINES = 25
#: Panics that tests of the C ABI provoke.
MEANT = "src/ffi/testing.rs"


@dataclass(frozen=True)
class Failure:
    """A kind of line that tells of a failure, with how many lines before and behind it say why."""

    pattern: re.Pattern[str]
    before: int
    behind: int


FAILURES = [
    # Those of pytest's report: what was expected, and the summary.
    Failure(re.compile(r"E  |(?:FAILED|ERROR) .*::"), 0, 0),
    Failure(re.compile(r"--- FAIL"), 0, PANIC_LINES),
    # Node.js: TAP, and the reporters `spec` and `dot`.
    Failure(re.compile(r"not ok "), 0, PANIC_LINES),
    Failure(re.compile(r"✖ (?!failing tests)"), 0, PANIC_LINES),
    # A test in C writes what does not hold before; a test in shell, or a compiler, what was said behind.
    Failure(re.compile(r"FAILED  "), 4, 8),
    Failure(re.compile(r"test .* FAILED$"), 0, 0),
    # Compilers, sanitizers, valgrind.
    Failure(re.compile(r"error(?:\[E\d+\])?: |.*: (?:fatal )?error: "), 0, 6),
    Failure(
        re.compile(
            r".*(?:ERROR: (?:Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: )"
        ),
        0,
        15,
    ),
]

#: How each runner names a test that failed. pytest says why behind the name.
NAMES = re.compile(
    r"\s*(?:test (?P<cargo>\S+)(?: - should panic)? \.\.\. FAILED$|(?:FAILED|ERROR) (?P<pytest>\S+::.*)|FAILED  (?P<shell>.+)"
    r"|--- FAIL: (?P<go>\S+)|not ok \d+ - (?P<tap>.+)|✖ (?!failing tests)(?P<spec>.+))"
)


def main() -> int:
    match sys.argv[1:]:
        case ["--names", path]:
            tell = names
        case [path]:
            tell = reasons
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    for line in tell(Path(path).read_text(errors="replace").splitlines()):
        print(line)
    return 0


def names(log: list[str]) -> list[str]:
    """The tests that failed, each once, at most NAMES_MAX, and how many more there are."""
    found = [found for line in log if (found := NAMES.match(line))]
    each = list(dict.fromkeys(match[match.lastgroup or 0][:NAME_CHARACTERS_MAX] for match in found))
    more = [f"and {len(each) - NAMES_MAX} more"] if len(each) > NAMES_MAX else []
    return each[:NAMES_MAX] + more


def reasons(log: list[str]) -> list[str]:
    """The lines that say why, at most LINES_MAX, with a gap where lines are left out."""
    shown: set[int] = set()
    end = [n for n, line in enumerate(log) if " WARN " not in line][-END_LINES:]
    for excerpt in [end, *panics(log), *failures(log)]:
        if len(shown.union(excerpt)) <= LINES_MAX:
            shown.update(excerpt)
    lines, before = [], -1
    for number in sorted(shown):
        if number != before + 1:
            lines.append("    ...")
        lines.append(f"{number + 1:>6}  {log[number][:LINE_CHARACTERS_MAX]}")
        before = number
    return lines


def panics(log: list[str]) -> Iterator[range]:
    """The first panics. Those of tests that failed are behind their names, and come before what other threads
    printed, which may be meant."""
    found = [n for n, line in enumerate(log) if "panicked at" in line and MEANT not in line]
    first = next(
        (n for n, line in enumerate(log) if re.match(r"---- .* stdout ----$", line)), len(log)
    )
    for number in sorted(found, key=lambda n: (n < first, n))[:PANICS_MAX]:
        yield from panic(log, number)


def panic(log: list[str], number: int) -> Iterator[range]:
    """The message of one, and the frames of its backtrace that are in this source tree."""
    end = number + 1
    while end < min(len(log), number + 1 + PANIC_LINES) and not ends_message(log[end]):
        end += 1
    yield range(number, end)
    if end < len(log) and log[end] == "stack backtrace:":
        frames = 0
        for at in range(end + 1, len(log)):
            if not log[at].startswith("  ") or frames == FRAMES_MAX:
                break
            if log[at].lstrip().startswith("at ./"):
                frames += 1
                yield range(at - 1, at + 1)


def ends_message(line: str) -> bool:
    return line.startswith(("stack backtrace:", "note: run with", "---- ")) or "panicked at" in line


def failures(log: list[str]) -> Iterator[range]:
    """What the other runners say of each failure, in the order of the log."""
    for number, line in enumerate(log):
        text = line.lstrip() if line.lstrip().startswith(("✖", "not ok", "--- FAIL")) else line
        for failure in FAILURES:
            if failure.pattern.match(text):
                yield range(
                    max(0, number - failure.before), min(len(log), number + failure.behind + 1)
                )
                break


if __name__ == "__main__":
    sys.exit(main())
