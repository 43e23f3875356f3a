//! Queries. Each is read by the engine and by a reader that is written here from WHATWG URL,
//! section "application/x-www-form-urlencoded parsing", and is not lenient with what is no UTF-8.
//!
//! - Both accept the same queries, and read the same fields.
//! - Fields that are written out as a browser writes them are read as they were.

#![no_main]

use fanfare::fuzzing::Query;
use libfuzzer_sys::fuzz_target;

/// Names of one query that the engine is asked for: more of them find nothing new, and take long.
const NAMES_MAX: usize = 8;

type Fields = Vec<(String, String)>;

fuzz_target!(|query: &str| {
    let expected = read(query);
    let parsed = Query::parse(query);
    assert_eq!(parsed.is_some(), expected.is_some());
    if let (Some(parsed), Some(fields)) = (parsed, expected) {
        check(&parsed, &fields);
        let written = write(&fields);
        check(&Query::parse(&written).expect("what is written is a query"), &fields);
    }
});

/// Checks that a query has these fields, by each way to ask for them.
fn check(query: &Query<'_>, fields: &Fields) {
    let absent = ("no such field".to_owned(), String::new());
    for (name, _) in fields.iter().take(NAMES_MAX).chain([&absent]) {
        let named = fields.iter().filter(|(other, _)| other == name);
        let values: Vec<&str> = named.map(|(_, value)| &**value).collect();
        assert_eq!(query.all(name), values);
        assert_eq!(query.first(name), values.first().copied());
    }
    for pair in fields.windows(2).take(NAMES_MAX) {
        let names = [&*pair[0].0, &*pair[1].0];
        let mut last = None;
        for (name, value) in fields {
            if names.contains(&&**name) && !value.is_empty() {
                last = Some(&**value);
            }
        }
        assert_eq!(query.last_of(names), last);
    }
}

/// The fields of a query; `None` if one is no UTF-8.
fn read(query: &str) -> Option<Fields> {
    let mut fields = Vec::new();
    for field in query.split('&') {
        if field.is_empty() {
            continue;
        }
        let equals = field.find('=').unwrap_or(field.len());
        let value = field.get(equals + 1..).unwrap_or("");
        fields.push((decode(&field[..equals])?, decode(value)?));
    }
    Some(fields)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes().collect::<std::collections::VecDeque<u8>>();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.pop_front() {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        decoded.push(match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.drain(..2);
                (16 * high + low) as u8
            }
            (b'+', ..) => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn write(fields: &Fields) -> String {
    let encode = |text: &str| -> String {
        let encoded = text.bytes().map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        encoded.collect()
    };
    // An equals sign also where the value is empty: a field of nothing at all is none.
    let fields = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    fields.collect::<Vec<_>>().join("&")
}
