//! The result of all runs of a scenario: a table for people, JSON for machines.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{json, Map, Value};

use super::histogram::Histogram;
use super::metric::{show, Measured, Unit};

const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// All runs of one scenario.
pub(super) struct Report {
    scenario: String,
    parameters: Map<String, Value>,
    runs: Vec<(String, Measured)>,
}

/// One figure of one subject over its repeats.
struct Series {
    unit: Unit,
    values: Vec<f64>,
}

impl Report {
    /// A report without runs. `parameters` is a JSON object.
    pub(super) fn new(scenario: &str, parameters: Value) -> Self {
        let parameters = match parameters {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        Self { scenario: scenario.to_owned(), parameters, runs: Vec::new() }
    }

    /// Adds a run of a subject.
    pub(super) fn add(&mut self, subject: &str, measured: Measured) {
        self.runs.push((subject.to_owned(), measured));
    }

    /// Prints the table: median, and in brackets the least and greatest of the repeats.
    pub(super) fn print(&self) {
        println!("\n{}  {}", self.scenario, self.parameters_line());
        let subjects = self.subjects();
        let floor = self.floor();
        let mut rows = vec![self.title_row(&subjects, floor)];
        for (key, label) in self.series_of_all(&subjects) {
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
        for ((subject, name), histogram) in self.pooled() {
            println!("{subject}: {name}, all runs: {}", show_histogram(&histogram));
        }
    }

    /// Everything, for machines.
    pub(super) fn document(&self) -> Value {
        let mut summary = Map::new();
        for subject in self.subjects() {
            let mut figures = Map::new();
            for (key, _) in self.series_of_all(&[subject]) {
                let Some(series) = self.series(subject, key) else { continue };
                let (least, median, greatest) = series.range();
                figures.insert(
                    key.to_owned(),
                    json!({
                        "median": median, "min": least, "max": greatest,
                        "ratio_to_floor": self.ratio(subject, key),
                    }),
                );
            }
            summary.insert(subject.to_owned(), Value::Object(figures));
        }
        let runs: Vec<Value> =
            self.runs.iter().map(|(subject, run)| run_json(subject, run)).collect();
        let pooled: Vec<Value> = self
            .pooled()
            .into_iter()
            .map(|((subject, name), histogram)| {
                json!({"subject": subject, "name": name, "distribution": histogram_json(&histogram)})
            })
            .collect();
        json!({
            "scenario": self.scenario,
            "command": std::env::args().collect::<Vec<_>>(),
            "machine": machine(),
            "parameters": self.parameters,
            "floor": self.floor(),
            "summary": summary,
            "pooled": pooled,
            "runs": runs,
        })
    }

    fn parameters_line(&self) -> String {
        let shown = self.parameters.iter().filter(|(_, value)| !value.is_null());
        shown.map(|(name, value)| format!("{name} {value}  ")).collect()
    }

    /// In the order of their first runs.
    fn subjects(&self) -> Vec<&str> {
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

    /// Key and label of every figure that any of the subjects has.
    fn series_of_all(&self, subjects: &[&str]) -> Vec<(&'static str, &'static str)> {
        let mut all = Vec::new();
        for (subject, run) in &self.runs {
            for metric in &run.metrics {
                if subjects.contains(&subject.as_str())
                    && !all.contains(&(metric.key, metric.label))
                {
                    all.push((metric.key, metric.label));
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

    fn ratio(&self, subject: &str, key: &str) -> Option<f64> {
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
pub(super) fn print_columns(rows: &[Vec<String>]) {
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
    percentiles.insert("max_ns".to_owned(), json!(histogram.max_ns()));
    percentiles.insert("count".to_owned(), json!(histogram.total()));
    Value::Object(percentiles)
}

fn run_json(subject: &str, run: &Measured) -> Value {
    let metrics = run.metrics.iter().map(|metric| (metric.key.to_owned(), json!(metric.value)));
    json!({"subject": subject, "metrics": metrics.collect::<Map<_, _>>()})
}

/// What the figures were taken on.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo").lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned())
    });
    let unix_seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    json!({
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "unix_seconds": unix_seconds,
    })
}
