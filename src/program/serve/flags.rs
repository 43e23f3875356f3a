//! The flags of `fanfare serve` are those of `docs/options.md`.

#[path = "../../options/table.rs"]
mod table;

use std::collections::BTreeMap;

use clap::CommandFactory;
use fanfare::OptionsError;

use super::args::tests::{parse, Line};
use super::args::ServeArgs;
use crate::program::units;

/// The tables of the options that flags set, and how a command line's are checked.
type Check = fn(&ServeArgs) -> Result<(), OptionsError>;
const TABLES: [(&str, Check); 4] = [
    ("The engine", |args| args.options().check()),
    ("A listener", |args| args.listen_options().check()),
    ("A drain", |args| args.drain_options().check()),
    ("Tickets", |args| args.tickets.ticket_options().check()),
];
/// Flags that are the program's own.
const OWN: [&str; 7] = [
    "control-connections-max",
    "control-listen",
    "help",
    "listen",
    "publish-token",
    "publish-token-file",
    "rule",
];

#[test]
fn each_flag_is_one_of_the_table_or_the_programs_own_and_has_the_tables_default() {
    let command = Line::command();
    let flags = command.get_arguments().filter_map(|flag| flag.get_long());
    let mut flags: BTreeMap<_, _> = flags.map(|name| (name, "the program's own")).collect();
    for (heading, _) in TABLES {
        for row in table::rows(heading) {
            for flag in &row.flags {
                let named = flags.get_mut(&**flag);
                *named.unwrap_or_else(|| panic!("there is no --{flag}: {row:?}")) = heading;
                let flag = command.get_arguments().find(|arg| arg.get_long() == Some(flag));
                let defaults = flag.unwrap().get_default_values();
                let Some(default) = defaults.first().and_then(|text| text.to_str()) else {
                    continue;
                };
                let is_the_same = match &*row.unit {
                    "time" => {
                        units::duration(default).unwrap().as_millis() as u64
                            == table::number(&row.default).unwrap()
                    }
                    "bytes" => {
                        units::bytes(default).unwrap() as u64
                            == table::number(&row.default).unwrap()
                    }
                    "count" | "percent" => default.parse().ok() == table::number(&row.default),
                    _ => default.replace('-', " ") == row.default.replace('-', " "),
                };
                assert!(is_the_same, "{default:?} is the default: {row:?}");
            }
        }
    }
    let own: Vec<_> = flags.iter().filter(|(_, table)| **table == "the program's own").collect();
    let own: Vec<_> = own.into_iter().map(|(&name, _)| name).collect();
    let expected: Vec<_> = OWN.into_iter().filter(|&name| name != "help").collect();
    assert_eq!(own, expected, "flags that are in no table of docs/options.md");
}

#[test]
fn each_flag_has_the_bounds_of_the_table() {
    for (heading, check) in TABLES {
        for row in table::rows(heading).iter().filter(|row| row.is_number()) {
            let [flag] = &row.flags[..] else { panic!("{row:?} has to have one flag") };
            let edges = row.edges();
            for &edge in &edges.within {
                let args = with(flag, row, edge).unwrap_or_else(|e| panic!("{e}: {row:?}"));
                // What another option has to be because of this one is that one's bound.
                if let Err(error) = check(&args) {
                    assert_ne!(error.option, row.option, "{edge}: {error}");
                }
            }
            for &edge in &edges.beyond {
                // The flag's type may be too small for it.
                let Ok(args) = with(flag, row, edge) else { continue };
                let error = check(&args).expect_err(flag);
                assert_eq!((error.option, &*error.bounds), (&*row.option, &*row.bounds));
            }
        }
    }
}

/// A command line with a flag that has a number, and with none of the other bounds on it.
fn with(flag: &str, row: &table::Row, number: u64) -> Result<ServeArgs, clap::Error> {
    let unit = if row.unit == "time" { "ms" } else { "" };
    let mut line = vec![format!("--{flag}={number}{unit}")];
    line.extend((flag == "user-timeout").then(|| "--keepalive=0".to_owned()));
    line.extend(flag.starts_with("cluster-").then(|| "--cluster=redis://localhost".to_owned()));
    parse(&line.iter().map(String::as_str).collect::<Vec<_>>())
}
