"""benches/record/render makes README and drawing of a record, and of nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import records

CHECKOUT = Path(__file__).resolve().parents[2]
RENDER = CHECKOUT / "benches" / "record" / "render"
MARKED = "before\n<!-- benchmark: begin -->\nold\n<!-- benchmark: end -->\nafter\n"


class Root:
    """A checkout with a README, a page of results and no record."""

    def __init__(self, path):
        self.path = path
        self.records = path / "benches" / "record"
        self.records.mkdir(parents=True)
        self.readme = path / "README.md"
        self.results = path / "docs" / "results.md"
        self.results.parent.mkdir()
        for file in (self.readme, self.results):
            file.write_text(MARKED, encoding="utf-8")
        self.svg = path / "docs" / "benchmark.svg"

    def render(self, *arguments):
        command = [sys.executable, RENDER, "--root", self.path, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def made(self):
        result = self.render()
        assert result.returncode == 0, result.stderr
        return self.results.read_text(encoding="utf-8")

    def cells(self, row, file=None):
        """The cells of the tables' rows that begin with this word."""
        lines = (file or self.results).read_text(encoding="utf-8").splitlines()
        rows = [line.split("|")[1:-1] for line in lines if line.startswith("|")]
        rows = [[cell.strip() for cell in cells] for cells in rows]
        return [cells for cells in rows if cells[0] == row]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "checkout")


def test_the_tables_hold_the_records_figures_with_spread_and_ratio(root):
    records.write(root.records / "2026-11-25")
    text = root.made()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "9.8.7 (abc123), Test CPU, 2 cores, 8 GiB, Linux 6.1" in text
    assert root.cells("no pause: deliveries/s") == [
        [
            "no pause: deliveries/s",
            "19.4 M [17.5..21.3]",
            "B: 24.1 M [21.7..26.5]",
            "0.80",
            "1.70 M, durable-streams",
        ]
    ]
    assert root.cells("axum 0.8.9")[0][1:4] == ["730 k", "2.30 s", "286 MiB"]
    assert "fanfare bench run saturation" in text


def test_the_readme_has_a_short_table_of_the_same_figures(root):
    records.write(root.records / "2026-11-25")
    root.made()
    text = root.readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    row = "deliveries per second, published without pause"
    assert root.cells(row, root.readme) == [
        [row, "19.4 M", "B: 24.1 M", "1.70 M, durable-streams"],
    ]
    # What the record does not hold is left out: here the time to connect.
    assert text.count("\n|") == 2 + 5


def test_peers_that_failed_or_are_missing_appear_as_such(root):
    records.write(root.records / "2026-11-25")
    text = root.made()
    assert root.cells("Mercure 0.2")[0][1:] == ["not installed"] * 6
    assert root.cells("better-sse")[0][1] == "30 k"
    assert root.cells("better-sse")[0][4:6] == ["failed", "failed"]
    assert "- better-sse: run 2: &lt;lost> \\| 1 event (paced)" in text
    # The least CPU is not that of one that failed.
    assert root.cells("paced: server CPU per delivery")[0][4] == "14 µs, axum 0.8.9"


def test_the_drawing_is_well_formed_and_names_every_subject(root):
    records.write(root.records / "2026-11-25")
    root.made()
    svg = ElementTree.parse(root.svg).getroot()
    texts = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    for name in ("fanfare", "bare loop A", "bare loop B", "axum 0.8.9", "nchan", "Mercure 0.2"):
        assert name in texts
    assert texts.count("not installed") == 4
    assert texts.count("failed") == 1
    # Every subject's median of every figure; better-sse failed in one.
    dots = list(svg.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(dots) == 7 + 5 + 7 + 6
    assert all(0 < float(dot.get("cx")) < float(svg.get("width")) for dot in dots)


def test_check_fails_when_readme_or_drawing_is_not_what_the_record_gives(root):
    records.write(root.records / "2026-11-25")
    assert "README.md is not what the record" in root.render("--check").stderr
    assert "old" in root.readme.read_text(encoding="utf-8")
    root.made()
    assert root.render("--check").returncode == 0
    for file in (root.readme, root.results, root.svg):
        right = file.read_text(encoding="utf-8")
        file.write_text(right.replace("19.4 M", "29.4 M"), encoding="utf-8")
        result = root.render("--check")
        assert result.returncode != 0
        assert file.name in result.stderr
        file.write_text(right, encoding="utf-8")
    assert root.render("--check").returncode == 0


def test_the_newest_record_counts(root):
    records.write(root.records / "2026-11-25", absent_peers=False)
    records.write(root.records / "2026-12-01")
    assert "Mercure" in root.made()


def test_without_a_record_nothing_is_changed(root):
    for arguments in ((), ("--check",)):
        assert root.render(*arguments).returncode == 0
    assert root.readme.read_text(encoding="utf-8") == MARKED


def change(file, **members):
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(document | members), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "members", "message"),
    [
        ("paced.json", {"machine": {"cpu": "other"}}, "different machines"),
        ("paced.json", {"format": 99}, "not of format"),
        ("paced.json", {"scenario": "saturation"}, "as well"),
    ],
)
def test_what_cannot_be_compared_is_refused(root, file, members, message):
    folder = root.records / "2026-11-25"
    records.write(folder)
    change(folder / file, **members)
    result = root.render()
    assert result.returncode != 0
    assert message in result.stderr
    assert root.readme.read_text(encoding="utf-8") == MARKED


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_a_page_without_its_two_marks_is_refused(root, name):
    records.write(root.records / "2026-11-25")
    file = root.path / name
    file.write_text("<!-- benchmark: begin -->", encoding="utf-8")
    assert f"{file.name} needs one" in root.render().stderr


