"""The names of reasons and states: those of the types are those that the engine has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fanfare import ConnectionState, DisconnectReason, GapReason
from fanfare._names import connection_state, disconnect_reason, gap_reason

pytestmark = pytest.mark.each_version

HEADER = Path(__file__).parents[3] / "include" / "fanfare.h"


@pytest.mark.parametrize(
    ("constants", "name_of", "names"),
    [
        ("FANFARE_DISCONNECT", disconnect_reason, DisconnectReason),
        ("FANFARE_GAP", gap_reason, GapReason),
        ("FANFARE_CONNECTION", connection_state, ConnectionState),
    ],
)
def test_a_type_has_the_engines_name_of_each_constant(
    constants: str,
    name_of: Callable[[int], str],
    names: Any,  # noqa: ANN401 (a Literal)
) -> None:
    header = HEADER.read_text(encoding="utf-8")
    numbers = [
        int(n) for n in re.findall(rf"^  {constants}_[A-Z_]+ = (\d+),$", header, re.MULTILINE)
    ]
    assert len(numbers) >= 3
    assert [name_of(number) for number in numbers] == list(get_args(names))
    assert name_of(max(numbers) + 1) == "unknown"
