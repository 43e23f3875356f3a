"""Which package is tested: that of the repository, or the wheel that `run-tests` has installed."""

from __future__ import annotations

import os
from pathlib import Path

import fanfare

PACKAGE = Path(fanfare.__file__).parent
SOURCE = Path(__file__).parents[1] / "src"
IS_WHEEL = "FANFARE_TEST_WHEEL" in os.environ
