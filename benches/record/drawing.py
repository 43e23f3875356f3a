"""The drawing of a record: for each figure a column of dots with their spread."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import escape

from results import DRAWN, Figure, Record, about, name_of, plain, unit_of

STYLE = """\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
text{font-size:12px;fill:#3d4450}
.title{font-size:19px;font-weight:600;fill:#14181f}
.head{font-size:13px;font-weight:600;fill:#14181f}
.own{font-weight:600;fill:#2563d9}
.small{font-size:11px;fill:#6b7380}
.card{fill:#ffffff;stroke:#dfe3e8}
.band{fill:#3b7ded;fill-opacity:.09}
.grid{stroke:#e6e9ee;stroke-width:1}
.row{stroke:#eef0f4;stroke-width:1}
.peer{fill:#e0742b;stroke:#e0742b}
.floor{fill:#8a93a0;stroke:#8a93a0}
.fanfare{fill:#3b7ded;stroke:#3b7ded}
.spread{stroke-width:2;stroke-opacity:.55}
@media (prefers-color-scheme:dark){
text{fill:#b9c1cc}.title,.head{fill:#f0f3f7}.own{fill:#7fb0ff}.small{fill:#8b94a1}
.card{fill:#14181f;stroke:#2a303a}.band{fill-opacity:.18}.grid{stroke:#262c35}.row{stroke:#1e232b}}
"""
LABELS_WIDTH, PANEL_WIDTH, PANEL_GAP, ROW_HEIGHT, TOP = 172, 196, 22, 27, 122
# Room at a panel's right end for the value of the greatest dot.
VALUE_WIDTH = 62


def drawing(record: Record) -> str:
    subjects = record.subjects()
    figures = [figure for figure in DRAWN if (figure.scenario, None) in record.reports]
    width = LABELS_WIDTH + len(figures) * (PANEL_WIDTH + PANEL_GAP) + 10
    width = max(width, 640)
    bottom = TOP + len(subjects) * ROW_HEIGHT
    height = bottom + 62
    body = [
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        text(24, 36, "fanfare, bare loops and other servers, in the same runs", "title"),
        text(24, 57, about(record), "small"),
    ]
    for at, subject in enumerate(subjects):
        y = TOP + (at + 0.5) * ROW_HEIGHT
        own = subject == "fanfare"
        if own:
            body.append(
                f'<rect class="band" x="12" y="{y - ROW_HEIGHT / 2:.1f}" width="{width - 24}" '
                f'height="{ROW_HEIGHT}" rx="4"/>'
            )
        body.append(line(24, y + ROW_HEIGHT / 2, width - 24, y + ROW_HEIGHT / 2, "row"))
        body.append(text(24, y + 4, name_of(record, subject), "own" if own else ""))
    for at, figure in enumerate(figures):
        left = LABELS_WIDTH + at * (PANEL_WIDTH + PANEL_GAP)
        body += panel(record, figure, subjects, left, bottom)
    legend = "Dots are medians, bars reach from the least to the greatest run; all axes are "
    legend += "logarithmic. Bare loops have no engine: what they need, every server needs."
    body.append(text(24, height - 16, legend, "small"))
    title = f"Benchmark of {record.any()['date'][:10]}: " + ", ".join(map(str, subjects))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>\n{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def panel(
    record: Record, figure: Figure, subjects: list[str], left: float, bottom: float
) -> Iterator[str]:
    where, what = figure.label.split(": ", 1) if ": " in figure.label else ("idle", figure.label)
    what = what.replace("memory per idle client", "memory per client")
    better = "more is better" if figure.more_is_better else "less is better"
    yield text(left, TOP - 34, what, "head")
    yield text(left, TOP - 18, f"{where}; {better}", "small")
    unit = unit_of(record, figure)
    # One that failed is not drawn, whatever it managed before.
    found = {
        subject: values
        for subject in subjects
        if not record.absence(figure, subject) and (values := figure.of(record, subject))
    }
    positive = [v for values in found.values() for v in (values["min"], values["max"]) if v > 0]
    low = math.log10(min(positive, default=1)) - 0.06
    high = max(math.log10(max(positive, default=10)), low + 0.5)

    def place(value: float) -> float:
        share = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
        return left + 6 + min(max(share, 0.0), 1.0) * (PANEL_WIDTH - VALUE_WIDTH - 6)

    for value in ticks(unit, low, high):
        x = place(value)
        yield line(x, TOP, x, bottom, "grid")
        yield text(x, bottom + 16, tick(unit, value), "small", "middle")
    for at, subject in enumerate(subjects):
        y = TOP + (at + 0.5) * ROW_HEIGHT
        absent = record.absence(figure, subject)
        if absent or subject not in found:
            yield text(left + 6, y + 4, absent[0] if absent else "-", "small")
            continue
        values = found[subject]
        kind = (
            subject if subject == "fanfare" else subject[:5] if subject[:5] == "floor" else "peer"
        )
        least, median, greatest = (place(values[key]) for key in ("min", "median", "max"))
        yield line(least, y, greatest, y, f"spread {kind}")
        yield f'<circle class="{kind}" cx="{median:.1f}" cy="{y:.1f}" r="4.5"/>'
        own = "own" if subject == "fanfare" else ""
        yield text(greatest + 10, y + 4, plain(unit, values["median"]), own)


def ticks(unit: str, low: float, high: float) -> list[float]:
    """Round values between two powers of ten: at most five."""
    powers = [16.0**at if unit == "bytes" else 10.0**at for at in range(-3, 16)]
    fitting = [value for value in powers if low <= math.log10(value) <= high]
    if len(fitting) < 2:
        finer = [step * value for value in powers for step in (1, 2, 4)]
        fitting = [value for value in finer if low <= math.log10(value) <= high]
    # Those next to each other would be written over each other.
    return fitting[:: math.ceil(len(fitting) / 4) or 1]


def tick(unit: str, value: float) -> str:
    return re.sub(r"\.0+(?= |$)", "", plain(unit, value))


def text(x: float, y: float, content: str, style: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'
