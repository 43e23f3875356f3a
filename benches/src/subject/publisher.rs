//! The publishing side of a subject that has threads of its own: one publishes what all clients
//! get, in the order and at the pace of the schedule, the other one client's messages beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{now_ns, process_cpu_ns};
use crate::histogram::Histogram;
use crate::load::{Load, SoloStamp};
use crate::schedule::Schedule;
use crate::subject::{write_data, Done};
use crate::Error;

/// What became of a solo event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Solo {
    Published,
    /// The backlog was full.
    Refused,
}

/// What the solo publisher counted.
#[derive(Default)]
struct Solos {
    published: u64,
    refused: u64,
    /// How much later than due each was published.
    late: Histogram,
    /// How long each call took.
    calls: Histogram,
}

/// Publishes all events of a load from the calling thread, and the solo events from a second one.
/// The events to all are numbered from `first` on.
///
/// `publish` gets the topic (`None` is the one that all share) and the data of one event, and
/// returns when it was accepted. `publish_solo` must not wait: one that was refused is tried again
/// when the next is due, and counted.
pub(crate) fn publish_all(
    first: u64,
    load: &Load,
    mut publish: impl FnMut(Option<usize>, &str) -> Result<(), Error>,
    publish_solo: impl FnMut(&str) -> Result<Solo, Error> + Send,
) -> Result<Done, Error> {
    let is_over = AtomicBool::new(false);
    let begun_at_ns = now_ns();
    let cpu_before_ns = process_cpu_ns();
    std::thread::scope(|scope| {
        let solo = (load.solo_interval_ms > 0).then(|| {
            let is_over = &is_over;
            scope.spawn(move || publish_solos(load, is_over, publish_solo))
        });
        let published = publish_planned(first, load, begun_at_ns, &mut publish);
        let elapsed_ns = now_ns() - begun_at_ns;
        let cpu_ns = process_cpu_ns() - cpu_before_ns;
        is_over.store(true, Ordering::Relaxed);
        let mut done = Done { published: published?, elapsed_ns, cpu_ns, ..Done::default() };
        if let Some(solo) = solo {
            solo.join().map_err(|_| "the solo publisher panicked")??.add_to(&mut done);
        }
        Ok(done)
    })
}

fn publish_planned(
    first: u64,
    load: &Load,
    begun_at_ns: u64,
    publish: &mut impl FnMut(Option<usize>, &str) -> Result<(), Error>,
) -> Result<u64, Error> {
    let schedule = Schedule::new(load);
    let mut data = String::with_capacity(load.bytes);
    for place in 0..schedule.len() {
        sleep_until(schedule.due_ns(begun_at_ns, place));
        let planned = schedule.planned(place);
        let number = if planned.topic.is_none() { first } else { 0 } + planned.number;
        write_data(&mut data, number, now_ns(), load.bytes);
        publish(planned.topic, &data)?;
    }
    Ok(schedule.len())
}

/// Publishes until `is_over`.
fn publish_solos(
    load: &Load,
    is_over: &AtomicBool,
    mut publish: impl FnMut(&str) -> Result<Solo, Error>,
) -> Result<Solos, String> {
    let interval_ns = load.solo_interval_ms * 1_000_000;
    let mut data = String::with_capacity(load.bytes);
    let mut solos = Solos::default();
    let mut due_ns = now_ns() + interval_ns;
    loop {
        sleep_until(due_ns);
        if is_over.load(Ordering::Relaxed) {
            return Ok(solos);
        }
        let begun_at_ns = now_ns();
        let stamp_ns = match load.solo_stamp {
            // A publisher that comes late because the machine is busy is part of what its reader
            // waits for.
            SoloStamp::Due => due_ns,
            SoloStamp::Call => begun_at_ns,
        };
        write_data(&mut data, solos.published, stamp_ns, load.bytes);
        let called_at_ns = now_ns();
        let outcome = publish(&data).map_err(|error| error.to_string())?;
        solos.calls.record(now_ns() - called_at_ns);
        solos.late.record(begun_at_ns.saturating_sub(due_ns));
        match outcome {
            Solo::Published => solos.published += 1,
            Solo::Refused => solos.refused += 1,
        }
        due_ns += interval_ns;
    }
}

impl Solos {
    fn add_to(&self, done: &mut Done) {
        for (name, number) in [
            ("solo", self.published),
            ("solo_refused", self.refused),
            ("solo_late_p50_ns", self.late.percentile_ns(50.0)),
            ("solo_late_p99_ns", self.late.percentile_ns(99.0)),
            ("solo_call_p50_ns", self.calls.percentile_ns(50.0)),
            ("solo_call_p99_ns", self.calls.percentile_ns(99.0)),
        ] {
            done.more.insert(name.to_owned(), number);
        }
    }
}

fn sleep_until(due_ns: u64) {
    let now_ns = now_ns();
    if due_ns > now_ns {
        std::thread::sleep(Duration::from_nanos(due_ns - now_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Settings;

    #[test]
    fn everything_is_published_once_in_order_and_the_solo_topic_beside_it() {
        let settings = Settings {
            events: Some(20),
            rate: Some(400.0),
            bytes: Some(64),
            solo_interval_ms: Some(5),
            ..Settings::default()
        };
        let mut numbers = Vec::new();
        let mut tries = 0;
        let mut solos = Vec::new();
        let begun_at_ns = now_ns();
        let number = |data: &str| data.split(' ').next().unwrap().parse::<u64>().unwrap();
        let done = publish_all(
            7,
            &settings.load().unwrap(),
            |topic, data| {
                assert_eq!(topic, None);
                numbers.push(number(data));
                Ok(())
            },
            |data| {
                tries += 1;
                if tries == 2 {
                    return Ok(Solo::Refused);
                }
                solos.push(number(data));
                Ok(Solo::Published)
            },
        )
        .unwrap();
        assert_eq!(numbers, (7..27).collect::<Vec<_>>());
        assert_eq!(solos, (0..solos.len() as u64).collect::<Vec<_>>());
        assert_eq!((done.published, done.more["solo"]), (20, solos.len() as u64));
        assert_eq!(done.more["solo_refused"], 1);
        assert!(now_ns() - begun_at_ns >= 19 * 2_500_000);
    }
}
