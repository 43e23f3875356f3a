//! What is kept, and what is said of what is not, whatever is published to however many topics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::event::Event;
use crate::resume::Resume;

/// Everything after a number, as a client of subscriptions gets it: the numbers, and up to where
/// it was told that something is missing.
fn replayed(order: &Order, wanted: &[Subscription], after: u64) -> (Vec<u64>, Option<u64>) {
    let id = order.id_of(after).to_string();
    let (mut place, gap) = order.place(wanted, &Resume::After(id.into()));
    let mut numbers = Vec::new();
    loop {
        let part = order.replay(wanted, place, 2_000);
        assert!(part.gap.is_none(), "it was told already");
        numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        if part.is_all {
            return (numbers, gap.map(|(gap, _)| gap.to.sequence));
        }
        assert!(part.to > place.after, "it gets on");
        place.after = part.to;
    }
}

#[test]
fn what_is_kept_is_the_newest_within_the_bounds_and_the_rest_is_never_forgotten_silently() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = 60_000;
        let options = Options {
            history_events_max: 20,
            history_bytes_max: 8_000,
            history_total_bytes_max: total,
            ..Options::default()
        };
        let order = Order::new(Box::new([]), &Options { shards: 0, ..options });
        let mut published: BTreeMap<u64, String> = BTreeMap::new();
        for step in 0..2_000 {
            // Some topics are busy, most are seldom heard of.
            let topic = match random.bool() {
                true => format!("busy/{}", random.u32(..4)),
                false => format!("quiet/{}", random.u32(..200)),
            };
            let data = "x".repeat(random.usize(..600));
            let draft = Draft::encode(&Event::new(data), 1 << 20).unwrap();
            let Ok(id) = order.publish(&Topic::new(&topic).unwrap(), draft) else {
                unreachable!("there is room for what nobody wants")
            };
            published.insert(id.sequence, topic.clone());
            let counts = order.counts();
            assert!(counts.kept_bytes <= total as u64, "{}", counts.kept_bytes);
            if step % 10 > 0 {
                continue;
            }
            let wanted = match random.u32(..4) {
                0 => vec![Subscription::new("#").unwrap()],
                1 => ["quiet/+", "busy/1"].map(|w| Subscription::new(w).unwrap()).to_vec(),
                2 => vec![Subscription::new(&format!("quiet/{}", random.u32(..200))).unwrap()],
                _ => vec![Subscription::new(&topic).unwrap()],
            };
            let after = random.u64(..=id.sequence);
            let (numbers, told_to) = replayed(&order, &wanted, after);
            let matches = |topic: &str| {
                wanted.iter().any(|wanted| wanted.matches(&Topic::new(topic).unwrap()))
            };
            let all: Vec<u64> = published
                .range(after + 1..)
                .filter(|(_, topic)| matches(topic))
                .map(|(&number, _)| number)
                .collect();
            assert!(numbers.is_sorted() && numbers.iter().all(|number| all.contains(number)));
            let missing = all.iter().filter(|number| !numbers.contains(number)).max();
            assert_eq!(told_to, missing.copied(), "after {after} of {wanted:?}");
        }
    }
}

#[test]
fn what_is_too_old_goes_although_nothing_is_published() {
    let options = Options { history_age_max: Duration::from_millis(20), ..Options::default() };
    let order = Order::new(Box::new([]), &Options { shards: 0, ..options });
    for n in 0..5_000 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&n.to_string()).unwrap(), draft);
    }
    let start = Instant::now();
    while order.counts().kept_bytes > 0 {
        order.forget_old();
        assert!(start.elapsed() < Duration::from_secs(10), "it is kept");
    }
    assert_eq!(order.counts().kept_events, 0);
    assert!(order.lock().topics.iter().next().is_none(), "its topics are gone");
}
