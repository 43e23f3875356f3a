"""Writes a program, in C and in C++, that prints the record of the layout as its compiler has it.

The names are those of the record, abi-1.txt; tests/layout.rs makes sure that they are all that the
header declares. What the record says of functions is declared once more in the program, which does not
compile if the header says otherwise, and each function is linked.
"""

import re
from pathlib import Path

RECORD = Path(__file__).parent / "abi-1.txt"


def declarations(lines: list[str]) -> str:
    """What comes before `main`."""
    made = ["#include <fanfare.h>", "#include <stdio.h>"]
    for line in lines:
        if struct := re.fullmatch(r"(\w+): size \d+, align \d+", line):
            made.append(f"struct aligned_{struct[1]} {{ char first; {struct[1]} aligned; }};")
    # C99 does not allow that a type is defined twice.
    callbacks = "\n".join(line + ";" for line in lines if line.startswith("typedef "))
    made.append(f"#if defined(__cplusplus) || __STDC_VERSION__ >= 201112L\n{callbacks}\n#endif")
    functions = "\n".join(line + ";" for line in lines if function_of(line))
    made.append(
        f'#ifdef __cplusplus\nextern "C" {{\n#endif\n{functions}\n#ifdef __cplusplus\n}}\n#endif'
    )
    linked = ", ".join(f"(void (*)(void)){name}" for name in map(function_of, lines) if name)
    made.append(f"void (*volatile functions[])(void) = {{ {linked} }};")
    return "\n".join(made)


def function_of(line: str) -> str | None:
    """The function that a line of the record declares."""
    declared = re.match(r"(?!typedef )[\w ]+[ *](fanfare_\w+)\(", line)
    return declared and declared[1]


def statement(line: str) -> str:
    """What prints a line of the record."""
    if constant := re.fullmatch(r"(\w+) = (-?\d+)", line):
        sign, form = ("unsigned ", "%llu") if int(constant[2]) >= 2**63 else ("", "%lld")
        return f'printf("{constant[1]} = {form}\\n", ({sign}long long){constant[1]});'
    if number := re.fullmatch(r"(\w+): size \d+, \w+", line):
        sign = f'({number[1]})-1 > ({number[1]})1 ? "unsigned" : "signed"'
        return f'printf("{number[1]}: size %d, %s\\n", (int)sizeof({number[1]}), {sign});'
    if struct := re.fullmatch(r"(\w+): size \d+, align \d+", line):
        align = f"(int)offsetof(struct aligned_{struct[1]}, aligned)"
        return f'printf("{struct[1]}: size %d, align %d\\n", (int)sizeof({struct[1]}), {align});'
    if field := re.fullmatch(r"(\w+)\.(\w+): .*", line):
        offset = f"(int)offsetof({field[1]}, {field[2]})"
        size = f"(int)sizeof((({field[1]} *)0)->{field[2]})"
        return f'printf("{field[1]}.{field[2]}: offset %d, size %d\\n", {offset}, {size});'
    return f'puts("{line}");'


def main() -> None:
    """Writes the program."""
    lines = RECORD.read_text(encoding="utf-8").splitlines()
    print(declarations(lines))
    print("int main(void)\n{\n    size_t i;")
    print("    for (i = 0; i < sizeof functions / sizeof functions[0]; i++)")
    print("        if (functions[i] == NULL) return 1;")
    for line in lines:
        print("    " + statement(line))
    print("    return 0;\n}")


if __name__ == "__main__":
    main()
