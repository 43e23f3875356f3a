//! Filters by themselves, against the standard's examples and a matcher that is written otherwise.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;

use super::pattern::*;
use crate::topic::Topic;

pub(super) const CASES: u32 = if cfg!(debug_assertions) { 300 } else { 10_000 };

/// Section 4.7, from what is left of the levels of both.
pub(super) fn matches_naively(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => {
                level == name && levels_match(filter, topic)
            }
            _ => false,
        }
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    let hidden = topic[0].starts_with('$') && ["+", "#"].contains(&filter[0]);
    !hidden && levels_match(&filter, &topic)
}

/// Texts of some levels, each of which matches a regular expression.
pub(super) fn texts_of(level: &'static str) -> impl Strategy<Value = String> {
    let few = proptest::collection::vec(level, 1..5);
    let many = proptest::collection::vec(level, 1..60);
    prop_oneof![9 => few, 1 => many].prop_map(text)
}

/// Levels as one text, which ends with the first `#` and is not empty.
fn text(mut levels: Vec<String>) -> String {
    if let Some(all_below) = levels.iter().position(|level| level == "#") {
        levels.truncate(all_below + 1);
    }
    if levels == [""] {
        levels.push(String::new());
    }
    levels.join("/")
}

/// All texts of one to `levels_max` levels.
fn all_texts(levels: &[&str], levels_max: usize) -> Vec<String> {
    let mut texts: Vec<String> = levels.iter().map(|&level| level.to_owned()).collect();
    let mut longest = texts.clone();
    for _ in 1..levels_max {
        let longer = |text: &String| {
            levels.iter().map(|level| format!("{text}/{level}")).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        texts.extend_from_slice(&longest);
    }
    texts
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

#[test]
fn the_standards_examples_of_what_matches() {
    let cases: [(&str, &[&str], &[&str]); 20] = [
        // 4.7.1.1 and 4.7.1.2
        (
            "sport/tennis/player1/#",
            &[
                "sport/tennis/player1",
                "sport/tennis/player1/ranking",
                "sport/tennis/player1/score/wimbledon",
            ],
            &["sport/tennis", "sport/tennis/player2", "sport/tennis/player10"],
        ),
        ("sport/#", &["sport", "sport/", "sport/a/b"], &["sports", "Sport", "/sport"]),
        ("#", &["sport", "/", "a/b/c"], &["$SYS", "$SYS/a", "$"]),
        // 4.7.1.3
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/player2"],
            &["sport/tennis/player1/ranking", "sport/tennis"],
        ),
        ("sport/+", &["sport/", "sport/a"], &["sport", "sport/a/b", "sports/a"]),
        ("+", &["finance", "a b"], &["/finance", "finance/", "$SYS"]),
        ("+/tennis/#", &["sport/tennis", "/tennis/a"], &["tennis", "sport/a/tennis", "$a/tennis"]),
        ("sport/+/player1", &["sport/tennis/player1", "sport//player1"], &["sport/player1"]),
        ("+/+", &["/finance", "a/b", "/"], &["finance", "/a/b", "$SYS/a"]),
        ("/+", &["/finance", "/", "/$a"], &["finance", "a/b"]),
        ("/#", &["/", "/finance", "/a/b"], &["finance", "a/"]),
        ("+/#", &["a", "a/b", "/"], &["$SYS", "$SYS/a"]),
        ("sport/+/#", &["sport/", "sport/a", "sport/a/b"], &["sport"]),
        // 4.7.2
        ("$SYS/#", &["$SYS", "$SYS/monitor/Clients"], &["SYS", "$SYSTEM/a"]),
        ("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]),
        ("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor"]),
        // 4.7.3
        ("ACCOUNTS", &["ACCOUNTS"], &["Accounts", "ACCOUNTS/", "ACCOUNTS/a"]),
        ("Accounts payable", &["Accounts payable"], &["Accounts%20payable"]),
        ("/finance", &["/finance"], &["finance", "/finance/"]),
        ("größe/+", &["größe/✓"], &["gro\u{308}ße/✓"]),
    ];
    for (text, matching, others) in cases {
        let filter = Filter::new(text).unwrap();
        for name in matching {
            assert!(filter.matches(&topic(name)), "{text} {name}");
        }
        for name in others {
            assert!(!filter.matches(&topic(name)), "{text} {name}");
        }
    }
}

#[test]
fn what_is_no_filter_is_refused_for_what_is_wrong_with_it() {
    let (one, all) =
        (FilterError::NotAlone { wildcard: '+' }, FilterError::NotAlone { wildcard: '#' });
    let cases = [
        // 4.7.1
        ("sport/tennis#", all.clone()),
        ("sport/tennis/#/ranking", FilterError::NotLast),
        ("#/", FilterError::NotLast),
        ("#/#", FilterError::NotLast),
        ("##", all.clone()),
        ("sport+", one.clone()),
        ("+sport", one.clone()),
        ("a/++/b", one.clone()),
        ("+#", one.clone()),
        ("#+/a", all.clone()),
        ("é+", one.clone()),
        // 4.7.3, and what a topic may not hold either
        ("", FilterError::Empty),
        ("a\0", FilterError::Forbidden { character: '\0' }),
        ("+/\u{85}", FilterError::Forbidden { character: '\u{85}' }),
    ];
    for (text, error) in cases {
        assert_eq!(Filter::new(text), Err(error.clone()), "{text:?}");
        assert_eq!(Filter::from_utf8(text.as_bytes()), Err(error.clone()), "{text:?}");
        assert!(error.to_string().starts_with("the filter "), "{error}");
    }
    assert_eq!(Filter::from_utf8(b"a/\xff/#"), Err(FilterError::NotUtf8));
}

#[test]
fn a_filter_of_256_bytes_is_the_longest() {
    let longest = format!("{}/+", "t".repeat(254));
    assert_eq!(longest.parse::<Filter>().unwrap().to_string(), longest);
    assert_eq!(Filter::new(&format!("{longest}/")), Err(FilterError::TooLong { bytes: 257 }));

    let most_levels = Filter::new(&"/".repeat(256)).unwrap();
    assert!(most_levels.matches(&topic(&"/".repeat(256))));
    assert!(!most_levels.matches(&topic(&"/".repeat(255))));
}

#[test]
fn every_short_filter_matches_every_short_topic_that_it_should() {
    let topics: Vec<_> = all_texts(&["", "a", "ab", "b", "$"], 4);
    let topics: BTreeSet<_> = topics.iter().filter(|t| !t.is_empty()).map(|t| topic(t)).collect();
    let filters = all_texts(&["", "a", "ab", "$", "+", "#"], 3);
    let filters: Vec<_> = filters.iter().filter_map(|text| Filter::new(text).ok()).collect();
    // Of one level, two and three, the last of which may be `#`.
    assert_eq!(filters.len(), (6 - 1) + 5 * 6 + 5 * 5 * 6);
    assert_eq!(topics.len(), 5 + 25 + 125 + 625 - 1);

    for filter in &filters {
        let expected = |topic: &&Topic| matches_naively(filter.as_str(), topic.as_str());
        let expected: Vec<_> = topics.iter().filter(expected).collect();
        let matching: Vec<_> = topics.iter().filter(|topic| filter.matches(topic)).collect();
        assert_eq!(matching, expected, "{filter}");

        // The topics with the prefix are neighbours, and those that match are among them.
        let prefix = filter.literal_prefix();
        let from = topics.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let neighbours = from.take_while(|topic| topic.as_str().starts_with(prefix));
        let scanned: Vec<_> = neighbours.filter(|topic| filter.matches(topic)).collect();
        assert_eq!(scanned, expected, "{filter} {prefix:?}");

        // No longer one would do.
        let shared =
            |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let (lowest, highest) = (expected[0].as_str(), expected[expected.len() - 1].as_str());
        assert_eq!(prefix, &lowest[..shared(lowest, highest)], "{filter}");
    }
}

#[test]
fn two_short_filters_overlap_if_a_short_topic_matches_both() {
    let names = all_texts(&["", "a", "$"], 4);
    let topics: Vec<Topic> = names.iter().filter_map(|name| Topic::new(name).ok()).collect();
    let texts = all_texts(&["", "a", "$", "+", "#"], 3);
    let filters = texts.iter().filter_map(|text| Filter::new(text).ok());
    let filters: Vec<(Filter, Vec<bool>)> = filters
        .map(|filter| {
            let matched = topics.iter().map(|topic| filter.matches(topic)).collect();
            (filter, matched)
        })
        .collect();
    let mut overlapping = 0;
    for (ours, our_topics) in &filters {
        for (theirs, their_topics) in &filters {
            let both = our_topics.iter().zip(their_topics).any(|(our, their)| *our && *their);
            assert_eq!(ours.overlaps(theirs), both, "{ours} {theirs}");
            overlapping += usize::from(both);
        }
    }
    assert!((1_000..filters.len().pow(2) / 2).contains(&overlapping), "{overlapping}");
}

#[test]
fn two_filters_that_only_a_topic_of_more_than_256_bytes_matches_do_not_overlap() {
    let filter = |text: String| Filter::new(&text).unwrap();
    let long = |bytes| "x".repeat(bytes);
    let before = filter(format!("{}/+", long(128)));
    let behind = |bytes| filter(format!("+/{}", long(bytes)));
    assert!(before.overlaps(&behind(127)) && behind(127).overlaps(&before));
    assert!(!before.overlaps(&behind(128)) && !behind(128).overlaps(&before));
    let below = |bytes| filter(format!("{}/#", long(bytes)));
    assert!(below(254).overlaps(&filter("+/a".into())));
    assert!(!below(253).overlaps(&filter("+/abc".into())));
    assert!(filter(long(256)).overlaps(&filter("#".into())));
}

#[test]
fn a_topic_overlaps_with_itself_and_with_filters_that_match_it() {
    let subscription = |text| super::Subscription::new(text).unwrap();
    for (ours, theirs, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/c", false),
        ("a/b", "a/+", true),
        ("#", "a/b", true),
        ("#", "$a", false),
        ("+/b", "a/+", true),
        ("+/b", "a/c/#", false),
    ] {
        let (ours, theirs) = (subscription(ours), subscription(theirs));
        assert_eq!(ours.overlaps(&theirs), expected, "{ours} {theirs}");
        assert_eq!(theirs.overlaps(&ours), expected, "{theirs} {ours}");
    }
}

#[test]
fn the_literal_prefix_ends_where_topics_may_differ() {
    let cases = [
        ("a/b", "a/b"),
        ("a/b/#", "a/b"),
        ("a/b//#", "a/b/"),
        ("a/+/c", "a/"),
        ("a/+/#", "a/"),
        ("a/+", "a/"),
        ("+", ""),
        ("#", ""),
        ("/#", "/"),
        ("//#", "/"),
        ("/+", "/"),
        ("$é/#", "$é"),
    ];
    for (text, prefix) in cases {
        assert_eq!(Filter::new(text).unwrap().literal_prefix(), prefix, "{text}");
    }
}

/// A topic, and a filter made of it by putting wildcards into it, which mostly matches it.
fn topic_and_filter() -> impl Strategy<Value = (Topic, Filter)> {
    let levels = proptest::collection::vec("[^+#/\\p{Cc}]{0,3}", 1..12);
    let change =
        proptest::collection::vec(prop_oneof![3 => Just(None), 1 => "\\+|a|#".prop_map(Some)], 12);
    (levels, change).prop_map(|(levels, change)| {
        let changed = levels.iter().zip(change).map(|(l, c)| c.unwrap_or_else(|| l.clone()));
        let filter = Filter::new(&text(changed.collect())).unwrap();
        (Topic::new(&text(levels)).unwrap(), filter)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_filter_matches_what_it_should_and_that_begins_with_its_prefix(
        (topic, filter) in topic_and_filter(),
        (other, _) in topic_and_filter(),
    ) {
        for topic in [&topic, &other] {
            let expected = matches_naively(filter.as_str(), topic.as_str());
            prop_assert_eq!(filter.matches(topic), expected, "{} {}", filter, topic);
            let prefixed = topic.as_str().starts_with(filter.literal_prefix());
            prop_assert!(prefixed || !expected, "{} {}", filter, topic);
        }
    }

    #[test]
    fn no_text_is_refused_that_the_standard_allows_nor_the_reverse(text in "[+#/aé\n]{0,6}") {
        let levels: Vec<_> = text.split('/').collect();
        let valid = !text.is_empty()
            && !text.contains('\n')
            && levels.iter().all(|l| matches!(*l, "+" | "#") || !l.contains(['+', '#']))
            && levels[..levels.len() - 1].iter().all(|level| *level != "#");
        prop_assert_eq!(Filter::new(&text).is_ok(), valid, "{:?}", text);
    }
}
