//! Sifting takes off the disk what nobody needs, and nothing else.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::memory_disk::{Fault, FaultKind, MemoryDisk};
use super::running::wait_kept;
use super::{options, Item, TestFolder, BOOT, TIME_MAX};
use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::opened::Opened;
use crate::journal::sift::sift;
use crate::journal::{Journal, JournalOptions, Keeper};

/// Needs the newest numbers, and each hundredth.
struct Newest {
    kept: Mutex<VecDeque<u64>>,
    /// All that was not needed, which the summary says.
    left_out: Mutex<Vec<u8>>,
}

const NEWEST: usize = 500;
const BYTES: usize = 200;

impl Newest {
    fn is_needed(&self, number: u64) -> bool {
        number % 100 == 0 || self.kept.lock().unwrap().front().is_some_and(|it| *it <= number)
    }
}

impl Keeper for Newest {
    fn kept_bytes(&self) -> u64 {
        (self.kept.lock().unwrap().len() * BYTES) as u64
    }

    fn sift(&self, records: &mut dyn Iterator<Item = (u64, &[u8])>, needed: &mut Vec<bool>) {
        let mut left_out = self.left_out.lock().unwrap();
        for (number, payload) in records {
            assert_eq!(payload, Item::of(number, BYTES).payload);
            needed.push(self.is_needed(number));
            if needed.last() == Some(&false) {
                left_out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }

    fn summary(&self) -> Vec<u8> {
        self.left_out.lock().unwrap().clone()
    }
}

#[test]
fn what_is_not_needed_leaves_the_disk_and_all_else_stays() {
    let folder = TestFolder::new("sifting");
    let options = JournalOptions { segment_bytes_max: 20_000, ..options(Durability::Interval) };
    let mut number = 0;
    for _ in 0..3 {
        let mut opened = Journal::open(&folder.0, options).unwrap();
        let summary = opened.summary().unwrap().unwrap_or_default();
        let numbers = summary.chunks(8).map(|it| u64::from_le_bytes(it.try_into().unwrap()));
        let left_out: HashSet<u64> = numbers.collect();
        let (mut read, mut last) = (HashSet::new(), 0);
        opened
            .read(|number, payload| {
                assert!(read.insert(number) && number > last, "{number} behind {last}");
                last = number;
                assert_eq!(payload, Item::of(number, BYTES).payload);
            })
            .unwrap();
        // Each is there, or was said to be left out; those of a segment that was not replaced in
        // the end are both.
        assert!((1..=number).all(|it| read.contains(&it) || left_out.contains(&it)));
        assert!(number == 0 || (read.len() as u64) < number, "nothing has left the disk");
        let newest = (number + 1).saturating_sub(NEWEST as u64).max(1)..=number;
        assert!(newest.chain((100..=number).step_by(100)).all(|it| read.contains(&it)));
        let journal = opened.begin(Epoch::random()).unwrap();
        let kept = (number.saturating_sub(NEWEST as u64) + 1..=number).collect();
        let keeper = Arc::new(Newest { kept: Mutex::new(kept), left_out: Mutex::new(summary) });
        let weak: std::sync::Weak<Newest> = Arc::downgrade(&keeper);
        journal.set_keeper(weak);
        let until = Instant::now() + TIME_MAX;
        let begun = number;
        while number < begun + 5000 || journal.stats().sifted_bytes < 500_000 {
            assert!(Instant::now() < until, "{:?}", journal.stats());
            number += 1;
            journal.push(&Item::of(number, BYTES));
            let mut kept = keeper.kept.lock().unwrap();
            kept.push_back(number);
            if kept.len() > NEWEST {
                kept.pop_front();
            }
            drop(kept);
            journal.note(number);
            if number % 50 == 0 {
                wait_kept(&journal, number);
            }
        }
        assert!(journal.close(TIME_MAX));
        assert_eq!(journal.stats().errors, 0);
    }
}

/// Needs each third.
struct Thirds;

impl Keeper for Thirds {
    fn kept_bytes(&self) -> u64 {
        0
    }

    fn sift(&self, records: &mut dyn Iterator<Item = (u64, &[u8])>, needed: &mut Vec<bool>) {
        needed.extend(records.map(|(number, _)| number % 3 == 0));
    }

    fn summary(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Reads all, of which each third has to be there, and others that were pushed may be.
fn read_thirds(disk: &MemoryDisk, last: u64, options: JournalOptions) -> (Opened, usize) {
    let mut opened = Opened::on(Arc::new(disk.clone()), None, options, BOOT).unwrap();
    let mut numbers = Vec::new();
    opened
        .read(|number, payload| {
            assert_eq!(payload, Item::of(number, 40).payload);
            numbers.push(number);
        })
        .unwrap();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!((3..=last).step_by(3).all(|it| numbers.contains(&it)), "{numbers:?}");
    assert_eq!(opened.next(), last + 1);
    (opened, numbers.len())
}

#[test]
fn sifting_that_is_cut_off_at_any_operation_loses_nothing_that_is_needed() {
    let options = JournalOptions { segment_bytes_max: 300, ..options(Durability::Always) };
    let keeper: Arc<dyn Keeper> = Arc::new(Thirds);
    let kinds = [FaultKind::Kill, FaultKind::Broken, FaultKind::NoSpace];
    let mut is_cut_off = true;
    for at in 0..100 {
        if !is_cut_off {
            break;
        }
        for (kind, seed) in kinds.into_iter().flat_map(|kind| (0..4).map(move |it| (kind, it))) {
            let mut random = fastrand::Rng::with_seed(seed * 1000 + at);
            let mut disk = MemoryDisk::default();
            let mut opened = Opened::on(Arc::new(disk.clone()), None, options, BOOT).unwrap();
            opened.read(|_, _| ()).unwrap();
            let mut last = 0;
            // The first time it is cut off, and then it is done.
            for round in 0..3 {
                let (shared, mut writer, _parker) = opened.start(Epoch::random()).ok().unwrap();
                shared.set_keeper(Arc::downgrade(&keeper));
                for _ in 0..30 {
                    last += 1;
                    shared.push(&Item::of(last, 40));
                    shared.note(last);
                    writer.turn(false).unwrap();
                }
                writer.join_sifting();
                if round == 0 {
                    disk.set_faults(vec![Fault { at, count: 1, kind, part: random.u8(..) }]);
                }
                sift(&shared);
                if round == 0 {
                    is_cut_off = disk.operations() > at;
                }
                disk = match seed % 2 {
                    0 => disk.after_kill(),
                    _ => disk.after_power_loss(&mut random),
                };
                let left;
                (opened, left) = read_thirds(&disk, last, options);
                assert!(round == 0 || left < 30 * round + 20, "{left} of {last} are left");
            }
        }
    }
    assert!(!is_cut_off, "sifting has more operations than were tried");
}
