//! Filters, by themselves and in a tree, against MQTT 5.0, section 4.7, as it is written here.
//!
//! An input is lines: `+` and a filter that is added, `-` and one that is removed, and anything
//! else is a topic that all filters are matched with.

#![no_main]

use std::collections::BTreeSet;

use fanfare::fuzzing::{literal_prefix, FilterTree};
use fanfare::{Filter, Topic};
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 256;

fuzz_target!(|lines: &str| {
    let mut tree = FilterTree::default();
    let mut model = BTreeSet::new();
    for line in lines.split('\n') {
        match (line.strip_prefix('+'), line.strip_prefix('-')) {
            (Some(text), _) => {
                if let Some(filter) = filter(text) {
                    tree.insert(&filter);
                    model.insert(filter);
                }
            }
            (_, Some(text)) => {
                if let Some(filter) = filter(text) {
                    assert_eq!(tree.remove(&filter), model.remove(&filter), "{filter}");
                }
            }
            (None, None) => ask(line, &tree, &model),
        }
        assert_eq!(tree.len(), model.len());
    }
    for filter in model {
        assert!(tree.remove(&filter), "{filter}");
    }
    assert!(tree.is_empty());
});

/// Matches all filters with a topic, one by one and by the tree.
fn ask(name: &str, tree: &FilterTree, model: &BTreeSet<Filter>) {
    let topic = Topic::new(name);
    let is_topic = is_text(name) && !name.contains(['+', '#']);
    assert_eq!(topic.is_ok(), is_topic, "{name:?}");
    let Ok(topic) = topic else { return };
    let mut expected = Vec::new();
    for filter in model {
        let matches = matches(filter.as_str(), name);
        assert_eq!(filter.matches(&topic), matches, "{filter} {topic}");
        if matches {
            assert!(name.starts_with(literal_prefix(filter)), "{filter} {topic}");
            expected.push(filter.clone());
        }
    }
    let mut found = tree.matches(&topic);
    found.sort();
    assert_eq!(found, expected, "{topic}");
}

/// The filter of a text, if the text is one.
fn filter(text: &str) -> Option<Filter> {
    let filter = Filter::new(text);
    let mut levels = text.split('/').rev();
    let is_level = |level: &str| level == "+" || !level.contains(['+', '#']);
    let last_is_right = levels.next().is_some_and(|last| last == "#" || is_level(last));
    let is_filter = is_text(text) && last_is_right && levels.all(is_level);
    assert_eq!(filter.is_ok(), is_filter, "{text:?}");
    filter.ok()
}

fn is_text(text: &str) -> bool {
    (1..=BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

/// Whether a filter matches a topic: which levels of the topic may be used up is noted level by
/// level of the filter.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let topic: Vec<&str> = topic.split('/').collect();
    let mut used_up = vec![false; topic.len() + 1];
    used_up[0] = true;
    for level in filter.split('/') {
        let mut next = vec![false; topic.len() + 1];
        for from in (0..=topic.len()).filter(|&from| used_up[from]) {
            match level {
                "#" => next[from..].fill(true),
                _ if topic.get(from).is_some_and(|name| level == "+" || level == *name) => {
                    next[from + 1] = true;
                }
                _ => {}
            }
        }
        used_up = next;
    }
    used_up[topic.len()]
}
