//! The journal with its thread, on the system's files.

use std::time::{Duration, Instant};

use event_listener::Listener;

use super::{options, Item, TestFolder, TIME_MAX};
use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::{Ended, Journal, JournalOptions};

pub(super) const ALL: [Durability; 3] = [Durability::Os, Durability::Interval, Durability::Always];

/// Waits until the promise holds for a number.
pub(super) fn wait_kept(journal: &Journal, number: u64) {
    let until = Instant::now() + TIME_MAX;
    loop {
        let listener = journal.listen();
        if journal.kept_to() >= number {
            return;
        }
        journal.hurry();
        let notified = listener.wait_deadline(until);
        assert!(notified.is_some(), "{} of {number} is kept", journal.kept_to());
    }
}

fn publish(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        journal.push(&Item::of(number, 20 + number as usize % 100));
        journal.note(number);
    }
}

#[test]
fn what_was_pushed_is_read_by_the_next_life_whatever_the_promise() {
    for durability in ALL {
        let folder = TestFolder::new("next-life");
        let mut items = Vec::new();
        let mut epochs = Vec::new();
        for life in 0..3 {
            let mut opened = Journal::open(&folder.0, options(durability)).unwrap();
            let mut read = Vec::new();
            opened
                .read(|number, payload| read.push(Item { number, payload: payload.to_vec() }))
                .unwrap();
            assert_eq!(read, items);
            let seen: Vec<_> = opened.lives().iter().map(|life| life.epoch).collect();
            assert_eq!(seen, epochs);
            assert!(opened.lives().iter().all(|life| life.ended == Ended::Clean));
            let first = opened.next();
            assert_eq!(first, life * 1000 + 1);
            epochs.push(Epoch::random());
            let journal = opened.begin(epochs[life as usize]).unwrap();
            publish(&journal, first..=first + 899);
            wait_kept(&journal, first + 899);
            // Numbers without a record.
            journal.note(first + 999);
            wait_kept(&journal, first + 999);
            assert!(journal.trouble().is_none());
            items.extend((first..first + 900).map(|it| Item::of(it, 20 + it as usize % 100)));
            assert!(journal.close(TIME_MAX));
            let stats = journal.stats();
            assert_eq!((stats.records, stats.waiting_bytes, stats.errors), (900, 0, 0));
        }
    }
}

#[test]
fn a_push_wakes_a_writer_that_sleeps() {
    let folder = TestFolder::new("wakes");
    let opened = Journal::open(&folder.0, options(Durability::Os)).unwrap();
    let journal = opened.begin(Epoch::random()).unwrap();
    for number in 1..=4 {
        // It sleeps by then, as a rule; nothing depends on that.
        std::thread::sleep(Duration::from_millis(150));
        if number % 2 == 0 {
            journal.push(&Item::of(number, 10));
        }
        journal.note(number);
        let until = Instant::now() + TIME_MAX;
        while journal.kept_to() < number {
            let listener = journal.listen();
            if journal.kept_to() < number {
                assert!(listener.wait_deadline(until).is_some(), "{number}");
            }
        }
    }
}

#[test]
fn a_full_queue_says_so_and_says_when_there_is_space() {
    let folder = TestFolder::new("full");
    let options = JournalOptions { queue_bytes_max: 100_000, ..options(Durability::Interval) };
    let opened = Journal::open(&folder.0, options).unwrap();
    let journal = opened.begin(Epoch::random()).unwrap();
    let (mut number, mut waited) = (0, 0);
    let until = Instant::now() + TIME_MAX;
    while waited < 20 {
        if let Some(listener) = journal.listen_if_full() {
            assert!(listener.wait_deadline(until).is_some(), "there is never space");
            waited += 1;
        }
        number += 1;
        journal.push(&Item::of(number, 1000));
        journal.note(number);
        assert!(journal.stats().waiting_bytes < 100_000 + 2000);
    }
    assert!(journal.close(TIME_MAX));
    let mut opened = Journal::open(&folder.0, options).unwrap();
    let mut expected = 1..=number;
    opened.read(|it, _| assert_eq!(expected.next(), Some(it))).unwrap();
    assert_eq!(expected.next(), None);
}

#[test]
fn segments_follow_one_another_and_large_records_are_taken() {
    let folder = TestFolder::new("segments");
    let options = JournalOptions { segment_bytes_max: 10_000, ..options(Durability::Os) };
    let opened = Journal::open(&folder.0, options).unwrap();
    let journal = opened.begin(Epoch::random()).unwrap();
    for number in 1..=50 {
        let bytes = if number == 25 { 3 << 20 } else { 1000 };
        journal.push(&Item::of(number, bytes));
        journal.note(number);
        wait_kept(&journal, number);
    }
    assert!(journal.stats().segments > 3, "{:?}", journal.stats());
    assert!(journal.close(TIME_MAX));
    let mut opened = Journal::open(&folder.0, options).unwrap();
    let mut read = 0;
    opened
        .read(|number, payload| {
            read += 1;
            let bytes = if number == 25 { 3 << 20 } else { 1000 };
            assert_eq!((number, payload), (read, &*Item::of(number, bytes).payload));
        })
        .unwrap();
    assert_eq!(read, 50);
}

#[test]
fn a_journal_that_is_dropped_writes_what_it_has_and_lets_go_of_the_folder() {
    let folder = TestFolder::new("dropped");
    let opened = Journal::open(&folder.0, options(Durability::Interval)).unwrap();
    let journal = opened.begin(Epoch::random()).unwrap();
    publish(&journal, 1..=1000);
    drop(journal);
    let until = Instant::now() + TIME_MAX;
    let mut opened = loop {
        match Journal::open(&folder.0, options(Durability::Interval)) {
            Ok(opened) => break opened,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::yield_now();
    };
    let mut read = 0;
    opened.read(|_, _| read += 1).unwrap();
    assert_eq!(read, 1000);
    assert_eq!(opened.lives()[0].ended, Ended::Clean);
}
