"""Fails at once if it is another package than the one that is to be tested."""

from __future__ import annotations

import os

import pytest
from under_test import IS_WHEEL, PACKAGE, SOURCE

if PACKAGE.is_relative_to(SOURCE) == IS_WHEEL:
    raise pytest.UsageError(f"the package that would be tested is that of {PACKAGE}")
if not IS_WHEEL:
    os.environ["PYTHONPATH"] = str(SOURCE)  # for programs that tests start


def pytest_report_header() -> str:
    return f"fanfare: {PACKAGE}"
