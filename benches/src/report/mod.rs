//! The result of all runs of a scenario: a table and a drawing for people, JSON for machines.
//! `docs/benchmark.md` says what the JSON holds.

pub(crate) mod machine;
pub(crate) mod plot;
pub(crate) mod svg;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{json, Map, Value};

use crate::histogram::Histogram;
use crate::metric::{show, Measured, Metric, Unit};
use crate::report::plot::Plotted;
use crate::subject::peers::{Note, Outcome};
use crate::timeline::Course;
use crate::Error;

const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The most spans of a run's course in the JSON.
const COURSE_SPANS_MAX: usize = 256;
/// How deep members of the JSON have a line each.
const LINES_DEPTH: usize = 2;
/// The members of the JSON that come first; the rest is sorted by name.
const FIRST: [&str; 14] = [
    "format",
    "scenario",
    "part",
    "date",
    "command",
    "program",
    "machine",
    "parameters",
    "floor",
    "peers",
    "figures",
    "summary",
    "pooled",
    "runs",
];
/// Changes when a program that reads the JSON has to change.
const FORMAT: u32 = 1;

/// All runs of one scenario.
pub(crate) struct Report {
    /// When it began, in whole seconds.
    date: jiff::Timestamp,
    scenario: String,
    /// Which part of it; `None` for the only one.
    part: Option<String>,
    parameters: Map<String, Value>,
    runs: Vec<(String, Measured)>,
    /// The outcome of every peer, of those that were not measured as well.
    peers: Vec<Note>,
}

/// One figure of one subject over its repeats.
struct Series {
    unit: Unit,
    values: Vec<f64>,
}

