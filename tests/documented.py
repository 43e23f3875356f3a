"""Every public item of the library has an example: types, functions and methods.

The lint `unreachable_pub` makes sure that each `pub` item of the library's files is public, so the files' text suffices.
"""

import re
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"
# The program, the C ABI, whose manual is the header, what only benchmarks and fuzzers see, and the macro whose
# setters have the text of their options.
NOT_LIBRARY = ["program", "ffi", "main.rs", "internals.rs", "fuzzing.rs", "options/chained.rs"]
ITEM = re.compile(r"\s*pub (?:async )?(?:fn|struct|enum|trait|type) (\w+)")
BESIDE = re.compile(r"\s*(///|#\[|#!\[)")


def without_example(path: Path) -> list[str]:
    """The items of a file whose documentation has no code, as messages."""
    lines = path.read_text().splitlines()
    missing = []
    for number, line in enumerate(lines):
        item = ITEM.match(line)
        if not item:
            continue
        first = number
        while first > 0 and BESIDE.match(lines[first - 1]):
            first -= 1
        if not any("/// ```" in text for text in lines[first:number]):
            missing.append(f"{path}:{number + 1}: {item[1]} has no example")
    return missing


def main() -> int:
    files = [path for path in sorted(SRC.rglob("*.rs")) if is_of_the_library(path)]
    missing = [message for path in files for message in without_example(path)]
    print("\n".join(missing) or f"every public item in {len(files)} files has an example")
    return 1 if missing else 0


def is_of_the_library(path: Path) -> bool:
    return not any(path.is_relative_to(SRC / part) for part in NOT_LIBRARY)


if __name__ == "__main__":
    sys.exit(main())
