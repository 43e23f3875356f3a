//! What holds of an order in each model test: sums, lists and times, and where clients begin.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::Forgotten;
use super::super::topics::Entry;
use super::*;

/// What was published: the topics of each number.
pub(super) type PublishedTopics = BTreeMap<u64, Vec<String>>;

/// Whether the sums over all topics are those of the topics' histories, no event is in neither of
/// them, and each topic has its times. Each event has one topic.
pub(super) fn check_totals(order: &Order) {
    let locked = order.lock();
    check_sums(&locked.topics, order.sequence() - locked.marks);
}

/// The same for events that may have several topics; and whether the log and the lists have what
/// they need, and know what they do not.
pub(super) fn check_all(order: &Order, published: &PublishedTopics) {
    let locked = order.lock();
    let all: usize = published.values().map(Vec::len).sum();
    check_sums(&locked.topics, all as u64);
    check_lists(&locked.topics, published);
}

/// `published` are all events, each counted for each of its topics.
pub(super) fn check_sums(topics: &Topics, published: u64) {
    let (entries, totals) = (&topics.entries, &topics.totals);
    let histories = || entries.iter().map(|(_, entry)| &entry.history);
    let events: usize = histories().map(|history| history.len()).sum();
    let counts = |entry: &Entry| entry.history.len() > 0 || entry.finished_ns.is_some();
    let bytes = entries.iter().map(|(_, e)| e.history.bytes() + 512 * usize::from(counts(e))).sum();
    assert_eq!((totals.kept_events(), totals.kept_bytes()), (events, bytes));
    if topics.keeps_events() {
        assert_eq!(totals.kept_events() as u64 + totals.forgotten_events(), published);
    }
    let forgotten_to = histories().map(|history| history.forgotten().to()).max();
    assert!(forgotten_to.is_none_or(|to| to <= totals.forgotten_to()));
    let times = |time_of: fn(&Entry) -> Option<u64>| -> BTreeSet<(u64, u32)> {
        let of = |index: usize, entry: &Entry| Some((time_of(entry)?, index as u32));
        entries.iter().filter_map(|(index, entry)| of(index, entry)).collect()
    };
    assert!(entries.iter().all(|(_, entry)| entry.in_oldest == (entry.history.len() > 0)));
    assert_eq!(topics.oldest, times(|entry| entry.in_oldest.then_some(entry.oldest_ns)));
    assert_eq!(topics.idle, times(|entry| entry.in_idle.then_some(entry.idle_ns)));
    assert_eq!(topics.finished, times(|e| e.finished_ns.map(|_| e.finished_to_ns)));
    let all = [&topics.oldest, &topics.idle, &topics.finished];
    assert!(all.into_iter().flatten().all(|&(at_ns, _)| at_ns >= topics.due_ns));
    let mut usages = vec![totals::Usage::default(); topics.rules.numbers()];
    for (_, entry) in entries {
        let (history, name) = (&entry.history, &entry.state.name);
        assert_eq!(history.rule(), topics.rules.rule_of(name), "the rule of {name}");
        assert!(!topics.limits[history.rule() as usize].is_exceeded_by(history), "{name}");
        let usage = &mut usages[history.rule() as usize];
        usage.topics += 1;
        usage.finished_topics += usize::from(entry.finished_ns.is_some());
        usage.kept_events += history.len();
        usage.kept_bytes += history.bytes() + 512 * usize::from(counts(entry));
    }
    assert_eq!(topics.totals.usages()[1..], usages[1..]);
    assert!(topics.reopened.is_empty(), "the lock was released before they had their numbers");
}

fn check_lists(topics: &Topics, published: &PublishedTopics) {
    let needed = |entry: &event_log::LogEntry| match entry.topic {
        event_log::TopicRef::List(_) => true,
        _ => !matches!(topics.look_up(*entry), topics::Logged::Useless),
    };
    let entries: Vec<event_log::LogEntry> = topics.log.after(0).collect();
    assert!(entries.is_sorted_by(|a, b| a.sequence < b.sequence), "each number has one entry");
    let in_log: std::collections::BTreeSet<u64> =
        entries.iter().filter(|entry| needed(entry)).map(|entry| entry.sequence).collect();
    let mut kept = Vec::new();
    for (_, list) in topics.lists.iter() {
        let Forgotten { to, known } = list.between(0, u64::MAX);
        kept.push((known.map_or(0, |(_, count)| count), to));
        assert!(list.gone().to == 0 || in_log.contains(&list.gone().to), "{:?}", list.gone());
    }
    let keeps = |number: u64, name: &String| {
        let index = topics.find(&Topic::new(name).unwrap());
        index.is_some_and(|index| topics.entry(index).history.keeps_from(number))
    };
    let several = published.iter().filter(|(_, topics)| topics.len() > 1);
    let several: Vec<u64> = several
        .filter(|(number, topics)| topics.iter().any(|name| keeps(**number, name)))
        .map(|(&number, _)| number)
        .collect();
    assert_eq!(kept.iter().map(|kept| kept.0).sum::<u64>(), several.len() as u64);
    assert_eq!(
        kept.iter().map(|kept| kept.1).max().unwrap_or(0),
        several.last().copied().unwrap_or(0)
    );
    assert!(several.iter().all(|number| in_log.contains(number)));
}

/// Up to which event something may be missing of lists of topics that were dropped.
pub(super) fn dropped_to(order: &Order) -> u64 {
    order.lock().topics.lists.dropped_to()
}