def test_results_in_parts_are_read(root):
    folder = root.records / "2026-11-25"
    records.write(folder)
    columns = {"latency_p99_ns": 4}
    made = records.report("unicast-under-broadcast", None, columns)
    made["summary"] = {"fanfare": {"solo_latency_p99_ns": records.series(2.6e6)}}
    made["figures"] = {"solo_latency_p99_ns": {"label": "p99", "unit": "ns"}}
    parts = [made | {"part": part} for part in ("paced", "flood")]
    document = {"scenario": made["scenario"], "parts": parts, "across": []}
    (folder / "unicast.json").write_text(json.dumps(document), encoding="utf-8")
    root.made()
    row = "one person's message during a paced broadcast: p99"
    assert root.cells(row)[0][1] == "2.60 ms [2.34..2.86]"


def drivers_report(part, floor, cpu_ns):
    """Two runs, of which the second was disturbed: each took twice as long."""
    runs = [
        {"subject": subject, "metrics": {"server_cpu_per_delivery_ns": ns * factor}}
        for factor in (1, 2)
        for subject, ns in cpu_ns.items()
    ]
    made = records.report("drivers", floor, {})
    return made | {"part": part, "runs": runs}


def test_what_drives_the_engine_is_compared_with_the_neighbours_of_a_run(root):
    records.write(root.records / "2026-11-25")
    marks = "<!-- drivers: begin -->\n<!-- drivers: end -->\n"
    root.results.write_text(MARKED + marks, encoding="utf-8")
    assert root.made().endswith(marks)
    engine = {
        "fanfare": 1000,
        "fanfare-smol": 1500,
        "fanfare-tokio": 1100,
        "fanfare-tokio-multi": 1200,
        "fanfare-block-on": 1000,
    }
    parts = [
        drivers_report(part, floor, {floor: 500} | engine)
        for part, floor in (("paced", "floor-a"), ("flood", "floor-b"), ("single", "floor-a"))
    ]
    folder = root.records / "drivers-2026-11-29"
    folder.mkdir()
    document = {"scenario": "drivers", "parts": parts, "across": []}
    (folder / "drivers.json").write_text(json.dumps(document), encoding="utf-8")
    root.made()
    (row,) = root.cells("smol's global executor")
    assert row[1:4] == ["2.25 µs [1.50..3]", "1.50 [1.50..1.50]", "3.00 [3.00..3.00]"]
    (row,) = root.cells("threads of its own")
    assert row[2] == ""
    assert root.render("--check").returncode == 0


def test_results_that_were_really_measured_become_a_record(root, tmp_path):
    program = os.environ.get("FANFARE_BIN", str(CHECKOUT / "target" / "release" / "fanfare"))
    results = tmp_path / "results"
    results.mkdir()
    loads = {
        "saturation": ["--events", "200", "--subjects", "floor-b,fanfare"],
        "paced": ["--rate", "20", "--seconds", "1", "--subjects", "floor-a,fanfare"],
        "idle-memory": ["--subjects", "fanfare"],
    }
    for scenario, words in loads.items():
        command = [program, "bench", scenario, *words, "--clients", "20", "--unpinned"]
        command += ["--json", str(results / f"{scenario}.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    result = root.render("--take", results)
    assert result.returncode == 0, result.stderr
    (folder,) = (entry for entry in root.records.iterdir() if entry.is_dir())
    taken = json.loads((folder / "saturation.json").read_text(encoding="utf-8"))
    assert folder.name == taken["date"][:10]
    assert root.render("--check").returncode == 0
    # A record that is taken once more is still there.
    assert root.render("--take", folder).returncode == 0
    assert (folder / "saturation.json").exists()
    assert root.render("--take", folder, "--check").returncode != 0
    cells = root.cells("no pause: deliveries/s")[0]
    assert float(cells[3]) == pytest.approx(
        taken["summary"]["fanfare"]["deliveries_per_s"]["ratio_to_floor"], abs=0.006
    )
    assert root.cells("memory per idle client")
