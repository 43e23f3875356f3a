"""What a record of the benchmark holds, and how its figures are written for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1

NAMES = {"floor-a": "bare loop A", "floor-b": "bare loop B"}


@dataclass(frozen=True)
class Figure:
    """A figure of a scenario, and what the README calls it."""

    scenario: str
    key: str
    label: str
    more_is_better: bool = False
    part: str | None = None
    # Scenarios without sockets name their subjects after what is varied.
    own: str = "fanfare"

    def of(self, record: Record, subject: str) -> dict[str, Any] | None:
        report = record.reports.get((self.scenario, self.part))
        figures = report["summary"].get(subject, {}) if report else {}
        return figures.get(self.key)


SATURATION = Figure("saturation", "deliveries_per_s", "no pause: deliveries/s", True)
SATURATION_P99 = Figure("saturation", "latency_p99_ns", "no pause: latency p99")
SATURATION_RSS = Figure("saturation", "rss_peak_bytes", "no pause: peak memory of the server")
PACED = Figure("paced", "server_cpu_per_delivery_ns", "paced: server CPU per delivery")
PACED_P99 = Figure("paced", "latency_p99_ns", "paced: latency p99")
IDLE = Figure("idle-memory", "bytes_per_client", "memory per idle client")
CONNECT = Figure("connect-storm", "connect_ns", "all connected, with their heads")

# What the README shows, with its own words, since no table beside it explains them.
SUMMARY = {
    SATURATION: "deliveries per second, published without pause",
    SATURATION_RSS: "peak memory of the server in that run",
    PACED: "server CPU per delivery, at a steady pace",
    PACED_P99: "latency p99, at a steady pace",
    IDLE: "memory per idle client",
    CONNECT: "time until all clients are connected",
}
# What the peers are compared in, and what is drawn.
COMPARED = [SATURATION, SATURATION_P99, SATURATION_RSS, PACED, PACED_P99, IDLE, CONNECT]
DRAWN = [SATURATION, PACED, SATURATION_P99, IDLE]
# What else is said of the engine; what the record does not hold is left out.
ENGINE = [
    *COMPARED,
    Figure(
        "unicast-under-broadcast",
        "solo_latency_p99_ns",
        "one person's message during a paced broadcast: p99",
        part="paced",
    ),
    Figure(
        "unicast-under-broadcast",
        "solo_latency_p99_ns",
        "the same during a broadcast without pause: p99",
        part="flood",
    ),
    Figure(
        "unicast-under-broadcast",
        "solo_latency_p50_ns",
        "the same: p50",
        part="flood",
    ),
    Figure(
        "unicast-under-broadcast",
        "solo_latency_p99_ns",
        "the same from the call of `publish` on: p99",
        part="flood-from-call",
    ),
    Figure(
        "many-topics",
        "server_cpu_per_delivery_ns",
        "10,000 topics, paced: server CPU per delivery",
        part="paced",
    ),
    Figure("publish-call", "publish_ns", "`publish` without subscriber, from Rust", own="rust"),
    Figure(
        "publish-call",
        "publish_ns",
        "the same if nothing is kept",
        own="rust-no-history",
    ),
    Figure("publish-call", "publish_ns", "`publish` through the C ABI, by handle", own="c"),
    Figure("publish-call", "publish_ns", "`publish` through the C ABI, by name", own="c-by-name"),
    Figure(
        "publish-call",
        "publish_ns",
        "`publish` by four threads at once, from Rust",
        own="rust-threads",
    ),
    Figure("publish-call", "publish_ns", "the same through the C ABI, by handle", own="c-threads"),
    Figure(
        "reconnect-replay",
        "replay_ns",
        "all come back at once with an id 1,000 events old: all have everything",
        part="one-id-quiet",
    ),
    Figure(
        "reconnect-replay",
        "replay_cpu_ratio",
        "the same: server CPU; connecting and a broadcast of the same bytes are 1",
        part="one-id-quiet",
    ),
    Figure("sinks", "delivery_ns", "a delivery to one of 1,000 sinks without a socket", own="1000"),
    Figure("sinks", "delivery_ns", "to one of 1,000,000", own="1000000"),
]


@dataclass
class Record:
    """The reports of one folder."""

    name: str
    # By scenario and part.
    reports: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> Record:
        record = Record(folder.name)
        for file in sorted(folder.glob("*.json")):
            for report in parts(json.loads(file.read_text(encoding="utf-8"))):
                if report.get("format") != FORMAT:
                    raise RecordError(f"{file.name}: not of format {FORMAT}")
                place = (report["scenario"], report.get("part"))
                if place in record.reports:
                    raise RecordError(f"{file.name}: another file has {place} as well")
                record.reports[place] = report
        if not record.reports:
            raise RecordError(f"{folder.name} holds no results")
        if len({json.dumps(report["machine"]) for report in record.reports.values()}) > 1:
            raise RecordError(f"{folder.name} holds results of different machines")
        return record

    def subjects(self) -> list[str]:
        """The engine, the bare loops, then the others by their throughput."""
        found: dict[str, None] = {}
        for report in self.compared():
            found.update(dict.fromkeys([*report["summary"], *absences(report)]))

        def order(subject: str) -> tuple[int, float, str]:
            kind = 0 if subject == "fanfare" else 1 if subject.startswith("floor") else 2
            speed = SATURATION.of(self, subject) if kind == 2 else None
            return kind, -speed["median"] if speed else 0.0, subject

        return sorted(found, key=order)

    def compared(self) -> Iterator[dict[str, Any]]:
        for scenario in dict.fromkeys(figure.scenario for figure in COMPARED):
            if (scenario, None) in self.reports:
                yield self.reports[scenario, None]

    def absence(self, figure: Figure, subject: str) -> tuple[str, str] | None:
        """Why a subject has no such figure, in a word and at length."""
        report = self.reports.get((figure.scenario, figure.part))
        return absences(report).get(subject) if report else None

    def any(self) -> dict[str, Any]:
        first = self.reports.get(("saturation", None))
        return first or next(iter(self.reports.values()))


class RecordError(Exception):
    """Something that the caller has to mend."""


def parts(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document.get("parts", [document])


def absences(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The subjects that were to be measured and were not: a word, and the reason."""
    found = {}
    for run in report["runs"]:
        for word in ("failed", "missing"):
            if word in run:
                found[run["subject"]] = (word, run[word])
    for peer in report.get("peers", []):
        if peer["outcome"] != "measured":
            word = peer["outcome"].replace("-", " ")
            found[peer["name"]] = (word, peer.get("reason") or word)
    return found


