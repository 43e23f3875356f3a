//! `GET /metrics`: what the hub and the program count, in Prometheus' text format.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare::{Metrics, Rule};

use super::super::exposition::Exposition;
use super::super::logging;
use super::pool::PoolCounts;

/// What the control side counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) pool: Arc<PoolCounts>,
    /// Requests that showed a wrong token.
    pub(super) wrong_tokens: AtomicU64,
}

/// Writes out the metrics of a program that was started at a time.
pub(super) fn text(
    metrics: &Metrics,
    rules: &[Rule],
    counts: &Counts,
    started: SystemTime,
) -> String {
    let mut text = String::with_capacity(16 << 10);
    let written = metrics
        .write_prometheus(rules, &mut text)
        .and_then(|()| of_program(&mut Exposition::new(&mut text), counts, started));
    written.expect("a string takes whatever is written to it");
    text
}

fn of_program(out: &mut Exposition<'_>, counts: &Counts, started: SystemTime) -> fmt::Result {
    let help = "Lines of the log that were dropped since standard error took them too slowly.";
    out.one("fanfare_lost_log_lines_total", "counter", help, logging::lost_lines())?;
    control(out, counts)?;
    let since_epoch = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let name = "process_start_time_seconds";
    out.one(name, "gauge", "When the program started, in Unix time.", since_epoch.as_secs_f64())
}

/// What the program counts of its control side.
fn control(out: &mut Exposition<'_>, counts: &Counts) -> fmt::Result {
    let name = "fanfare_control_connections";
    let help = "Open connections of the control side, with those that are idle.";
    out.one(name, "gauge", help, counts.pool.connections.load(Ordering::Relaxed))?;
    let name = "fanfare_displaced_control_connections_total";
    let help = "Connections of the control side that were closed for new ones.";
    out.one(name, "counter", help, counts.pool.displaced.load(Ordering::Relaxed))?;
    let name = "fanfare_refused_control_connections_total";
    let help = "Connections of the control side that were turned away since all others were busy.";
    out.one(name, "counter", help, counts.pool.refused.load(Ordering::Relaxed))?;
    let name = "fanfare_wrong_tokens_total";
    let help = "Requests that were refused since they showed another token than the publish token.";
    out.one(name, "counter", help, counts.wrong_tokens.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_counts_comes_behind_what_the_hub_does_each_family_once() {
        let counts = Counts::default();
        counts.wrong_tokens.store(3, Ordering::Relaxed);
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        let text = text(&Metrics::default(), &[], &counts, started);
        assert!(text.contains("\nfanfare_connections 0\n"), "{text}");
        assert!(text.contains("\nfanfare_wrong_tokens_total 3\n"), "{text}");
        assert!(text.ends_with("\nprocess_start_time_seconds 1.5\n"), "{text}");
        let mut families = std::collections::HashSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            assert!(families.insert(line), "{line} is there twice");
        }
    }
}
