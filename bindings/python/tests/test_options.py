"""The options are those of ``docs/options.md``, with its bounds and defaults."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fanfare import FunctionAuthorizer, Hub, OptionsError, Tickets
from fanfare._native import ffi
from fanfare.authorizing import ask_options
from fanfare.hub import drain_options, hub_options
from fanfare.listening import listen_options
from fanfare.tokens import ticket_options

DOCUMENT = Path(__file__).parents[3] / "docs" / "options.md"
#: What a unit is in the ABI's units, which are milliseconds and bytes.
UNITS = {"": 1, "ms": 1, "s": 1_000, "min": 60_000, "hour": 3_600_000, "day": 86_400_000}
UNITS |= {"byte": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
#: The kinds of options that are numbers.
NUMBERS = {"count", "bytes", "time", "percent"}
#: What a listener's option is called in Python, where it is not as in Rust.
OF_CORS = {
    "cors_origins",
    "cors_request_headers",
    "cors_exposed_headers",
    "cors_credentials",
    "cors_max_age_ms",
}


class Option(NamedTuple):
    kind: str
    bounds: str
    default: str


class Case(NamedTuple):
    """A table of the document, and where its options are in Python."""

    function: Callable[..., object]
    defaults: Callable[[], Any]
    options: dict[str, Option]
    refused: Callable[..., object]

    @property
    def numbers(self) -> dict[str, Option]:
        return {name: option for name, option in self.options.items() if option.kind in NUMBERS}


def _documented(heading: str) -> dict[str, Option]:
    """The rows of a table, by their names in Python."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| (.*?) \| (.*?) \|", text, re.MULTILINE)
    names = {name: f"{name}_ms" if kind == "time" else name for name, kind, *_ in rows}
    return {
        names[name]: Option(
            kind, re.sub(r"`([\w-]+)`", lambda n: names.get(n[1], n[1]), bounds), default.strip("`")
        )
        for name, kind, bounds, default in rows
    }


def _hub(**options: object) -> object:
    return Hub(**options)  # type: ignore[arg-type]


def _listener(**options: object) -> object:
    with Hub(shards=1) as hub:
        return hub.listen(**options)  # type: ignore[arg-type]


def _drain(**options: object) -> object:
    with Hub(shards=1) as hub:
        return hub.drain(**options)  # type: ignore[arg-type]


def _rule(**options: object) -> object:
    with Hub(shards=1) as hub:
        hub.set_rule("news", **options)  # type: ignore[arg-type]
    return None


def _ask(**options: object) -> object:
    return FunctionAuthorizer(lambda _: True, **options)  # type: ignore[arg-type]


def _tickets(**options: object) -> object:
    return Tickets(**options)  # type: ignore[arg-type]


def _none() -> Any:  # noqa: ANN401 (a struct of cffi)
    return None


CASES = {
    "hub": Case(Hub, hub_options, _documented("The engine"), _hub),
    "rule": Case(Hub.set_rule, _none, _documented("A rule"), _rule),
    "listener": Case(Hub.listen, listen_options, _documented("A listener"), _listener),
    "ask": Case(FunctionAuthorizer, ask_options, _documented("Asking the host"), _ask),
    "tickets": Case(Tickets, ticket_options, _documented("Tickets"), _tickets),
    "drain": Case(Hub.drain, drain_options, _documented("A drain"), _drain),
}
ALL_NUMBERS = [(case, name) for case in CASES for name in CASES[case].numbers]


def _number(text: str, options: dict[str, Option]) -> int:
    """A number with its unit, or the default of the option that is named."""
    if text in options:
        return _number(options[text].default, options)
    number, _, unit = text.partition(" ")
    return int(number.replace(",", "")) * UNITS[unit if unit in UNITS else unit.removesuffix("s")]


def _beyond(case: str, name: str) -> list[int]:
    """The nearest numbers that are out of bounds."""
    options = CASES[case].options
    bounds = options[name].bounds.removeprefix("0, or ").split(", and ")[0]
    if bounds == "any":
        return []
    if bounds.startswith("at most "):
        return [_number(bounds.removeprefix("at most "), options) + 1]
    if bounds.startswith("at least "):
        return [_number(bounds.removeprefix("at least "), options) - 1]
    low, high = (_number(bound, options) for bound in bounds.split(" to "))
    # What is just above 0 is out of bounds, and 0 is the default.
    return [high + 1] if options[name].default == "none" else [low - 1, high + 1]


BEYOND = [(*place, value) for place in ALL_NUMBERS for value in _beyond(*place)]


def _parameters(function: Callable[..., object]) -> list[str]:
    given = inspect.signature(function).parameters.values()
    return [one.name for one in given if one.kind is inspect.Parameter.KEYWORD_ONLY]


def test_there_is_a_parameter_of_the_hub_for_each_option_and_field_of_the_header() -> None:
    parameters = _parameters(Hub)
    fields = [name for name, _ in ffi.typeof("fanfare_options").fields][1:]
    assert parameters == [name for name in fields if not name.startswith("reserved")]
    assert set(parameters) == {*CASES["hub"].options, "any_host"}


def test_there_is_a_parameter_of_a_listener_for_each_option_and_field_of_the_header() -> None:
    parameters = _parameters(Hub.listen)
    fields = [name for name, _ in ffi.typeof("fanfare_listen_options").fields]
    beside = {"size", "start_last", "gap_start_last", "any_host"}
    assert parameters == [
        name for name in fields if name not in beside and not name.endswith("_count")
    ]
    documented = {*CASES["listener"].options, *OF_CORS} - {"cors"}
    assert set(parameters) == documented


