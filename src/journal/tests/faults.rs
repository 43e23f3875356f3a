//! Whatever fails, and however a life ends: what was acknowledged is read back, in order and once,
//! and nothing else than what was pushed.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::memory_disk::{Fault, FaultKind, MemoryDisk};
use super::{options, Item, BOOT, OTHER_BOOT};
use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::opened::Opened;
use crate::journal::writer::Writer;
use crate::journal::{Ended, JournalOptions};

#[derive(Clone, Debug)]
enum Step {
    /// The next number gets a record of so many bytes.
    Push(usize),
    /// The next number gets none.
    Skip,
    /// A record is pushed that has no number of its own.
    Beside(usize),
    Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    /// Before the last turn would be.
    PowerLoss,
}

#[derive(Clone, Debug)]
struct LifeOf {
    steps: Vec<Step>,
    faults: Vec<Fault>,
    end: End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..200_usize).prop_map(Step::Push),
        1 => Just(Step::Skip),
        1 => (0..50_usize).prop_map(Step::Beside),
        4 => Just(Step::Turn),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        3 => Just(FaultKind::Short),
        3 => Just(FaultKind::NoSpace),
        3 => Just(FaultKind::Broken),
        1 => Just(FaultKind::Kill),
    ];
    (0..60_u64, 1..4_u64, kind, any::<u8>()).prop_map(|(at, count, kind, part)| Fault {
        at,
        count,
        kind,
        part,
    })
}

fn life() -> impl Strategy<Value = LifeOf> {
    let end = prop_oneof![Just(End::Close), Just(End::Kill), Just(End::PowerLoss)];
    let (steps, faults) =
        (prop::collection::vec(step(), 0..60), prop::collection::vec(fault(), 0..4));
    (steps, faults, end).prop_map(|(steps, faults, end)| LifeOf { steps, faults, end })
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![Just(Durability::Os), Just(Durability::Interval), Just(Durability::Always)]
}

/// A life that is run step by step, and what is known of it.
struct Run {
    disk: MemoryDisk,
    writer: Writer,
    /// What was pushed.
    items: Vec<Item>,
    /// The last number that was noted.
    noted: u64,
    durability: Durability,
    /// How many of the items were in segments before this life, and for how many the promise holds.
    earlier: usize,
    acknowledged: usize,
}

impl Run {
    /// How many of the items are kept for sure, in a process that is killed or a machine that loses
    /// its power.
    fn kept_least(&self, end: End) -> usize {
        let synced = self.writer.synced().serial as usize;
        match end {
            End::PowerLoss if self.durability != Durability::Always => synced,
            _ => self.acknowledged.max(synced),
        }
    }
}

fn open(disk: &MemoryDisk, options: JournalOptions, boot: super::Boot) -> (Opened, Vec<Item>) {
    let mut opened = Opened::on(Arc::new(disk.clone()), None, options, boot).unwrap();
    let mut items = Vec::new();
    let each = |number, payload: &[u8]| items.push(Item { number, payload: payload.to_vec() });
    opened.read(each).unwrap_or_else(|error| {
        let files = disk.files();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        panic!("{error}\n{files:?}")
    });
    (opened, items)
}

