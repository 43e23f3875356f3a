//! Runs a scenario: all parts and all subjects in turn, as often as it says, so that what the
//! machine does beside meets all alike; then reports each part, and the parts beside each other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use super::load::Load;
use super::metric::{show, Measured, Unit};
use super::report::{print_columns, Report};
use super::run::{RunArgs, Server};
use super::scenarios::{Part, Scenario};
use super::Error;

/// Runs a scenario, prints its tables and writes its JSON.
///
/// # Errors
///
/// When one run fails.
pub(super) fn run(
    scenario: &Scenario,
    args: &RunArgs,
    mut measure: impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
) -> Result<(), Error> {
    let mut reports: Vec<(String, Report)> = scenario
        .parts
        .iter()
        .map(|part| {
            let title = title(scenario, part);
            let mut parameters = part.parameters.clone();
            parameters.insert("repeat".to_owned(), scenario.repeat.into());
            let report = Report::new(&title, Value::Object(parameters));
            (title, report)
        })
        .collect();
    for turn in 1..=scenario.repeat {
        let turn = format!("{turn} of {}", scenario.repeat);
        for (part, (title, report)) in scenario.parts.iter().zip(&mut reports) {
            args.measure(part, (title.as_str(), turn.as_str()), report, &mut measure)?;
        }
    }
    for (_, report) in &reports {
        report.print();
    }
    let mut documents: Vec<Value> = reports.iter().map(|(_, report)| report.document()).collect();
    for (document, part) in documents.iter_mut().zip(&scenario.parts) {
        document["scenario"] = json!(scenario.name);
        document["part"] = json!(part.name);
    }
    let across = across(scenario, &documents);
    print_across(&across);
    args.json.as_ref().map_or(Ok(()), |path| {
        let document = match documents.len() {
            1 => documents.remove(0),
            _ => json!({"scenario": scenario.name, "parts": documents, "across": across}),
        };
        write(&file_in(path, &scenario.name), &document)
    })
}

fn title(scenario: &Scenario, part: &Part) -> String {
    match &part.name {
        Some(part) => format!("{} ({part})", scenario.name),
        None => scenario.name.clone(),
    }
}

/// The figures that the scenario compares from part to part: each with its ratio to the same
/// subject's in the part that it stands beside.
fn across(scenario: &Scenario, documents: &[Value]) -> Vec<Value> {
    let median = |part: usize, subject: &str, figure: &str| {
        documents[part]["summary"][subject][figure]["median"].as_f64()
    };
    let place =
        |name: &str| scenario.parts.iter().position(|part| part.name.as_deref() == Some(name));
    let mut rows = Vec::new();
    for figure in &scenario.across {
        for (at, part) in scenario.parts.iter().enumerate() {
            for subject in &part.subjects {
                let Some(value) = median(at, subject, figure) else { continue };
                let beside = part.beside.as_deref().and_then(place);
                let before = beside.and_then(|beside| median(beside, subject, figure));
                rows.push(json!({
                    "figure": figure,
                    "part": part.name,
                    "subject": subject,
                    "median": value,
                    "beside": part.beside,
                    "ratio": before.filter(|before| *before != 0.0).map(|before| value / before),
                    "ratio_to_floor":
                        documents[at]["summary"][subject][figure.as_str()]["ratio_to_floor"],
                }));
            }
        }
    }
    rows
}

fn print_across(across: &[Value]) {
    if across.is_empty() {
        return;
    }
    let titles = ["across the parts", "part", "subject", "median", "ratio", "to", "to floor"];
    let mut table = vec![titles.map(str::to_owned).to_vec()];
    let ratio = |value: &Value| value.as_f64().map_or_else(String::new, |v| format!("{v:.2}"));
    for row in across {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let median = row["median"].as_f64().unwrap_or_default();
        table.push(vec![
            text("figure"),
            text("part"),
            text("subject"),
            show(unit_of(&text("figure")), median),
            ratio(&row["ratio"]),
            text("beside"),
            ratio(&row["ratio_to_floor"]),
        ]);
    }
    println!();
    print_columns(&table);
}

/// A figure's name ends with its unit.
fn unit_of(figure: &str) -> Unit {
    match figure.rsplit('_').next() {
        Some("ns") => Unit::Nanoseconds,
        Some("bytes") => Unit::Bytes,
        Some("share") => Unit::Share,
        _ => Unit::Count,
    }
}

fn file_in(path: &Path, scenario: &str) -> PathBuf {
    if path.is_dir() {
        path.join(format!("{scenario}.json"))
    } else {
        path.to_owned()
    }
}

fn write(path: &Path, document: &Value) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