/// Which of an event's topics keep it, of those that a client wants.
pub(super) fn keepers<'a>(
    order: &Order,
    published: &'a PublishedTopics,
    wanted: &[Subscription],
    number: u64,
) -> Vec<&'a String> {
    let locked = order.lock();
    let topics = &locked.topics;
    let keeps = |name: &&String| {
        let name = Topic::new(name).unwrap();
        let index = topics.find(&name).filter(|_| wanted.iter().any(|w| w.matches(&name)));
        index.is_some_and(|index| topics.entry(index).history.keeps_from(number))
    };
    published[&number].iter().filter(keeps).collect()
}

/// Whether clients that give no id get the newest of the kept events: `count` of them, or one of
/// each topic.
pub(super) fn check_starts(
    order: &Order,
    published: &PublishedTopics,
    wanted: &[Subscription],
    count: usize,
) {
    let start = |start| replayed(order, wanted, &Resume::Start(start)).0;
    let kept = start(StartAt::Last(StartAt::LAST_MAX));
    assert_eq!(start(StartAt::Last(count as u32)), kept[kept.len().saturating_sub(count)..]);
    let topics_of = |&number: &u64| {
        let keepers = keepers(order, published, wanted, number);
        assert!(!keepers.is_empty(), "{number} is sent, and kept nowhere");
        keepers.into_iter().map(move |name| (name, number))
    };
    let newest: BTreeMap<_, _> = kept.iter().flat_map(topics_of).collect();
    let mut newest: Vec<u64> = newest.into_values().collect();
    newest.sort_unstable();
    newest.dedup();
    assert_eq!(start(StartAt::Latest), newest);
    assert_eq!(start(StartAt::Now), Vec::<u64>::new());
    assert_eq!(start(StartAt::Earliest), kept);
}

/// Whether clients whose id is gone begin where they ask to, and are told of all that they are not
/// sent: those that had the events up to `after`, and those that nobody knows anything of. `all`
/// are all events of their topics. Returns how many were told an exact count.
pub(super) fn check_gap_starts(
    order: &Order,
    published: &PublishedTopics,
    wanted: &[Subscription],
    (after, all, count): (u64, &[u64], usize),
) -> usize {
    let own = order.id_of(after).to_string();
    let kept = replayed(order, wanted, &Resume::Start(StartAt::Earliest)).0;
    let starts = [StartAt::Now, StartAt::Latest, StartAt::Last(count as u32), StartAt::Earliest];
    let keepers_of = |&number: &u64| {
        let keepers = keepers(order, published, wanted, number);
        keepers.into_iter().map(move |name| (name, number))
    };
    let kept_of: Vec<(&String, u64)> = kept.iter().flat_map(keepers_of).collect();
    let mut exact = 0;
    for (id, had) in [(&*own, after), ("unknown", 0), ("00000000-3", 0)] {
        let since = |numbers: &[u64]| -> Vec<u64> {
            numbers.iter().copied().filter(|&number| number > had).collect()
        };
        let (all, kept) = (since(all), since(&kept));
        for start in starts {
            let what = || format!("{start} after {id} of {wanted:?}");
            let resume = Resume::AfterOr(id.into(), start);
            let (numbers, told_to) = replayed(order, wanted, &resume);
            if id == own && all == kept && told_to.is_none() {
                assert_eq!(numbers, kept, "{}", what());
                continue;
            }
            let newest = kept_of.iter().copied().filter(|&(_, number)| number > had);
            let newest: BTreeMap<_, _> = newest.collect();
            let newest: BTreeSet<u64> = newest.into_values().collect();
            let expected: Vec<u64> = match start {
                StartAt::Now => vec![],
                StartAt::Latest => newest.into_iter().collect(),
                StartAt::Last(count) => kept[kept.len().saturating_sub(count as usize)..].to_vec(),
                StartAt::Earliest => kept.clone(),
            };
            assert_eq!(numbers, expected, "{}", what());
            let missing: Vec<u64> =
                all.iter().copied().filter(|number| !expected.contains(number)).collect();
            let (gap, told_with) = search(order, wanted, &resume).1.expect("it is told of a gap");
            assert_eq!(Some(gap.to.sequence), told_to);
            if id == own {
                if gap.missed.is_none() && told_to <= Some(dropped_to(order)) {
                    // Events may be missing of lists that were dropped.
                    assert!(told_to >= missing.last().copied(), "{}", what());
                } else {
                    assert_eq!(told_to, missing.last().copied(), "{}", what());
                }
                assert!(gap.missed.is_none_or(|n| n == missing.len() as u64), "{gap:?} {}", what());
                exact += usize::from(gap.missed.is_some());
            } else {
                assert!(told_to >= missing.last().copied() && gap.missed.is_none(), "{}", what());
            }
            // A client that is cut off right after it loses nothing, and is told again only if it
            // was sent an event from before the last that is missing.
            let (to, with) = (gap.to.sequence, told_with.sequence);
            assert!(with <= to && to <= order.sequence());
            let again = Resume::After(told_with.to_string().into());
            let (again, told_again) = replayed(order, wanted, &again);
            assert!(expected.iter().all(|number| again.contains(number)), "{}", what());
            assert!(with < to || told_again.is_none(), "{}", what());
            assert_eq!(with < to, expected.first().is_some_and(|&first| first <= to));
        }
    }
    exact
}