fn check(durability: Durability, segment_bytes_max: u64, lives: &[LifeOf], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let options = JournalOptions {
        segment_bytes_max,
        // It is due at any time, or never by itself.
        interval: std::time::Duration::from_secs(if random.bool() { 0 } else { 3600 }),
        ..options(durability)
    };
    let mut disk = MemoryDisk::default();
    let mut boot = BOOT;
    let (mut opened, mut items) = open(&disk, options, boot);
    for life in lives {
        let first = opened.next();
        assert!(items.iter().all(|item| item.number < first));
        let Ok((shared, writer, _parker)) = opened.start(Epoch::random()) else {
            unreachable!("nothing fails when a life begins")
        };
        let earlier = items.len();
        disk.set_faults(life.faults.clone());
        let mut run = Run {
            disk: disk.clone(),
            writer,
            items,
            noted: first - 1,
            durability,
            earlier,
            acknowledged: earlier,
        };
        let mut pushed = HashSet::new();
        for step in &life.steps {
            match step {
                Step::Push(bytes) => {
                    let item = Item::of(run.noted + 1, *bytes);
                    shared.push(&item);
                    run.items.push(item);
                    run.noted += 1;
                    pushed.insert(run.noted);
                    shared.note(run.noted);
                }
                Step::Skip => {
                    run.noted += 1;
                    shared.note(run.noted);
                }
                Step::Beside(bytes) => {
                    let item = Item { number: run.noted, payload: vec![7; *bytes] };
                    shared.push(&item);
                    run.items.push(item);
                }
                Step::Turn => {
                    let kept = shared.kept();
                    let result = run.writer.turn(false);
                    if result.is_ok() || shared.kept() > kept {
                        run.acknowledged = run.items.len();
                    }
                    if let Err(failure) = result {
                        run.writer.fail(&failure);
                        assert!(shared.trouble().is_some());
                    } else {
                        assert!(shared.trouble().is_none());
                        assert_eq!(shared.kept(), run.noted);
                    }
                }
            }
        }
        let mut end = life.end;
        if end == End::Close {
            // Faults end, so it works at last, unless the process is killed meanwhile.
            while let Err(failure) = run.writer.turn(true) {
                run.writer.fail(&failure);
                if run.disk.is_dead() {
                    break;
                }
            }
        }
        if end == End::Close && run.disk.is_dead() {
            end = End::Kill;
        }
        let kept_least = run.kept_least(end);
        disk = match end {
            End::Close | End::Kill => run.disk.after_kill(),
            End::PowerLoss => {
                boot = if boot == BOOT { OTHER_BOOT } else { BOOT };
                run.disk.after_power_loss(&mut random)
            }
        };
        let (next, read) = open(&disk, options, boot);
        opened = next;
        // In order, each once, and nothing that was not pushed: a beginning of what was pushed.
        assert!(read.len() >= run.earlier, "what earlier lives had");
        assert!(read.len() <= run.items.len());
        assert_eq!(read, run.items[..read.len()]);
        assert!(read.len() >= kept_least, "{} of {kept_least} are kept", read.len());
        let last = opened.lives().last().unwrap();
        assert_eq!(last.first, first);
        match end {
            End::Close => {
                assert_eq!((last.last, last.ended), (run.noted, Ended::Clean));
                assert_eq!(read.len(), run.items.len());
            }
            End::Kill if last.ended == Ended::Clean => {
                // In the middle of the last sync.
                assert_eq!(
                    (life.end, last.last, read.len()),
                    (End::Close, run.noted, run.items.len())
                );
            }
            End::Kill => {
                assert_eq!(last.ended, Ended::Killed { head: run.noted });
                // All that have a number up to the last one are there, and no others. Of several with
                // that number it may be the first ones.
                let count = |is: &dyn Fn(u64) -> bool| {
                    run.items.iter().filter(|item| is(item.number)).count()
                };
                let (before, others) = (count(&|it| it < last.last), count(&|it| it <= last.last));
                let is_pushed = pushed.contains(&last.last);
                assert!(read.len() >= before + usize::from(is_pushed) && read.len() <= others);
                assert!(last.last >= shared.kept());
            }
            End::PowerLoss => {
                assert_eq!(last.ended, Ended::Unknown);
                if durability == Durability::Always {
                    assert!(last.last >= shared.kept());
                }
            }
        }
        assert!(opened.next() > last.last);
        items = read;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_is_read_back_and_nothing_else(
        durability in durability(),
        segment_bytes_max in prop_oneof![Just(300_u64), Just(2000), Just(1 << 20)],
        lives in prop::collection::vec(life(), 1..5),
        seed in any::<u64>(),
    ) {
        check(durability, segment_bytes_max, &lives, seed);
    }
}

/// More with `FANFARE_CASES`.
fn cases() -> u32 {
    std::env::var("FANFARE_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(300)
}

#[test]
fn a_life_that_is_killed_at_any_operation_and_any_part_of_a_write_loses_nothing_it_acknowledged() {
    let steps: Vec<_> =
        (0..30).map(|it| if it % 3 == 2 { Step::Turn } else { Step::Push(40 + it) }).collect();
    let next = LifeOf { steps: steps[..6].to_vec(), faults: Vec::new(), end: End::Close };
    for durability in super::running::ALL {
        for at in 0..40 {
            for part in [0, 1, 50, 128, 200, 255] {
                let kill = Fault { at, count: 1, kind: FaultKind::Kill, part };
                let life = LifeOf { steps: steps.clone(), faults: vec![kill], end: End::Kill };
                check(durability, 500, &[life, next.clone()], at);
            }
        }
    }
}

#[test]
fn a_last_record_that_is_torn_at_any_byte_is_left_out_and_the_others_are_read() {
    let options = options(Durability::Always);
    let disk = MemoryDisk::default();
    let (mut opened, _) = open(&disk, options, BOOT);
    let (shared, mut writer, _parker) = opened.start(Epoch::random()).ok().unwrap();
    let mut ends = Vec::new();
    let segment = "000000000001.log";
    for number in 1..=3 {
        shared.push(&Item::of(number, 50));
        shared.note(number);
        writer.turn(false).unwrap();
        ends.push(disk.files()[segment].len());
    }
    let files = disk.files();
    for length in ends[1]..ends[2] {
        // Cut, with zeros behind, with other bytes behind, and with one that is wrong.
        for variant in 0..4 {
            let mut bytes = files[segment][..length].to_vec();
            match variant {
                0 => {}
                1 => bytes.resize(ends[2] + 100, 0),
                2 => bytes.resize(ends[2] + 100, 0xA5),
                _ => {
                    bytes.clone_from(&files[segment]);
                    bytes[length] ^= 0x10;
                }
            }
            let torn = MemoryDisk::default();
            for (name, bytes) in &files {
                torn.put(name, bytes.clone());
            }
            torn.put(segment, bytes);
            let (mut opened, read) = open(&torn, options, BOOT);
            assert_eq!(read, [Item::of(1, 50), Item::of(2, 50)], "{length} {variant}");
            assert_eq!(opened.lives()[0].ended, Ended::Killed { head: 3 });
            assert_eq!(opened.next(), 4);
            // The next life goes on behind it.
            let (shared, mut writer, _parker) = opened.start(Epoch::random()).ok().unwrap();
            shared.push(&Item::of(4, 50));
            shared.note(4);
            writer.turn(true).unwrap();
            let (opened, read) = open(&torn, options, BOOT);
            assert_eq!(read, [Item::of(1, 50), Item::of(2, 50), Item::of(4, 50)]);
            assert_eq!(opened.lives()[0].ended, Ended::Killed { head: 3 });
            assert_eq!(opened.lives()[1].ended, Ended::Clean);
        }
    }
}

#[test]
fn a_full_disk_is_trouble_until_there_is_space_again() {
    let options = options(Durability::Interval);
    let disk = MemoryDisk::default();
    let (mut opened, _) = open(&disk, options, BOOT);
    let (shared, mut writer, _parker) = opened.start(Epoch::random()).ok().unwrap();
    let full = Fault { at: 0, count: 20, kind: FaultKind::NoSpace, part: 100 };
    disk.set_faults(vec![full]);
    shared.push(&Item::of(1, 1000));
    shared.note(1);
    let mut pauses = Vec::new();
    while let Err(failure) = writer.turn(false) {
        pauses.push(writer.fail(&failure));
        let trouble = shared.trouble().unwrap();
        assert!(trouble.what.contains(".log: "), "{}", trouble.what);
        assert_eq!(shared.kept(), 0);
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert!(pauses.len() > 3 && disk.operations() > 20, "{pauses:?} {}", disk.operations());
    assert!(shared.trouble().is_none());
    assert_eq!(shared.kept(), 1);
    // What could not be written takes no space.
    let segments = disk.files().into_keys().filter(|name| name.ends_with(".log")).count();
    assert_eq!(segments, 1);
}
