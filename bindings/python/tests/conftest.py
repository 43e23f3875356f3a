"""Which package is tested: that of the repository, or the wheel that `run-tests` has installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fanfare

SOURCE = Path(__file__).parents[1] / "src"
IS_WHEEL = "FANFARE_TEST_WHEEL" in os.environ
if Path(fanfare.__file__).is_relative_to(SOURCE) == IS_WHEEL:
    raise pytest.UsageError(f"the package that would be tested is that of {fanfare.__file__}")
if not IS_WHEEL:
    os.environ["PYTHONPATH"] = str(SOURCE)  # for programs that tests start


def pytest_report_header() -> str:
    return f"fanfare: {Path(fanfare.__file__).parent}"