@pytest.mark.parametrize(
    ("case", "beside"),
    [("rule", set()), ("drain", set()), ("ask", {"threads"}), ("tickets", set())],
)
def test_there_is_a_parameter_for_each_option_of_the_other_tables(
    case: str, beside: set[str]
) -> None:
    assert set(_parameters(CASES[case].function)) == {*CASES[case].options, *beside}


@pytest.mark.parametrize(("case", "name"), [place for place in ALL_NUMBERS if place[0] != "rule"])
def test_a_default_is_as_documented(case: str, name: str) -> None:
    options = CASES[case].options
    value, default = getattr(CASES[case].defaults(), name), options[name].default
    if default == "one for each core":
        assert 1 <= value <= 256
    elif default == "none":
        assert value == 0
    else:
        assert value == _number(default, options)


@pytest.mark.parametrize("case", CASES)
def test_the_docstring_has_each_option_with_its_bounds_and_default(case: str) -> None:
    parts = " ".join(str(inspect.getdoc(CASES[case].function)).split()).split(":param ")
    documented = dict(part.split(": ", 1) for part in parts[1:])
    assert [name for name in documented if name != "addr" and name != "function"] == _parameters(
        CASES[case].function
    )
    told = dict(CASES[case].numbers)
    if case in ("hub", "rule"):
        told = CASES[case].options
    for name, option in told.items():
        assert f"Bounds: {option.bounds}. Default: {option.default}." in documented[name], name


@pytest.mark.parametrize(("case", "name", "value"), BEYOND)
def test_a_number_out_of_its_documented_bounds_is_refused_by_name(
    case: str, name: str, value: int
) -> None:
    # Of two options that bound each other the error names either.
    options = CASES[case].options
    names = "|".join([name, *(other for other in options if other in options[name].bounds)])
    with pytest.raises(OptionsError, match=f"^the option ({names}) is out of bounds: it may be ."):
        CASES[case].refused(**{name: value})


@pytest.mark.parametrize("value", [-1, 2**64])
@pytest.mark.parametrize(("case", "name"), ALL_NUMBERS)
def test_what_the_abi_has_no_number_for_is_refused_by_name(
    case: str, name: str, value: int
) -> None:
    with pytest.raises(OptionsError, match=f"^the option {name} is out of bounds: it may be a who"):
        CASES[case].refused(**{name: value})


@pytest.mark.parametrize("value", ["1", 1.5])
@pytest.mark.parametrize(("case", "name"), ALL_NUMBERS)
def test_what_is_no_whole_number_is_refused_by_name(case: str, name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^the option {name} takes a whole number, not {value!r}$"):
        CASES[case].refused(**{name: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda hub: hub.publish("a", retry_ms="1"), "retry_ms takes a whole number, not '1'"),
        (lambda hub: hub.publish("a", "b", window_ms=0.5), "window_ms takes a whole number, not 0"),
        (lambda hub: hub.subscribe("a", start=1.5), "start takes a whole number, not 1.5"),
        (lambda hub: hub.subscribe(5), "expected str, bytes or several of them, not int"),
        (lambda hub: hub.subscribe(["a", 5]), "expected str or bytes, not int"),
        (lambda hub: hub.subscribe("a", expires_at="x"), "a moment is a number .*, not str"),
    ],
)
def test_what_is_of_another_type_is_refused_with_what_is_taken(
    call: Callable[[Hub], object], message: str
) -> None:
    with Hub(shards=1) as hub, pytest.raises(TypeError, match=message):
        call(hub)


WRONG_CHOICES: list[tuple[str, dict[str, object], str]] = [
    ("hub", {"policy": "drop"}, "the option policy .* disconnect, drop-oldest or conflate"),
    ("hub", {"heartbeat_form": ""}, "the option heartbeat_form .* id, comment or event"),
    ("hub", {"gap_event": "message"}, "the option gap_event .* 1 to 256 bytes"),
    ("rule", {"policy": "x"}, "the option policy .* disconnect, drop-oldest or conflate"),
    ("listener", {"envelope": "xml"}, "the option envelope .* none or json"),
    ("listener", {"start": "last"}, "the option start .* now, latest, earliest or a number"),
    ("listener", {"gap_start": -1}, "the option gap_start .* a number of events"),
    ("listener", {"policies": ["x"]}, "the option policies .* disconnect, drop-oldest or conf"),
    ("listener", {"policies": "conflate"}, "the option policies .* a list of"),
    ("listener", {"forwarded_header": "x"}, "the option forwarded_header .* or forwarded"),
    ("listener", {"overload": "x"}, "the option overload .* come-again or unavailable"),
    ("listener", {"path": "events"}, "the option path .* it may be ."),
    ("listener", {"hosts": ["a b"]}, "the option hosts .* it may be ."),
    ("listener", {"trusted_proxies": ["nobody"]}, "the option trusted_proxies .* it may be ."),
    ("listener", {"headers": {"a b": "c"}}, "the option headers .* it may be ."),
    ("listener", {"socket_mode": 0o1000}, "the option socket_mode .* it may be ."),
]


@pytest.mark.parametrize(("case", "options", "message"), WRONG_CHOICES)
def test_what_is_no_choice_is_refused_by_name(
    case: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionsError, match=message):
        CASES[case].refused(**options)
