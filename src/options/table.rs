//! The tables of `docs/options.md`, for tests that hold options to them: those of the library, and
//! those of the program, which has this file as a module too.

use std::path::Path;

/// One option, as its row says.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) option: String,
    pub(crate) unit: String,
    /// The cell, without backquotes.
    pub(crate) bounds: String,
    /// The cell, without backquotes.
    pub(crate) default: String,
    /// The flags of `fanfare serve`, without their dashes.
    #[allow(dead_code, reason = "the library has no flags")]
    pub(crate) flags: Vec<String>,
}

/// Numbers just within an option's bounds and just beyond them, of bytes, milliseconds or things.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Edges {
    pub(crate) within: Vec<u64>,
    pub(crate) beyond: Vec<u64>,
}

/// The rows below a heading of the document.
pub(crate) fn rows(heading: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/options.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, behind) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let lines = behind.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(row).collect()
}

fn row(line: &str) -> Row {
    let line = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).unwrap();
    let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let [option, unit, bounds, default, flags] = &cells[..] else {
        panic!("a row has to have five cells: {line}");
    };
    let flags = flags.split(", ").filter(|flag| !flag.is_empty());
    let flags = flags.map(|flag| flag.strip_prefix("--").unwrap().to_owned()).collect();
    let [option, unit, bounds, default] = [option, unit, bounds, default].map(Clone::clone);
    Row { option, unit, bounds, default, flags }
}

impl Row {
    /// Whether its value is a number, that of a time being its milliseconds.
    pub(crate) fn is_number(&self) -> bool {
        ["count", "bytes", "percent", "time"].contains(&&*self.unit)
    }

    /// What a value has to be within, of an option that is a number.
    pub(crate) fn edges(&self) -> Edges {
        let mut edges = Edges::default();
        // A bound that depends on another option is tested where both are set.
        let bounds = self.bounds.split(", and ").next().unwrap();
        let bounds = match bounds.strip_prefix("0, or ") {
            Some(rest) => {
                edges.within.push(0);
                rest
            }
            None => bounds,
        };
        let read = |text| number(text).unwrap_or_else(|| panic!("{text:?} is no number: {self:?}"));
        let (least, most) = if let Some((least, most)) = bounds.split_once(" to ") {
            (Some(read(least)), Some(read(most)))
        } else if let Some(most) = bounds.strip_prefix("at most ") {
            (None, number(most))
        } else if let Some(least) = bounds.strip_prefix("at least ") {
            (number(least), None)
        } else {
            assert_eq!(bounds, "any", "the bounds of {self:?}");
            (None, None)
        };
        if let Some(least) = least {
            edges.within.push(least);
            edges.beyond.extend(least.checked_sub(1).filter(|n| !edges.within.contains(n)));
        }
        if let Some(most) = most {
            edges.within.push(most);
            edges.beyond.push(most + 1);
        }
        edges
    }
}

/// A number with its unit, such as `100 ms`, `1 MiB` or `1,000`, in milliseconds, bytes or things.
pub(crate) fn number(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" | "ms" | "byte" | "bytes" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "hour" | "hours" => 3_600_000,
        "day" | "days" => 86_400_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    Some(digits.replace(',', "").parse::<u64>().ok()? * factor)
}

#[test]
fn the_edges_of_bounds_are_read_as_they_are_written() {
    let edges = |bounds: &str| {
        let bounds = bounds.to_owned();
        let [option, unit, default] = ["o", "count", "1"].map(str::to_owned);
        Row { option, unit, bounds, default, flags: Vec::new() }.edges()
    };
    let day = 86_400_000;
    for (bounds, within, beyond) in [
        ("1 to 256", vec![1, 256], vec![0, 257]),
        ("0, or 100 ms to 1 day", vec![0, 100, day], vec![99, day + 1]),
        ("0, or 1 s to 1 day, and at least twice x", vec![0, 1_000, day], vec![999, day + 1]),
        ("at most 1 GiB", vec![1 << 30], vec![(1 << 30) + 1]),
        ("at least 1 byte", vec![1], vec![0]),
        ("0 to 100", vec![0, 100], vec![101]),
        ("at least lag_grace", vec![], vec![]),
        ("any", vec![], vec![]),
    ] {
        assert_eq!(edges(bounds), Edges { within, beyond }, "{bounds}");
    }
}
