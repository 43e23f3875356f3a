//! Paths with places for values. The lines of an input are two templates, a text with places, and a
//! path.
//!
//! - A template matches the paths that it gives with its places replaced, and no others.
//! - Two templates that match one path overlap.
//! - What a value goes into has as many levels as before, and the same wildcards in them.

#![no_main]

use fanfare::fuzzing::{decode_value, Template};
use fanfare::Subscription;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let mut line = || lines.next().unwrap_or("");
    let (one, other, text, path) = (line(), line(), line(), line());
    let Some(template) = Template::parse(one) else { return };
    assert!(template.overlaps(&template));
    let values = template.matches(path);
    assert_eq!(values.is_some(), is_like(one, path), "{one} {path}");
    if let Some(other) = Template::parse(other) {
        assert_eq!(template.overlaps(&other), other.overlaps(&template));
        let both = values.is_some() && other.matches(path).is_some();
        assert!(!both || template.overlaps(&other));
    }
    let Some(values) = values else { return };
    let decoded: Option<Vec<_>> = values.iter().map(|value| decode_value(value)).collect();
    let Some(decoded) = decoded else { return };
    for value in &decoded {
        let is_plain = |c: char| !c.is_control() && !['/', '+', '#'].contains(&c);
        assert!(!value.is_empty() && value.chars().all(is_plain), "{value:?}");
    }
    let decoded: Vec<&str> = decoded.iter().map(|value| &**value).collect();
    let example = template.fill(text, &vec!["x"; decoded.len()]);
    let filled = template.fill(text, &decoded);
    let (Some(example), Some(filled)) = (example, filled) else { return };
    let Ok(expected) = Subscription::new(&example) else { return };
    // It may be too long, but nothing else.
    let subscription = match Subscription::new(&filled) {
        Ok(subscription) => subscription,
        Err(error) => return assert!(filled.len() > 256, "{filled:?}: {error}"),
    };
    let wildcards = |text: &str| -> Vec<Option<char>> {
        let of_level = |level: &str| level.chars().next().filter(|c| ['+', '#'].contains(c));
        text.split('/').map(of_level).collect()
    };
    assert_eq!(wildcards(subscription.as_str()), wildcards(expected.as_str()));
    let begins = |text: &str| text.starts_with('$');
    assert_eq!(begins(&filled), begins(&example), "{filled:?}");
});

/// Whether a path is a template's, segment by segment.
fn is_like(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(wanted, sent)| match wanted.starts_with('{') {
            true => !sent.is_empty(),
            false => wanted == sent,
        })
}
