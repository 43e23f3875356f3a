//! Processes that are killed while they write.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::running::{wait_kept, ALL};
use super::{options, Item, TestFolder, TIME_MAX};
use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::{Ended, Journal};

/// Makes a test's process the one that is to be killed: its folder and promise.
const FOLDER: &str = "FANFARE_TEST_JOURNAL";
const PROMISE: &str = "FANFARE_TEST_PROMISE";
const TEST: &str = "a_process_that_is_killed_has_lost_exactly_what_the_head_says";
const KILLS: u64 = 8;

/// Publishes until it is killed, or some time has passed. Says before each number and behind it
/// what it does, and what is kept.
fn publish_until_killed(folder: &str, promise: &str) {
    let durability = ALL.into_iter().find(|it| format!("{it:?}") == promise).unwrap();
    let opened = Journal::open(folder.as_ref(), options(durability)).unwrap();
    let first = opened.lives().len() as u64;
    let mut opened = opened;
    opened.read(|_, _| ()).unwrap();
    let mut number = opened.next() - 1;
    let journal = opened.begin(Epoch::random()).unwrap();
    let mut output = std::io::stdout().lock();
    let until = Instant::now() + TIME_MAX;
    while Instant::now() < until {
        // Some one by one, and then many at once.
        for _ in 0..if first % 2 == 0 { 1 } else { 500 } {
            number += 1;
            writeln!(output, "begins {number}").unwrap();
            journal.push(&Item::of(number, 100));
            journal.note(number);
        }
        if number % 3 == 0 {
            wait_kept(&journal, number);
        }
        let kept = journal.kept_to();
        writeln!(output, "noted {number}\nkept {kept}").unwrap();
        output.flush().unwrap();
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child said before it was killed: the last number that it began, noted, and knew as kept.
#[derive(Debug, Default)]
struct Said {
    begins: u64,
    noted: u64,
    kept: u64,
}

fn run_and_kill(folder: &TestFolder, durability: Durability, lines: u64) -> Said {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", &format!("journal::tests::killed::{TEST}")]);
    command.env(FOLDER, &folder.0).env(PROMISE, format!("{durability:?}"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = Killed(child);
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let (mut said, mut count) = (Said::default(), 0);
    let deadline = Instant::now() + TIME_MAX;
    for line in output.lines() {
        let Ok(line) = line else { break };
        let mut words = line.split(' ');
        let (what, number) = (words.next(), words.next().and_then(|it| it.parse().ok()));
        let Some(number) = number else { continue };
        match what {
            Some("begins") => said.begins = number,
            Some("noted") => said.noted = number,
            Some("kept") => said.kept = number,
            _ => continue,
        }
        count += 1;
        if count == lines {
            child.0.kill().unwrap();
        }
        assert!(Instant::now() < deadline, "the child says {said:?}");
    }
    assert!(count >= lines, "the child ended by itself: {said:?}");
    said
}

#[test]
fn a_process_that_is_killed_has_lost_exactly_what_the_head_says() {
    if let (Ok(folder), Ok(promise)) = (std::env::var(FOLDER), std::env::var(PROMISE)) {
        return publish_until_killed(&folder, &promise);
    }
    for durability in ALL {
        let folder = TestFolder::new(&format!("killed-{durability:?}"));
        let mut random = fastrand::Rng::with_seed(17);
        let mut lost = 0;
        for life in 0..KILLS {
            let said = run_and_kill(&folder, durability, random.u64(20..2000));
            let mut opened = Journal::open(&folder.0, options(durability)).unwrap();
            let mut numbers = Vec::new();
            opened
                .read(|number, payload| {
                    assert_eq!(payload, Item::of(number, 100).payload);
                    numbers.push(number);
                })
                .unwrap();
            assert_eq!(opened.lives().len() as u64, life + 1);
            let of = opened.lives()[life as usize];
            let Ended::Killed { head } = of.ended else { panic!("{of:?}") };
            // It is known to the number what was given.
            assert!(head >= said.noted && head <= said.begins.max(said.noted), "{of:?} {said:?}");
            assert!(of.last >= said.kept && of.last <= head, "{of:?} {said:?}");
            let numbers: Vec<_> = numbers.into_iter().filter(|it| *it >= of.first).collect();
            assert!(numbers.iter().copied().eq(of.first..=of.last), "each once and in order");
            lost += head - of.last;
            assert_eq!(opened.next(), head + 1);
        }
        println!("{durability:?}: {lost} lost in {KILLS} kills");
    }
}

#[test]
fn a_folder_is_free_again_when_its_process_was_killed() {
    let folder = TestFolder::new("killed-free");
    let begun = Instant::now();
    run_and_kill(&folder, Durability::Os, 20);
    drop(Journal::open(&folder.0, options(Durability::Os)).unwrap());
    assert!(begun.elapsed() < TIME_MAX + Duration::from_secs(1));
}
