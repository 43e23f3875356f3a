//! `docs/metrics.md` says what `/metrics` says.

use std::path::Path;

use crate::http::get;
use crate::process::Server;

/// What is known of a metric, from its samples or from the document.
#[derive(Debug, PartialEq)]
struct Family {
    /// With the names of its labels, as `name{label}`.
    name: String,
    kind: String,
    help: String,
}

#[test]
fn the_table_of_metrics_is_what_the_server_serves_in_its_order() {
    let served = served_families(&metrics());
    let document = document();
    let rows: Vec<_> = rows_of(section(&document, "## All metrics")).collect();
    for (nth, family) in served.iter().enumerate() {
        let Family { name, kind, help } = family;
        let wanted = format!("| `{name}` | {kind} | UNIT | {help} |");
        let row = rows.get(nth).unwrap_or_else(|| panic!("a row is missing: {wanted}"));
        let [row_name, row_kind, unit, meaning] = row[..] else {
            panic!("a row has to have four cells, as {wanted}, and not {row:?}");
        };
        assert_eq!(
            [row_name, row_kind, meaning],
            [&format!("`{name}`"), kind, help],
            "row {} has to be: {wanted}",
            nth + 1,
        );
        for (end, of_such) in [("_bytes", "bytes"), ("_seconds", "seconds")] {
            let base = name.split('{').next().unwrap();
            let base = base.strip_suffix("_total").unwrap_or(base);
            assert_eq!(base.ends_with(end), unit == of_such, "the unit of {name}, {unit:?}");
        }
        assert!(!unit.is_empty(), "{name} has to have a unit");
    }
    assert_eq!(rows.len(), served.len(), "rows of what is not served: {:?}", &rows[served.len()..]);
}

#[test]
fn each_reason_is_explained_in_the_order_in_which_it_is_served() {
    let (metrics, document) = (metrics(), document());
    for name in ["fanfare_disconnects_total", "fanfare_gap_events_total"] {
        let start = format!("{name}{{reason=\"");
        let reason = |line: &str| Some(line.strip_prefix(&start)?.split_once('"')?.0.to_owned());
        let served: Vec<_> = metrics.lines().filter_map(reason).collect();
        let rows = rows_of(section(&document, &format!("## Reasons of `{name}`")));
        let explained: Vec<_> = rows.map(|row| row[0].trim_matches('`').to_owned()).collect();
        assert!(!served.is_empty(), "{metrics}");
        assert_eq!(explained, served, "the reasons of {name}, as the document has them");
    }
}

fn metrics() -> String {
    get(Server::start(&["--rule", "#:events=1000"]).control, "/metrics").body
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    std::fs::read_to_string(path).unwrap()
}

fn served_families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').unwrap();
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, kind: String::new(), help });
            continue;
        }
        let family = families.last_mut().expect("a description comes before anything else");
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            family.kind = typed.rsplit_once(' ').unwrap().1.to_owned();
        } else if let Some((_, label)) = line.split_once('{') {
            // The bounds of a histogram are labels that everybody knows.
            let label = label.split_once('=').unwrap().0;
            if label != "le" && !family.name.contains('{') {
                family.name += &format!("{{{label}}}");
            }
        }
    }
    families
}

/// What is between a heading and the next one of its level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, behind) = document
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("docs/metrics.md has to have the heading {heading:?}"));
    behind.split("\n## ").next().unwrap_or(behind)
}

/// The rows of the first table, without its head.
fn rows_of(section: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
}
