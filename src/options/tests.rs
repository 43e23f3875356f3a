//! Options are what `docs/options.md` says.

use std::any::Any;

use super::chained::Fields;
use super::*;
use crate::authorizer::Authorizer;
use crate::drain::DrainOptions;
use crate::envelope::Envelope;
use crate::http::cors::Cors;
use crate::listener::Overload;
use crate::proxy::forwarded::ForwardedHeader;
use crate::resume::StartAt;

#[test]
fn the_engines_options_are_those_of_the_table() {
    let (rows, of_cluster) = engine();
    let names: Vec<_> = rows.iter().map(|row| &*row.option).collect();
    let own: Vec<_> = Options::NAMES.iter().copied().filter(|&name| name != "cluster").collect();
    assert_eq!(names, own, "the options in the table of the engine");
    hold_rows(&rows, "", Options::default, |options| options, Options::check);
    assert!(Options::default().cluster.is_none());
    assert_eq!((&*of_cluster[0].option, &*of_cluster[0].default), ("cluster_url", "none"));
}

#[test]
fn the_options_of_a_cluster_are_those_of_the_table() {
    let names: Vec<_> = engine().1.into_iter().map(|row| row.option).collect();
    // The others are in no other language, and are below the table.
    let others = ["connect_timeout", "answer_timeout"];
    let own = ClusterOptions::NAMES.iter().filter(|name| !others.contains(name));
    assert_eq!(names, own.map(|name| format!("cluster_{name}")).collect::<Vec<_>>());
    let new = || ClusterOptions::new("redis://localhost");
    // The URL is one that is always there.
    hold_rows(&engine().1[1..], "cluster_", new, |options| options, ClusterOptions::check);
    let url = &engine().1[0];
    for wrong in ["", "http://localhost", "redis://"] {
        let error = ClusterOptions::new(wrong).check().unwrap_err();
        assert_eq!((error.option, &*error.bounds), (&*url.option, &*url.bounds), "{wrong:?}");
    }
}

/// The rows of the engine's table, and those of its cluster.
fn engine() -> (Vec<table::Row>, Vec<table::Row>) {
    table::rows("The engine").into_iter().partition(|row| !row.option.starts_with("cluster_"))
}

#[test]
fn the_options_of_a_drain_are_those_of_the_table() {
    hold("A drain", |options| options, DrainOptions::check);
}

#[test]
fn the_options_of_a_rule_are_those_of_the_table() {
    hold("A rule", |options| options, TopicOptions::check);
}

#[test]
fn no_gap_event_has_a_name_that_a_client_could_take_for_another() {
    for name in ["message", "open", "error", "fanfare-heartbeat", "", "a\nb", &"n".repeat(257)] {
        let error = Options::default().gap_event(name).check().unwrap_err();
        assert_eq!(error.option, "gap_event", "{name:?}");
    }
    assert_eq!(Options::default().gap_event("n".repeat(256)).check(), Ok(()));
}

#[test]
fn a_connection_may_lag_for_as_long_as_it_is_waited_for() {
    let options = Options::default().lag_grace(SECOND).lag_age_max(SECOND);
    assert_eq!(options.check(), Ok(()));
    let error = options.lag_grace(2 * SECOND).check().unwrap_err();
    assert_eq!((error.option, &*error.bounds), ("lag_age_max", "at least lag_grace"));
}

/// Holds options to a table: their names in its order, their defaults, and the bounds of numbers,
/// with an error that says them as the table does. `with_room` gives the other options values
/// that allow each of these.
pub(crate) fn hold<O: Default + Fields>(
    heading: &str,
    with_room: impl Fn(O) -> O,
    check: impl Fn(&O) -> Result<(), OptionsError>,
) {
    let rows = table::rows(heading);
    let names: Vec<_> = rows.iter().map(|row| &*row.option).collect();
    assert_eq!(names, O::NAMES, "the options in the table {heading:?}");
    hold_rows(&rows, "", O::default, with_room, check);
}

/// The same of some rows, whose options have fields without a beginning of their names.
fn hold_rows<O: Fields>(
    rows: &[table::Row],
    beginning: &str,
    new: impl Fn() -> O,
    with_room: impl Fn(O) -> O,
    check: impl Fn(&O) -> Result<(), OptionsError>,
) {
    assert_eq!(check(&new()), Ok(()));
    for row in rows {
        let field = row.option.strip_prefix(beginning).unwrap();
        let default = shown(new().field(field));
        match &*row.default {
            "one for each core" => assert_eq!(default, cores().min(SHARDS_MAX).to_string()),
            octal if row.unit == "octal" => {
                let mode = u32::from_str_radix(octal, 8).unwrap();
                assert_eq!(default, mode.to_string(), "{row:?}");
            }
            _ => assert_eq!(default, plain(&row.default), "{row:?}"),
        }
        let with = |value: Value| {
            let mut options = with_room(new());
            set(options.field(field), value).then(|| check(&options))
        };
        let is_refused = |value: Value| {
            let Some(checked) = with(value) else { return false };
            let error = checked.expect_err(&row.option);
            assert_eq!((error.option, &*error.bounds), (&*row.option, &*row.bounds));
            true
        };
        if row.is_number() {
            let edges = row.edges();
            for &edge in &edges.within {
                assert_eq!(with(Value::Number(edge)), Some(Ok(())), "{edge}: {row:?}");
            }
            for &edge in &edges.beyond {
                assert!(is_refused(Value::Number(edge)), "{edge}: {row:?}");
            }
        } else {
            // For options that are not texts, other tests check what is refused.
            is_refused(Value::Text(""));
        }
    }
}

