//! Where the newest events of a client's topics begin, counted over all of them.

use std::collections::BinaryHeap;

use super::topics::Logged;
use super::walk::{Past, Walk};
use super::wanted::NamedTopics;

/// The oldest of the newest `count` events of named topics, by its sequence number; the number
/// after the last one if there is none.
pub(super) fn oldest_of_named(past: &Past<'_>, named: &NamedTopics, count: usize) -> u64 {
    let histories: Vec<_> =
        named.tracked.iter().map(|&index| &past.topics.entry(index).history).collect();
    // The newest of the first `left` events of a history.
    let last = |nth: usize, left: usize| {
        let kept = histories[nth].event(left.checked_sub(1)?)?;
        Some((kept.sequence(), nth, left))
    };
    let before = |nth: usize| histories[nth].after(past.now).start;
    let mut newest: BinaryHeap<_> =
        (0..histories.len()).filter_map(|nth| last(nth, before(nth))).collect();
    let (mut oldest, mut counted) = (past.now + 1, 0);
    while let Some((sequence, nth, left)) = newest.pop() {
        // An event of several topics is in the history of each of them.
        counted += usize::from(sequence < oldest);
        if counted > count {
            break;
        }
        oldest = sequence;
        newest.extend(last(nth, left - 1));
    }
    oldest
}

/// The same for a client without named topics, of the newest `left` events between two sequence
/// numbers, by a walk back. The error is down to where the walk came, and how many are left.
pub(super) fn walk_back(
    past: &Past<'_>,
    (after, before): (u64, u64),
    mut left: usize,
    walk: &mut Walk,
) -> Result<u64, (u64, usize)> {
    if left == 0 {
        return Ok(before);
    }
    let (mut oldest, matches) = (before, past.wanted.matches());
    let walked = walk.back_while(past, &matches, before, |entry| {
        let topics = past.topics;
        let is_wanted = match topics.look_up(entry) {
            Logged::Kept(..) => matches.wants(topics, entry.topic),
            Logged::OfList(list) => matches.kept_of_list(topics, list, entry.sequence).is_some(),
            Logged::Forgotten(_) | Logged::Useless => false,
        };
        if is_wanted {
            (oldest, left) = (entry.sequence, left - 1);
        }
        entry.sequence > after && left > 0
    });
    walked.map(|()| oldest).map_err(|before| (before, left))
}
