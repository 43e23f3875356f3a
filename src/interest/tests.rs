//! A watcher's table by itself.

use std::time::SystemTime;

use super::*;
use crate::filter::Subscription;

fn subscription(nth: usize) -> Subscription {
    Subscription::new(&format!("t/{nth}")).unwrap()
}

fn moment(seconds: u64) -> Moment {
    Moment {
        ns: seconds * 1_000_000_000,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    }
}

fn table(grace_s: u64, graces_max: usize) -> (Table, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    (Table::new(Duration::from_secs(grace_s), graces_max, tally.clone()), tally)
}

/// The next notice's kind, topic and time in seconds.
fn next(table: &mut Table) -> Option<(InterestKind, usize, u64)> {
    let InterestNotice { kind, subscription, at } = table.next()?;
    let nth = subscription.as_str()[2..].parse().unwrap();
    Some((kind, nth, at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()))
}

#[test]
fn a_notice_says_when_the_first_came_or_the_last_went_and_not_when_it_was_told() {
    let (mut table, tally) = table(10, 100);
    assert!(table.note(&subscription(1), true, moment(1)));
    assert!(!table.note(&subscription(1), true, moment(2)), "another shard has it too");
    assert_eq!(next(&mut table), Some((InterestKind::Subscribed, 1, 1)));
    assert!(!table.note(&subscription(1), false, moment(3)));
    assert!(tally.has_graces());
    assert_eq!(table.end_graces(moment(12).ns, 9), (false, true));
    assert_eq!(next(&mut table), None);
    assert_eq!(table.end_graces(moment(13).ns, 9), (true, true));
    assert!(!tally.has_graces());
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 1, 3)));
    assert_eq!(next(&mut table), None);
}

#[test]
fn a_host_that_was_slow_is_told_nothing_of_what_came_and_went_meanwhile() {
    let (mut table, _) = table(0, 100);
    // It never knew of this one.
    table.note(&subscription(1), true, moment(1));
    table.note(&subscription(1), false, moment(2));
    assert_eq!((table.owed(), next(&mut table)), (0, None));
    // It takes this one for subscribed, which is true again.
    table.note(&subscription(2), true, moment(3));
    next(&mut table).unwrap();
    table.note(&subscription(2), false, moment(4));
    assert_eq!(table.owed(), 1);
    table.note(&subscription(2), true, moment(5));
    assert_eq!((table.owed(), next(&mut table)), (0, None));
    table.note(&subscription(2), false, moment(6));
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 2, 6)));
}

#[test]
fn a_subscriber_that_has_just_gone_is_told_as_long_as_the_grace_time_runs() {
    let (mut table, _) = table(10, 100);
    table.note(&subscription(1), true, moment(1));
    table.note(&subscription(1), false, moment(2));
    assert_eq!(next(&mut table), Some((InterestKind::Subscribed, 1, 1)));
    table.note(&subscription(2), true, moment(3));
    table.note(&subscription(2), false, moment(4));
    table.end_graces(moment(14).ns, 9);
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 1, 2)));
    assert_eq!(next(&mut table), None, "the other one has come and gone");
}

#[test]
fn beyond_the_bound_the_grace_time_that_began_first_ends_early() {
    let (mut table, tally) = table(10, 3);
    (0..5).for_each(|nth| _ = table.note(&subscription(nth), true, moment(1)));
    (0..5).for_each(|_| _ = next(&mut table).unwrap());
    let ends_early = |nth| table.note(&subscription(nth), false, moment(2 + nth as u64));
    assert_eq!([0, 1, 2, 3, 4].map(ends_early), [false, false, false, true, true]);
    assert_eq!(tally.cut_graces(), 2);
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 0, 2)));
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 1, 3)));
    assert_eq!(next(&mut table), None);
    // The others keep their time, and are ended a few at a time.
    table.note(&subscription(3), true, moment(7));
    assert_eq!(table.end_graces(moment(13).ns, 9), (false, true));
    assert_eq!(table.end_graces(moment(99).ns, 1), (true, false));
    assert_eq!(table.end_graces(moment(99).ns, 1), (true, false));
    assert_eq!(table.end_graces(moment(99).ns, 1), (false, true));
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 2, 4)));
    assert_eq!(next(&mut table), Some((InterestKind::Unsubscribed, 4, 6)));
    assert!(!tally.has_graces());
}

#[test]
fn nothing_is_remembered_for_a_host_that_has_left() {
    let (mut table, tally) = table(10, 100);
    for nth in 0..9 {
        table.note(&subscription(nth), true, moment(1));
        table.note(&subscription(nth), nth % 2 == 0, moment(2));
    }
    assert!(tally.has_graces());
    drop(table.leave());
    assert!(table.is_left() && !tally.has_graces());
    assert!(!table.note(&subscription(3), true, moment(3)));
    assert_eq!((table.owed(), next(&mut table)), (0, None));
    assert_eq!(table.end_graces(u64::MAX, 9), (false, true));
}

#[test]
fn no_more_waits_for_a_host_that_takes_little_than_twice_what_can_have_subscribers_at_once() {
    const AT_ONCE: usize = 10;
    let (mut table, _) = table(0, 100);
    let mut random = fastrand::Rng::with_seed(1);
    let mut subscribed: Vec<usize> = Vec::new();
    for nth in 0..50_000 {
        if subscribed.len() == AT_ONCE {
            let gone = subscribed.swap_remove(random.usize(..AT_ONCE));
            table.note(&subscription(gone), false, moment(1));
        }
        table.note(&subscription(nth), true, moment(1));
        subscribed.push(nth);
        if random.u32(..3) == 0 {
            let _ = next(&mut table);
        }
        assert!(table.owed() <= 2 * AT_ONCE, "{} notices wait", table.owed());
    }
}
