"""The summary of a run says why a suite failed, of logs as the test runners write them."""

import pytest
import reasons

FILLER = [f"test one::of_many_{n} ... ok" for n in range(500)]
AT_THE_END = ["ran for a while"] * 60


def said(*parts: list[str]) -> str:
    return "\n".join(reasons.reasons([line for part in parts for line in part]))


def rust_panic(name: str, place: str, message: list[str]) -> list[str]:
    return [
        f"thread '{name}' (18021) panicked at {place}:98:13:",
        *message,
        "stack backtrace:",
        "   0: __rustc::rust_begin_unwind",
        "             at /rustc/5980/library/std/src/panicking.rs:689:5",
        "   1: header::helper",
        "             at ./tests/support/helper.rs:12:5",
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
    ]


def test_a_panic_far_from_the_end_is_shown_with_its_message_and_its_frames():
    panic = rust_panic("header", "tests/header.rs", ["assertion failed", "  left: 1", " right: 2"])
    shown = said(FILLER, ["failures:", "---- header stdout ----"], panic, FILLER, AT_THE_END)
    assert "panicked at tests/header.rs" in shown
    assert " right: 2" in shown
    assert "./tests/support/helper.rs:12:5" in shown
    assert "rust_begin_unwind" not in shown


def test_a_panics_line_has_its_number():
    shown = said(FILLER, rust_panic("x", "src/x.rs", ["why"]), AT_THE_END)
    assert "   501  thread 'x'" in shown


def test_panics_of_tests_that_failed_come_before_those_that_threads_printed():
    printed = [line for n in range(20) for line in rust_panic(f"t{n}", "src/t.rs", ["meant"])]
    failed = [line for n in range(9) for line in rust_panic(f"f{n}", "src/f.rs", [f"why {n}"])]
    shown = said(printed, ["---- f stdout ----"], failed, AT_THE_END)
    assert [n for n in range(9) if f"why {n}" in shown] == [0, 1, 2, 3, 4]
    assert "meant" not in shown


def test_panics_that_tests_provoke_are_left_out():
    shown = said(rust_panic("x", "src/ffi/testing.rs", ["provoked"]) * 20, AT_THE_END)
    assert "provoked" not in shown


def test_a_message_ends_where_it_is_too_long():
    shown = said(
        FILLER, rust_panic("x", "src/x.rs", [f"line {n} of it" for n in range(50)]), AT_THE_END
    )
    assert "line 11 of it" in shown
    assert "line 12 of it" not in shown


@pytest.mark.parametrize(
    "log, why",
    [
        (["E       AssertionError: assert 3 == 4"], "3 == 4"),
        (["FAILED tests/test_a.py::test_b - TimeoutError"], "test_b - TimeoutError"),
        (["--- FAIL: TestA (0.0s)", "    a_test.go:10: got 3"], "got 3"),
        (["    --- FAIL: TestA/b (0.0s)", "        a_test.go:11: got 4"], "got 4"),
        (["not ok 3 - a", "  ---", "  error: 'got 5'"], "got 5"),
        (["  ✖ a test (36.0ms)", "    AssertionError: got 6"], "got 6"),
        (["hub.c:3: n is 7, not 8", "FAILED  a hub has eight"], "n is 7, not 8"),
        (["FAILED  it builds", "    ld: no symbol x"], "no symbol x"),
        (["error[E0308]: mismatched types", " --> src/hub.rs:3:4"], "src/hub.rs:3:4"),
        (["hub.c:3:4: error: no type x", "   3 | x y;"], "3 | x y;"),
        (["==1==ERROR: AddressSanitizer: use after free", "    #0 in hub_close"], "in hub_close"),
    ],
)
def test_what_each_runner_says_is_shown(log, why):
    assert why in said(FILLER, log, FILLER, AT_THE_END)


@pytest.mark.parametrize(
    "line, name",
    [
        ("test hub::tests::a_hub ... FAILED", "hub::tests::a_hub"),
        ("FAILED tests/test_a.py::test_b - assert 3", "tests/test_a.py::test_b - assert 3"),
        ("ERROR tests/test_a.py::test_c", "tests/test_a.py::test_c"),
        ("FAILED  a hub has eight", "a hub has eight"),
        ("    --- FAIL: TestA/b (0.0s)", "TestA/b"),
        ("not ok 3 - a stream ends", "a stream ends"),
        ("  ✖ a stream begins (36.0ms)", "a stream begins (36.0ms)"),
    ],
)
def test_the_name_of_each_test_that_failed_is_told_once(line, name):
    assert reasons.names([*FILLER, line, *FILLER, line, "✖ failing tests:"]) == [name]


def test_names_are_bounded():
    told = reasons.names([f"FAILED  number {n} {'x' * 5000}" for n in range(1000)])
    assert len(told) == reasons.NAMES_MAX + 1
    assert max(map(len, told)) <= reasons.NAME_CHARACTERS_MAX
    assert told[-1] == f"and {1000 - reasons.NAMES_MAX} more"


def test_the_end_is_shown_without_warnings_that_would_hide_it():
    shown = said(FILLER, ["the cause"], ["[2026 WARN fanfare::hub] at most 19082"] * 60)
    assert "the cause" in shown
    assert "at most 19082" not in shown


def test_what_is_shown_is_bounded():
    log = [f"FAILED  number {n}" for n in range(1000)] + ["x" * 5000]
    lines = reasons.reasons(log)
    assert len([line for line in lines if line != "    ..."]) <= reasons.LINES_MAX
    assert max(map(len, lines)) < 500
    assert "number 0" in lines[0]


def test_a_log_of_nothing_is_no_error():
    assert reasons.reasons([]) == []
