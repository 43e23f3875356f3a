"""The cases that all bindings share, by each way in."""

from __future__ import annotations

import pytest
from conformance import CASES, WAYS_IN, Case, Run, WayIn


@pytest.mark.parametrize("way_in", WAYS_IN, ids=lambda way_in: way_in.__name__.lower())
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_case(case: Case, way_in: type[WayIn]) -> None:
    Run(case, way_in)()