impl Report {
    /// A report without runs. `parameters` is a JSON object.
    pub(crate) fn new(scenario: &str, part: Option<&str>, parameters: Value) -> Self {
        let parameters = match parameters {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        let now = jiff::Timestamp::now();
        let date = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            date,
            scenario: scenario.to_owned(),
            part: part.map(str::to_owned),
            parameters,
            runs: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Scenario and part, for people.
    pub(crate) fn title(&self) -> String {
        match &self.part {
            Some(part) => format!("{} ({part})", self.scenario),
            None => self.scenario.clone(),
        }
    }

    /// Adds a run of a subject.
    pub(crate) fn add(&mut self, subject: &str, measured: Measured) {
        self.runs.push((subject.to_owned(), measured));
    }

    /// Adds the outcome of a peer among the subjects. A later one of the same peer replaces it.
    pub(crate) fn note(&mut self, note: Note) {
        match self.peers.iter_mut().find(|other| other.name == note.name) {
            Some(other) => *other = note,
            None => self.peers.push(note),
        }
    }

    /// The peers of which a run failed.
    pub(crate) fn failed(&self) -> Vec<String> {
        let failed = self.peers.iter().filter(|note| note.outcome == Outcome::Failed);
        failed.map(|note| note.name.clone()).collect()
    }

    /// Prints the table: median, and in brackets the least and greatest of the repeats.
    pub(crate) fn print(&self) {
        println!("\n{}  {}", self.title(), self.parameters_line());
        let subjects = self.subjects();
        let floor = self.floor();
        let mut rows = vec![self.title_row(&subjects, floor)];
        for Metric { key, label, .. } in self.series_of_all(&subjects) {
            let mut row = vec![label.to_owned()];
            for subject in &subjects {
                row.push(self.series(subject, key).map_or_else(String::new, |s| s.show()));
            }
            row.extend(subjects.iter().filter(|s| floor.is_some_and(|floor| floor != **s)).map(
                |subject| {
                    self.ratio(subject, key).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
                },
            ));
            rows.push(row);
        }
        print_columns(&rows);
        for note in &self.peers {
            println!("{}", note.line());
        }
        for ((subject, name), histogram) in self.pooled() {
            println!("{subject}: {name}, all runs: {}", show_histogram(&histogram));
        }
    }

    /// Writes everything as JSON.
    pub(crate) fn write_json(&self, path: &Path) -> Result<(), Error> {
        write_document(path, &self.document())
    }

    /// Everything, for machines.
    pub(crate) fn document(&self) -> Value {
        let runs = self.runs.iter().map(|(subject, run)| run_json(subject, run));
        let pooled = self.pooled().into_iter().map(|((subject, name), histogram)| {
            json!({"subject": subject, "name": name, "distribution": histogram_json(&histogram)})
        });
        json!({
            "format": FORMAT,
            "scenario": self.scenario,
            "part": self.part,
            "date": self.date.to_string(),
            "command": machine::command(std::env::args()),
            "program": machine::program(),
            "machine": machine::describe(),
            "parameters": self.parameters,
            "floor": self.floor(),
            "peers": self.peers,
            "figures": self.figures_json(),
            "summary": self.summary_json(),
            "pooled": pooled.collect::<Vec<_>>(),
            "runs": runs.collect::<Vec<_>>(),
        })
    }

    /// Draws the distribution of latencies, and the course of one run of each subject, as SVG.
    pub(crate) fn write_plot(&self, path: &Path) -> Result<(), Error> {
        let pooled = self.pooled();
        let subjects = self.subjects();
        let plotted = subjects.iter().map(|subject| Plotted {
            name: subject,
            latency: pooled.get(&(*subject, "latency")),
            course: self.course(subject),
        });
        let title = format!("fanfare bench {}", self.title());
        write(path, &plot::draw(&title, &self.below_title(), &plotted.collect::<Vec<_>>()))
    }

    /// What was asked for, when, and on what machine.
    fn below_title(&self) -> [String; 2] {
        let machine = machine::describe();
        let given = self.parameters.iter().filter(|(_, value)| value.as_f64() != Some(0.0));
        let given = given.filter(|(_, value)| !value.is_null());
        let given: Vec<String> =
            given.map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect();
        let of_machine = |name: &str| machine[name].as_str().unwrap_or("?").to_owned();
        let cores = machine["cores"].as_u64().unwrap_or(0);
        let when = self.date.strftime("%Y-%m-%d %H:%M UTC");
        let version = env!("CARGO_PKG_VERSION");
        let (cpu, kernel) = (of_machine("cpu"), of_machine("kernel"));
        [
            given.join(", "),
            format!("{when}, fanfare {version}, {cpu}, {cores} cores, Linux {kernel}"),
        ]
    }

    /// The course of the subject's run of median throughput.
    fn course(&self, subject: &str) -> Option<&Course> {
        let mut courses: Vec<(f64, &Course)> = self
            .runs
            .iter()
            .filter(|(name, _)| name == subject)
            .filter_map(|(_, run)| Some((run.value("deliveries_per_s")?, run.course.as_ref()?)))
            .collect();
        courses.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        courses.get(courses.len().saturating_sub(1) / 2).map(|(_, course)| *course)
    }

    fn figures_json(&self) -> Value {
        let figures = self.series_of_all(&self.subjects()).into_iter().map(|metric| {
            let unit = match metric.unit {
                Unit::Nanoseconds => "ns",
                Unit::Bytes => "bytes",
                Unit::Count => "count",
                Unit::Share => "share",
            };
            (metric.key.to_owned(), json!({"label": metric.label, "unit": unit}))
        });
        Value::Object(figures.collect())
    }

    fn summary_json(&self) -> Value {
        let mut summary = Map::new();
        for subject in self.subjects() {
            let mut figures = Map::new();
            for Metric { key, .. } in self.series_of_all(&[subject]) {
                let Some(series) = self.series(subject, key) else { continue };
                let (least, median, greatest) = series.range();
                figures.insert(
                    key.to_owned(),
                    json!({
                        "median": median, "min": least, "max": greatest,
                        "runs": series.values.len(),
                        "ratio_to_floor": self.ratio(subject, key),
                    }),
                );
            }
            summary.insert(subject.to_owned(), Value::Object(figures));
        }
        Value::Object(summary)
    }

    fn parameters_line(&self) -> String {
        let shown = self.parameters.iter().filter(|(_, value)| !value.is_null());
        shown.map(|(name, value)| format!("{name} {value}  ")).collect()
    }

    /// In the order of their first runs.
    pub(crate) fn subjects(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for (subject, _) in &self.runs {
            if !subjects.contains(&subject.as_str()) {
                subjects.push(subject);
            }
        }
        subjects
    }

    /// The subject that the others are compared with.
    fn floor(&self) -> Option<&str> {
        self.subjects().into_iter().find(|subject| subject.starts_with("floor"))
    }

    fn title_row(&self, subjects: &[&str], floor: Option<&str>) -> Vec<String> {
        let mut row = vec![String::new()];
        row.extend(subjects.iter().map(|subject| (*subject).to_owned()));
        if let Some(floor) = floor {
            let others = subjects.iter().filter(|subject| **subject != floor);
            row.extend(others.map(|subject| format!("{subject}/{floor}")));
        }
        row
    }

    /// Every figure that any of the subjects has, once.
    fn series_of_all(&self, subjects: &[&str]) -> Vec<Metric> {
        let mut all: Vec<Metric> = Vec::new();
        for (subject, run) in &self.runs {
            for metric in &run.metrics {
                if subjects.contains(&subject.as_str())
                    && all.iter().all(|other| other.key != metric.key)
                {
                    all.push(*metric);
                }
            }
        }
        all
    }

    fn series(&self, subject: &str, key: &str) -> Option<Series> {
        let runs = self.runs.iter().filter(|(name, _)| name == subject);
        let metrics = runs.flat_map(|(_, run)| &run.metrics).filter(|metric| metric.key == key);
        let mut series: Option<Series> = None;
        for metric in metrics {
            series
                .get_or_insert_with(|| Series { unit: metric.unit, values: Vec::new() })
                .values
                .push(metric.value);
        }
        series
    }

    /// The median of a figure over a subject's runs.
    pub(crate) fn median(&self, subject: &str, key: &str) -> Option<f64> {
        let (_, median, _) = self.series(subject, key)?.range();
        Some(median)
    }

    /// The median of a figure relative to that of the floor.
    pub(crate) fn ratio(&self, subject: &str, key: &str) -> Option<f64> {
        let floor = self.floor().filter(|floor| *floor != subject)?;
        let (_, of_floor, _) = self.series(floor, key)?.range();
        let (_, of_subject, _) = self.series(subject, key)?.range();
        (of_floor != 0.0).then(|| of_subject / of_floor)
    }

    fn pooled(&self) -> BTreeMap<(&str, &'static str), Histogram> {
        let mut pooled: BTreeMap<_, Histogram> = BTreeMap::new();
        for (subject, run) in &self.runs {
            for (name, histogram) in &run.pooled {
                pooled.entry((subject.as_str(), *name)).or_default().merge(histogram);
            }
        }
        pooled
    }
}

impl Series {
    /// Least, median and greatest. There is at least one value.
    fn range(&self) -> (f64, f64, f64) {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        (values[0], median, values[values.len() - 1])
    }

    fn show(&self) -> String {
        let (least, median, greatest) = self.range();
        if self.values.len() == 1 || least == greatest {
            return show(self.unit, median);
        }
        let (least, greatest) = (show(self.unit, least), show(self.unit, greatest));
        format!("{} [{least} .. {greatest}]", show(self.unit, median))
    }
}

/// Prints a table whose columns are as wide as they need to be.
pub(crate) fn print_columns(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        println!("{}", cells.collect::<String>().trim_end());
    }
}

fn show_histogram(histogram: &Histogram) -> String {
    let mut text = format!("{} values", histogram.total());
    for (name, percent) in PERCENTILES {
        let value_ns = histogram.percentile_ns(percent) as f64;
        text += &format!(", {name} {}", show(Unit::Nanoseconds, value_ns));
    }
    text + &format!(", max {}", show(Unit::Nanoseconds, histogram.max_ns() as f64))
}

fn histogram_json(histogram: &Histogram) -> Value {
    let mut percentiles = Map::new();
    for (name, percent) in PERCENTILES {
        percentiles.insert(format!("{name}_ns"), json!(histogram.percentile_ns(percent)));
    }
    percentiles.insert("min_ns".to_owned(), json!(histogram.min_ns()));
    percentiles.insert("max_ns".to_owned(), json!(histogram.max_ns()));
    percentiles.insert("count".to_owned(), json!(histogram.total()));
    percentiles.insert("curve".to_owned(), json!(histogram.curve()));
    Value::Object(percentiles)
}

fn run_json(subject: &str, run: &Measured) -> Value {
    let metrics = run.metrics.iter().map(|metric| (metric.key.to_owned(), json!(metric.value)));
    let metrics: Map<_, _> = metrics.collect();
    let mut object = json!({"subject": subject, "metrics": metrics});
    if let Some(course) = &run.course {
        let course = course.coarser(course.counts.len().div_ceil(COURSE_SPANS_MAX));
        object["course"] = json!({
            "width_ns": course.width_ns, "from_ns": course.from_ns, "counts": course.counts,
        });
    }
    object
}

/// Writes a report's document, or one that holds those of several as its `parts`.
pub(crate) fn write_document(path: &Path, document: &Value) -> Result<(), Error> {
    let mut text = lines_json(document, LINES_DEPTH);
    text.push('\n');
    write(path, &text)
}

/// JSON that people and `diff` can read as well: down to a depth a line for each member, what
/// tells most first.
fn lines_json(value: &Value, depth: usize) -> String {
    let lines: Vec<String> = match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            let place = |name: &str| FIRST.iter().position(|first| *first == name);
            members.sort_by_key(|(name, _)| place(name).unwrap_or(FIRST.len()));
            let line = |(name, value): (&String, _)| {
                format!("{}: {}", Value::from(name.as_str()), lines_json(value, depth - 1))
            };
            members.into_iter().filter(|_| depth > 0).map(line).collect()
        }
        // Reports in a report are as deep again.
        Value::Array(values) if values.iter().any(|value| value.get("scenario").is_some()) => {
            values.iter().map(|value| lines_json(value, LINES_DEPTH)).collect()
        }
        Value::Array(values) if values.iter().any(Value::is_object) && depth > 0 => {
            values.iter().map(Value::to_string).collect()
        }
        _ => Vec::new(),
    };
    if lines.is_empty() {
        return value.to_string();
    }
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    let lines = lines.join(",\n").replace('\n', "\n  ");
    format!("{open}\n  {lines}\n{close}")
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_lines_is_the_same_json() {
        let part = json!({
            "scenario": "a\nb", "none": [], "words": ["a", "b\n"], "runs": [{"a": [1, 2]}, {"b": null}],
            "summary": {"x \"y\"": {"z": 1.5, "deep": {"er": [{}]}}}, "empty": {}, "format": 1,
        });
        for document in [json!({"scenario": "c", "parts": [part, part]}), part] {
            let text = lines_json(&document, LINES_DEPTH);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document, "{text}");
            assert!(text.lines().count() > 10, "{text}");
        }
    }
}
