"""The options are those of ``docs/options.md``, with its bounds and defaults."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from fanfare import Hub, OptionsError
from fanfare._native import ffi
from fanfare.hub import _options

DOCUMENT = Path(__file__).parents[3] / "docs" / "options.md"
#: What a unit is in the ABI's units, which are milliseconds and bytes.
UNITS = {"": 1, "ms": 1, "s": 1_000, "min": 60_000, "hour": 3_600_000, "day": 86_400_000}
UNITS |= {"byte": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
#: The kinds of options that are numbers; the others are not here yet.
KINDS = {"count", "bytes", "time", "percent"}


class Option(NamedTuple):
    bounds: str
    default: str


def _name(name: str, kind: str) -> str:
    return f"{name}_ms" if kind == "time" else name


def _documented() -> dict[str, Option]:
    """The rows of the engine's table that are numbers, by their names in Python."""
    text = DOCUMENT.read_text(encoding="utf-8").split("## The engine")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|", text, re.MULTILINE)
    names = {name: _name(name, kind) for name, kind, *_ in rows}
    return {
        names[name]: Option(re.sub(r"`(\w+)`", lambda n: names.get(n[1], n[0]), bounds), default)
        for name, kind, bounds, default in rows
        if kind in KINDS
    }


OPTIONS = _documented()


def _number(text: str) -> int:
    """A number with its unit, or the default of the option that is named."""
    if text in OPTIONS:
        return _number(OPTIONS[text].default)
    number, _, unit = text.partition(" ")
    return int(number.replace(",", "")) * UNITS[unit if unit in UNITS else unit.removesuffix("s")]


def _beyond(bounds: str) -> list[int]:
    """The nearest numbers that are out of bounds."""
    bounds = bounds.removeprefix("0, or ")
    if bounds == "any":
        return []
    if bounds.startswith("at most "):
        return [_number(bounds.removeprefix("at most ")) + 1]
    if bounds.startswith("at least "):
        return [_number(bounds.removeprefix("at least ")) - 1]
    low, high = map(_number, bounds.split(" to "))
    return [low - 1, high + 1]


BEYOND = [(name, value) for name, option in OPTIONS.items() for value in _beyond(option.bounds)]


def test_there_is_a_parameter_for_each_number_in_the_document_and_field_of_the_header() -> None:
    parameters = list(inspect.signature(Hub).parameters)
    fields = ffi.typeof("fanfare_options").fields
    numbers = [name for name, field in fields if field.type is ffi.typeof("uint64_t")]
    assert parameters == numbers
    assert set(parameters) == {*OPTIONS, "any_host"}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_default_is_as_documented(name: str) -> None:
    value, default = getattr(_options(), name), OPTIONS[name].default
    if default == "one for each core":
        assert 1 <= value <= 256
    else:
        assert value == _number(default)


def test_the_docstring_has_the_bounds_and_default_of_each_option() -> None:
    parts = " ".join(str(inspect.getdoc(Hub)).split()).split(":param ")
    documented = dict(part.split(": ", 1) for part in parts[1:])
    assert list(documented) == list(inspect.signature(Hub).parameters)
    for name, option in OPTIONS.items():
        assert f"Bounds: {option.bounds}. Default: {option.default}." in documented[name], name


@pytest.mark.parametrize(("name", "value"), BEYOND)
def test_a_number_out_of_its_documented_bounds_is_refused_by_name(name: str, value: int) -> None:
    # Of two options that bound each other the error names either.
    names = "|".join([name, *(other for other in OPTIONS if other in OPTIONS[name].bounds)])
    with pytest.raises(OptionsError, match=f"^the option ({names}) is out of bounds: it may be ."):
        Hub(**{name: value})


@pytest.mark.parametrize("value", [-1, 2**64])
@pytest.mark.parametrize("name", OPTIONS)
def test_what_the_abi_has_no_number_for_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(OptionsError, match=f"^the option {name} is out of bounds: it may be a who"):
        Hub(**{name: value})