#[test]
fn the_table_has_all_names_of_what_is_chosen_by_name() {
    let rows = table::rows("The engine");
    let bounds = |option: &str| {
        let row = rows.iter().find(|row| row.option == option).unwrap();
        row.bounds.replace(" or ", ", ").split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let forms: Vec<_> = HeartbeatForm::all().map(|form| form.to_string()).collect();
    assert_eq!(bounds("heartbeat_form"), forms);
    let policies: Vec<_> = Policy::all().map(|policy| policy.to_string()).collect();
    assert_eq!(bounds("policy"), policies);
    let durabilities: Vec<_> = Durability::all().map(|it| it.to_string()).collect();
    assert_eq!(bounds("durability"), durabilities);
    let rows = table::rows("A listener");
    let bounds = &rows.iter().find(|row| row.option == "envelope").unwrap().bounds;
    let envelopes: Vec<_> = Envelope::all().map(Envelope::as_str).collect();
    assert_eq!(*bounds, envelopes.join(" or "));
    let rows = table::rows("A rule");
    let of_rule = rows.iter().find(|row| row.option == "policy").unwrap();
    assert_eq!(of_rule.bounds, "disconnect, drop-oldest or conflate");
}

/// A cell as [`shown`] shows a value: a number without its unit, and any other text as it is.
fn plain(cell: &str) -> String {
    table::number(cell).map_or_else(|| cell.to_owned(), |number| number.to_string())
}

fn shown(value: &mut dyn Any) -> String {
    let none = || "none".to_owned();
    if let Some(time) = value.downcast_ref::<Duration>() {
        time.as_millis().to_string()
    } else if let Some(number) = value.downcast_ref::<usize>() {
        number.to_string()
    } else if let Some(number) = value.downcast_ref::<u64>() {
        number.to_string()
    } else if let Some(number) = value.downcast_ref::<u32>() {
        number.to_string()
    } else if let Some(number) = value.downcast_ref::<u8>() {
        number.to_string()
    } else if let Some(number) = value.downcast_ref::<Option<u32>>() {
        number.map_or_else(none, |number| number.to_string())
    } else if let Some(text) = value.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = value.downcast_ref::<Option<String>>() {
        text.clone().unwrap_or_else(none)
    } else if let Some(path) = value.downcast_ref::<Option<PathBuf>>() {
        path.as_ref().map_or_else(none, |path| path.display().to_string())
    } else if let Some(policy) = value.downcast_ref::<Policy>() {
        policy.to_string()
    } else if let Some(form) = value.downcast_ref::<HeartbeatForm>() {
        form.to_string()
    } else if let Some(durability) = value.downcast_ref::<Durability>() {
        durability.to_string()
    } else if let Some(envelope) = value.downcast_ref::<Envelope>() {
        envelope.to_string()
    } else if let Some(start) = value.downcast_ref::<StartAt>() {
        start.to_string()
    } else if let Some(header) = value.downcast_ref::<ForwardedHeader>() {
        header.to_string()
    } else if let Some(Overload::ComeAgain) = value.downcast_ref::<Overload>() {
        "come again".to_owned()
    } else if let Some(names) = value.downcast_ref::<Vec<String>>() {
        names.first().cloned().unwrap_or_else(none)
    } else if let Some(cors) = value.downcast_ref::<Cors>() {
        cors.origins.first().cloned().unwrap_or_else(none)
    } else if value.downcast_ref::<Authorizer>().is_some_and(Authorizer::is_open) {
        "allow all".to_owned()
    } else {
        // What is left is an `Option` of something that the program gives.
        none()
    }
}

#[derive(Clone, Copy)]
enum Value {
    /// Of things, bytes or milliseconds.
    Number(u64),
    Text(&'static str),
}

/// Sets an option; false if it is of another type.
fn set(option: &mut dyn Any, value: Value) -> bool {
    match value {
        Value::Number(number) => {
            if let Some(time) = option.downcast_mut::<Duration>() {
                *time = Duration::from_millis(number);
            } else if let Some(count) = option.downcast_mut::<usize>() {
                *count = number.try_into().unwrap();
            } else if let Some(count) = option.downcast_mut::<u64>() {
                *count = number;
            } else if let Some(count) = option.downcast_mut::<u32>() {
                *count = number.try_into().unwrap();
            } else if let Some(count) = option.downcast_mut::<u8>() {
                *count = number.try_into().unwrap();
            } else if let Some(count) = option.downcast_mut::<Option<u32>>() {
                *count = Some(number.try_into().unwrap());
            } else if let Some(count) = option.downcast_mut::<Option<usize>>() {
                *count = Some(number.try_into().unwrap());
            } else if let Some(time) = option.downcast_mut::<Option<Duration>>() {
                *time = Some(Duration::from_millis(number));
            } else {
                return false;
            }
        }
        Value::Text(given) => {
            if let Some(text) = option.downcast_mut::<String>() {
                given.clone_into(text);
            } else if let Some(text) = option.downcast_mut::<Option<String>>() {
                *text = Some(given.to_owned());
            } else if let Some(path) = option.downcast_mut::<Option<PathBuf>>() {
                *path = Some(given.into());
            } else {
                return false;
            }
        }
    }
    true
}