# Figures for people.


def show(unit: str, value: float) -> tuple[str, str]:
    """Three digits, and the unit that they are in."""
    step, units = {
        "ns": (1000.0, ["ns", "µs", "ms", "s"]),
        "bytes": (1024.0, ["B", "KiB", "MiB", "GiB"]),
        "count": (1000.0, ["", "k", "M", "G"]),
        "share": (math.inf, ["%"]),
    }[unit]
    shown = value * 100 if unit == "share" else value
    at = 0
    while abs(shown) >= step and at + 1 < len(units):
        shown /= step
        at += 1
    size = abs(shown)
    digits = 0 if size >= 100 or shown == int(shown) else 1 if size >= 10 else 2
    return f"{shown:.{digits}f}", units[at]


def plain(unit: str, value: float) -> str:
    return " ".join(show(unit, value)).strip()


def unit_of(record: Record, figure: Figure) -> str:
    return record.reports[figure.scenario, figure.part]["figures"][figure.key]["unit"]


def with_spread(record: Record, figure: Figure, values: dict[str, Any] | None) -> str:
    return with_spread_in(unit_of(record, figure), values) if values else ""


def with_spread_in(unit: str, values: dict[str, Any]) -> str:
    number, name = show(unit, values["median"])
    least, greatest = show(unit, values["min"]), show(unit, values["max"])
    if least == greatest:
        return f"{number} {name}".strip()
    if least[1] == greatest[1] == name:
        return f"{number} {name} [{least[0]}..{greatest[0]}]".replace("  ", " ")
    return f"{number} {name} [{' '.join(least)} .. {' '.join(greatest)}]"


def name_of(record: Record, subject: str) -> str:
    for report in record.reports.values():
        for peer in report.get("peers", []):
            if peer["name"] == subject and peer.get("software"):
                # What it is in brackets is in docs/benchmark.md.
                return peer["software"].partition(" (")[0]
    return NAMES.get(subject, subject)


def about(record: Record) -> str:
    """With what, on what and when the record was taken."""
    report = record.any()
    machine, program, given = report["machine"], report["program"], report["parameters"]
    commits = {of_one["program"].get("commit") for of_one in record.reports.values()}
    commit = f" ({program['commit']})" if program.get("commit") else ""
    if commit and len(commits) > 1:
        commit = f" ({program['commit']} and others)"
    clients, size = given.get("clients"), given.get("bytes")
    load = f"{clients:,} clients on loopback, events of {size} bytes; " if clients and size else ""
    memory = plain("bytes", machine["memory_bytes"]) if machine.get("memory_bytes") else "?"
    return (
        f"{load}{report['date'][:10]}, fanfare {program['version']}{commit}, "
        f"{machine['cpu']}, {machine['cores']} cores, {memory}, Linux {machine['kernel']}"
    )
