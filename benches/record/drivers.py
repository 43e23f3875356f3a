"""The table of what drives the engine: its own threads, and futures on executors."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from results import Record, about, with_spread_in

SCENARIO = "drivers"
KEY = "server_cpu_per_delivery_ns"
# What the rows are called.
SUBJECTS = {
    "fanfare": "threads of its own",
    "fanfare-block-on": "a bare `block_on`, on a thread",
    "fanfare-smol": "smol's global executor",
    "fanfare-tokio": "Tokio, current-thread",
    "fanfare-tokio-multi": "Tokio, multi-thread",
}
PARTS = {
    "flood": "no pause",
    "paced": "paced",
    "single": "one client, 2,000 events/s",
}


def newest(records: Path, whole: Path | None) -> Path | None:
    """The newest record of this scenario: of the newest whole record, or one by itself."""
    folders = [*records.glob("drivers-20??-??-??"), *([whole] if whole else [])]
    held = [folder for folder in folders if (folder / f"{SCENARIO}.json").exists()]
    return max(held, default=None, key=lambda folder: folder.name[-10:])


def rows(record: Record) -> list[list[str]]:
    reports = {part: record.reports[SCENARIO, part] for part in PARTS}
    head = ["server CPU per delivery, driven by"]
    for label in PARTS.values():
        head += [label, "beside the threads", "beside the bare loop"]
    made = [head]
    for subject, label in SUBJECTS.items():
        row = [label]
        for report in reports.values():
            own = values(report, subject)
            row.append(
                with_spread_in("ns", {"median": median(own), "min": min(own), "max": max(own)})
            )
            threads = "" if subject == "fanfare" else ratio(own, values(report, "fanfare"))
            row += [threads, ratio(own, values(report, report["floor"]))]
        made.append(row)
    return made


def notes(record: Record) -> list[str]:
    """When, on what and how it was taken."""
    command = " ".join(record.any()["command"])
    return [f"{about(record)}. `{command}`."]


def values(report: dict[str, Any], subject: str) -> list[float]:
    return [run["metrics"][KEY] for run in report["runs"] if run["subject"] == subject]


def ratio(own: list[float], beside: list[float]) -> str:
    """Of the runs of the same turn: what disturbs one disturbs its neighbour as well."""
    ratios = [one / other for one, other in zip(own, beside, strict=True)]
    return f"{median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"
