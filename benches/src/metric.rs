//! What a run yields: figures with a name and a unit, and how they are shown to people.

use crate::histogram::Histogram;
use crate::timeline::Course;

/// One figure of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its name for machines; ends with its unit.
    pub(crate) key: &'static str,
    /// Its name for people.
    pub(crate) label: &'static str,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
}

/// In what a figure is measured, which decides how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    /// Anything that is counted, or counted per second.
    Count,
    /// A share of one core: 1.0 is all of it.
    Share,
}

/// What one run yields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) metrics: Vec<Metric>,
    /// Distributions to be joined over the repeats, by name.
    pub(crate) pooled: Vec<(&'static str, Histogram)>,
    /// How many events arrived when, counted from when the first was published.
    pub(crate) course: Option<Course>,
}

impl Measured {
    /// A figure of this name.
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, key: &'static str, label: &'static str, unit: Unit, value: f64) {
        self.metrics.push(Metric { key, label, unit, value });
    }

    /// Adds a time or a span, in nanoseconds.
    pub(crate) fn add_ns(&mut self, key: &'static str, label: &'static str, span_ns: u64) {
        self.add(key, label, Unit::Nanoseconds, span_ns as f64);
    }

    /// Adds an amount of memory, in bytes.
    pub(crate) fn add_bytes(&mut self, key: &'static str, label: &'static str, bytes: f64) {
        self.add(key, label, Unit::Bytes, bytes);
    }

    /// Adds a number of things.
    pub(crate) fn add_count(&mut self, key: &'static str, label: &'static str, count: f64) {
        self.add(key, label, Unit::Count, count);
    }
}

/// `count` per second over a span in nanoseconds.
pub(crate) fn per_second(count: u64, span_ns: u64) -> f64 {
    count as f64 * 1e9 / span_ns.max(1) as f64
}

/// A figure for people: three digits and a unit.
pub(crate) fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Nanoseconds => scaled(value, 1000.0, &[" ns", " us", " ms", " s"]),
        Unit::Bytes => scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB"]),
        Unit::Count => scaled(value, 1000.0, &["", " k", " M", " G"]),
        Unit::Share => format!("{:.0} %", value * 100.0),
    }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut shown = value;
    let mut unit = 0;
    while shown.abs() >= step && unit + 1 < units.len() {
        shown /= step;
        unit += 1;
    }
    let digits = match shown.abs() {
        _ if unit == 0 && shown.fract() == 0.0 => 0,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{shown:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_three_digits() {
        let shown = [
            (Unit::Nanoseconds, 999.0, "999 ns"),
            (Unit::Nanoseconds, 1_234.0, "1.23 us"),
            (Unit::Nanoseconds, 99_400_000.0, "99.4 ms"),
            (Unit::Bytes, 130.25, "130 B"),
            (Unit::Bytes, 2_147_483_648.0, "2.00 GiB"),
            (Unit::Count, 24_900_000.0, "24.9 M"),
            (Unit::Count, 0.0, "0"),
            (Unit::Share, 0.634, "63 %"),
        ];
        for (unit, value, text) in shown {
            assert_eq!(show(unit, value), text);
        }
    }
}
