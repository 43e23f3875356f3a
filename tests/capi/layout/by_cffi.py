"""Prints the record of the layout as cffi has it, which is given the header's declarations alone.

Its argument is the shared library. The preprocessor leaves out what is not declarations: FANFARE_DECLARATIONS_ONLY is for that. What the
record says of functions is compared with their types.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cffi import FFI

HERE = Path(__file__).parent
INCLUDE = HERE.parents[2] / "include"
# cffi knows the types of these.
STANDARD = re.compile(r"#include <(stddef|stdint|string)\.h>")


def declarations() -> str:
    """The header after the preprocessor, and its constants that are macros."""
    header = (INCLUDE / "fanfare.h").read_text(encoding="utf-8")
    command = ["cc", "-E", "-P", "-DFANFARE_DECLARATIONS_ONLY", "-x", "c", "-"]
    preprocess = subprocess.run(
        command, input=STANDARD.sub("", header), capture_output=True, text=True, check=True
    )
    macros = re.findall(r"^#define FANFARE_\w+ \(?-?\d\S*$", header, flags=re.MULTILINE)
    return preprocess.stdout + "\n".join(macros)


def main() -> int:
    """Prints what the record says, line by line."""
    ffi = FFI()
    ffi.cdef(declarations())
    library = ffi.dlopen(sys.argv[1])
    for line in (HERE / "abi-1.txt").read_text(encoding="utf-8").splitlines():
        if constant := re.fullmatch(r"(\w+) = .*", line):
            print(f"{constant[1]} = {int(getattr(library, constant[1]))}")
        elif number := re.fullmatch(r"(\w+): size \d+, \w+", line):
            sign = "signed" if int(ffi.cast(number[1], -1)) < 0 else "unsigned"
            print(f"{number[1]}: size {ffi.sizeof(number[1])}, {sign}")
        elif struct := re.fullmatch(r"(\w+): size \d+, align \d+", line):
            print(f"{struct[1]}: size {ffi.sizeof(struct[1])}, align {ffi.alignof(struct[1])}")
        elif field := re.fullmatch(r"(\w+)\.(\w+): .*", line):
            offset = ffi.offsetof(field[1], field[2])
            size = ffi.sizeof(dict(ffi.typeof(field[1]).fields)[field[2]].type)
            print(f"{field[1]}.{field[2]}: offset {offset}, size {size}")
        else:
            print(line if has_type(ffi, library, line) else f"{line}: not so")
    return 0


def has_type(ffi: FFI, library: Any, line: str) -> bool:
    """Whether a function, or the type of a pointer to one, is as a line of the record declares it."""
    if callback := re.match(r"typedef .*?\(\*(\w+)\)", line):
        recorded = line.removeprefix("typedef ").replace(callback[1], "", 1)
        return ffi.typeof(callback[1]) is ffi.typeof(recorded)
    name = re.search(r"(fanfare_\w+)\(", line)
    return name is not None and ffi.typeof(getattr(library, name[1])) is ffi.typeof(
        line.replace(name[1], "(*)", 1)
    )


if __name__ == "__main__":
    sys.exit(main())
