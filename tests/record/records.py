"""Records that never were, for the tests of benches/record/render."""

import json
from pathlib import Path

MACHINE = {"cpu": "Test CPU", "cores": 2, "memory_bytes": 8 << 30, "kernel": "6.1", "system": "T"}
UNITS = {
    "deliveries_per_s": "count",
    "latency_p99_ns": "ns",
    "rss_peak_bytes": "bytes",
    "server_cpu_per_delivery_ns": "ns",
    "bytes_per_client": "bytes",
    "connect_ns": "ns",
}
# Subject, then median throughput, p99 and memory without pause, CPU and p99 paced, idle memory.
SUBJECTS = {
    "floor-a": (1.1e5, 9e7, 4.3e6, 9.5e3, 1.11e8, 0),
    "floor-b": (24.1e6, 1.7e8, 4.3e6, None, None, None),
    "fanfare": (19.4e6, 2.73e8, 4.8e6, 1.02e4, 1.10e8, 52),
    "axum": (7.3e5, 2.3e9, 3e8, 1.4e4, 1.3e8, 19e3),
    "durable-streams": (1.7e6, 11e9, 2.3e9, 1.6e4, 1.5e8, 740),
    "nchan": (1e5, 4e9, 9e7, 1.5e4, 1.2e8, 1e4),
    "better-sse": (3e4, 6e10, 5e8, 2.5e4, 2.4e8, 21e3),
}


def series(median, floor=None):
    ratio = median / floor if floor else None
    return {
        "median": median,
        "min": median * 0.9,
        "max": median * 1.1,
        "runs": 5,
        "ratio_to_floor": ratio,
    }


def report(scenario, floor, columns, **more):
    """A report with figures in these columns of SUBJECTS."""
    summary = {}
    for subject, values in SUBJECTS.items():
        figures = {}
        for key, column in columns.items():
            if values[column] is not None:
                beside = SUBJECTS[floor][column] if floor and subject != floor else None
                figures[key] = series(values[column], beside)
        if figures:
            summary[subject] = figures
    return {
        "format": 1,
        "scenario": scenario,
        "date": "2026-11-25T10:00:00Z",
        "command": ["fanfare", "bench", "run", scenario],
        "program": {"version": "9.8.7", "commit": "abc123"},
        "machine": MACHINE,
        "parameters": {"clients": 10000, "bytes": 128},
        "floor": floor,
        "figures": {key: {"label": key, "unit": UNITS[key]} for key in columns},
        "summary": summary,
        "pooled": [],
        "runs": [],
        **more,
    }


def write(folder: Path, absent_peers: bool = True) -> None:
    """A whole record: one peer missing everywhere, one that failed in one scenario."""
    peers = [
        {"name": "axum", "software": "axum 0.8.9", "outcome": "measured", "reason": None},
        {
            "name": "mercure",
            "software": "Mercure 0.2",
            "outcome": "not-installed",
            "reason": "run make bench-peers",
        },
    ]
    columns = {"deliveries_per_s": 0, "latency_p99_ns": 1, "rss_peak_bytes": 2}
    saturation = report("saturation", "floor-b", columns)
    columns = {"server_cpu_per_delivery_ns": 3, "latency_p99_ns": 4}
    paced = report("paced", "floor-a", columns)
    idle = report("idle-memory", None, {"bytes_per_client": 5})
    if absent_peers:
        for made in (saturation, paced, idle):
            made["peers"] = peers
        paced["runs"] = [{"subject": "better-sse", "failed": "run 2: <lost> | 1 event"}]
    folder.mkdir(parents=True)
    for made in (saturation, paced, idle):
        text = json.dumps(made)
        (folder / f"{made['scenario']}.json").write_text(text, encoding="utf-8")
