//! Runs a scenario: all parts and all subjects in turn, as often as it says, so that what the
//! machine does beside meets all alike; then reports each part, and the parts beside each other.

use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use crate::load::Load;
use crate::metric::{show, Measured, Unit};
use crate::report::{print_columns, write_document, Report};
use crate::scenarios::run::{Entrant, RunArgs, Server};
use crate::scenarios::Scenario;
use crate::subject::peers::PeersFailed;
use crate::Error;

/// Runs a scenario, prints its tables, draws and writes its JSON.
///
/// # Errors
///
/// When one run fails; that of a peer among others after all else was done, as [`PeersFailed`].
pub(crate) fn run(
    scenario: &Scenario,
    args: &RunArgs,
    mut measure: impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
) -> Result<(), Error> {
    let mut reports: Vec<Report> = Vec::new();
    let mut entrants: Vec<Vec<Entrant>> = Vec::new();
    for part in &scenario.parts {
        let mut parameters = part.parameters.clone();
        parameters.insert("repeat".to_owned(), scenario.repeat.into());
        let part_name = part.name.as_deref();
        let mut report = Report::new(&scenario.name, part_name, Value::Object(parameters));
        entrants.push(args.entrants(&scenario.name, part, &mut report)?);
        reports.push(report);
    }
    for turn in 1..=scenario.repeat {
        let parts = scenario.parts.iter().zip(&mut entrants).zip(&mut reports);
        for ((part, entrants), report) in parts {
            args.measure(part, (turn, scenario.repeat), entrants, report, &mut measure)?;
        }
    }
    for report in &reports {
        report.print();
    }
    let across = across(scenario, &reports);
    print_across(&across);
    if let Some(path) = &args.plot {
        let path = file_in(path, &scenario.name, "svg");
        for (part, report) in scenario.parts.iter().zip(&reports) {
            report.write_plot(&file_of_part(&path, part.name.as_deref()))?;
        }
    }
    if let Some(path) = &args.json {
        let mut documents: Vec<Value> = reports.iter().map(Report::document).collect();
        let document = match documents.len() {
            1 => documents.remove(0),
            _ => json!({"scenario": scenario.name, "parts": documents, "across": across}),
        };
        write_document(&file_in(path, &scenario.name, "json"), &document)?;
    }
    let mut failed: Vec<String> = reports.iter().flat_map(Report::failed).collect();
    failed.dedup();
    if failed.is_empty() {
        return Ok(());
    }
    Err(PeersFailed(failed).into())
}

/// The figures that the scenario compares from part to part: each with its ratio to the same
/// subject's in the part that it is compared with.
fn across(scenario: &Scenario, reports: &[Report]) -> Vec<Value> {
    let median = |part: usize, subject: &str, figure: &str| reports[part].median(subject, figure);
    let place =
        |name: &str| scenario.parts.iter().position(|part| part.name.as_deref() == Some(name));
    let mut rows = Vec::new();
    for figure in &scenario.across {
        for (at, part) in scenario.parts.iter().enumerate() {
            for subject in reports[at].subjects() {
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
                    "ratio_to_floor": reports[at].ratio(subject, figure),
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

/// A file that results go to: a file that is named, or one in a directory that is.
pub(crate) fn file_in(path: &Path, scenario: &str, extension: &str) -> PathBuf {
    if path.is_dir() {
        path.join(format!("{scenario}.{extension}"))
    } else {
        path.to_owned()
    }
}

/// The file of a part beside that of the whole.
fn file_of_part(path: &Path, part: Option<&str>) -> PathBuf {
    let Some(part) = part else { return path.to_owned() };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{part}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_file_of_its_own() {
        let path = Path::new("/tmp/x.svg");
        assert_eq!(file_of_part(path, None), path);
        assert_eq!(file_of_part(path, Some("paced")), Path::new("/tmp/x-paced.svg"));
        assert_eq!(file_in(Path::new("/"), "paced", "json"), Path::new("/paced.json"));
        assert_eq!(file_in(path, "paced", "json"), path);
    }
}
