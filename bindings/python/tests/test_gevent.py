"""Under gevent other greenlets run while one waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from client import DEADLINE_S

pytest.importorskip("gevent")


def test_other_greenlets_run_while_one_waits() -> None:
    ran = subprocess.run(
        [sys.executable, Path(__file__).with_name("gevent_program.py")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ran.returncode == 0, ran.stderr
    waits = ("publish", "close", "notices", "read", "authorize")
    assert ran.stdout.splitlines() == [f"{what}: the hub goes on" for what in waits]
