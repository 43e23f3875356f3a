"""What is installed: its files, what it says of itself, and what it says when a part is missing."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from client import DEADLINE_S
from under_test import IS_WHEEL, PACKAGE

import fanfare
from fanfare._native import lib

pytestmark = pytest.mark.each_version

HEADER = Path(__file__).parents[3] / "include" / "fanfare.h"
of_the_wheel = pytest.mark.skipif(not IS_WHEEL, reason="the wheel alone has it; see run-tests")


def copied(folder: Path) -> Path:
    """A copy of the package as it is, at a place of its own."""
    shutil.copytree(PACKAGE, folder / "fanfare", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def imported(folder: Path, environment: dict[str, str] | None = None) -> str:
    """What Python says that is to import the package in a folder, and cannot."""
    ended = subprocess.run(
        [sys.executable, "-c", "import fanfare"],
        env={"PYTHONPATH": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == 1, ended.stdout
    return ended.stderr


def test_every_function_of_the_header_can_be_called() -> None:
    header = HEADER.read_text(encoding="utf-8")
    declared = re.findall(r"^[a-z][\w ]*[ *](fanfare_\w+)\(", header, re.MULTILINE)
    defined = set(re.findall(r"^static inline \w+ (fanfare_\w+)\(", header, re.MULTILINE))
    functions = sorted(set(declared) - defined)
    assert len(functions) > 90
    assert [name for name in functions if not hasattr(lib, name)] == []


def test_everything_public_has_a_help_text() -> None:
    silent = []
    for name in fanfare.__all__:
        thing = getattr(fanfare, name)
        if not inspect.isclass(thing):
            continue
        members = [(name, thing), *((f"{name}.{m}", v) for m, v in vars(thing).items())]
        for label, member in members:
            is_public = not label.rpartition(".")[2].startswith("_")
            if is_public and (inspect.isclass(member) or inspect.isroutine(member)):
                silent += [] if inspect.getdoc(member) else [label]
    assert silent == []


def test_in_the_repository_a_library_that_is_missing_is_an_error_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    if IS_WHEEL:
        pytest.skip("the repository alone has it")
    told = imported(PACKAGE.parent, {"FANFARE_LIB_DIR": str(tmp_path)})
    assert "ImportError: fanfare's C library cannot be loaded" in told
    assert f"{tmp_path}" in told
    assert "make capi" in told


@of_the_wheel
def test_a_wheel_without_its_library_says_which_file_was_sought_and_what_to_do(
    tmp_path: Path,
) -> None:
    copied(tmp_path)
    sought = tmp_path / "fanfare" / "_fanfare" / "lib_fanfare.so"
    sought.unlink()
    told = imported(tmp_path)
    assert "ImportError: fanfare's C library cannot be loaded" in told
    assert f"{sought}" in told
    assert "No such file" in told
    assert "pip install --force-reinstall fanfare" in told


@of_the_wheel
def test_a_wheel_with_a_library_of_another_system_says_what_the_system_says(tmp_path: Path) -> None:
    copied(tmp_path)
    sought = tmp_path / "fanfare" / "_fanfare" / "lib_fanfare.so"
    sought.write_bytes(b"MZ, of another system")
    told = imported(tmp_path)
    assert f"{sought}" in told
    assert "file too short" in told or "invalid ELF header" in told
    assert "from a wheel for this system" in told


@of_the_wheel
def test_a_wheel_whose_declarations_are_missing_says_what_to_do(tmp_path: Path) -> None:
    copied(tmp_path)
    shutil.rmtree(tmp_path / "fanfare" / "_fanfare")
    told = imported(tmp_path)
    assert "No module named 'fanfare._fanfare'" in told
    assert "pip install --force-reinstall fanfare" in told


@of_the_wheel
def test_the_wheel_is_one_for_every_python_and_has_its_licences_and_types() -> None:
    distribution = importlib.metadata.distribution("fanfare")
    wheel = distribution.read_text("WHEEL") or ""
    tags = re.findall(r"^Tag: (\S+)$", wheel, re.MULTILINE)
    assert tags
    assert all(re.fullmatch(r"py3-none-(manylinux_2_\d+|linux)_\w+", tag) for tag in tags)
    files = [str(file) for file in distribution.files or []]
    for wanted in ("LICENSE-MIT", "LICENSE-CRATES", "py.typed", "lib_fanfare.so", "ffi.py"):
        assert [file for file in files if file.endswith(f"/{wanted}")], wanted
    assert not [file for file in files if file.endswith(".h")]
    assert sum(Path(str(distribution.locate_file(file))).stat().st_size for file in files) < 6 << 20
    metadata = distribution.metadata
    assert metadata["Version"] == fanfare.__version__
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert len(metadata.get_all("Classifier") or []) > 5
    assert "\n# fanfare for Python\n" in (distribution.read_text("METADATA") or "")


@of_the_wheel
def test_importing_the_wheel_parses_no_declarations() -> None:
    program = "import sys, fanfare; print('pycparser' in sys.modules, 'cffi' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "False False\n", ran.stderr
