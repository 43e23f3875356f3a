//! All clients are cut off, and come back at once with the id of the last event that they had,
//! while publishing goes on. Each has to get everything since, once, in order, and without a gap.
//!
//! Beside it, in the same run, what it is made of: that as many clients connect without an id, and
//! that as many events are broadcast to clients that are there. A replay sends the same bytes
//! through as many new connections, so these two together are what it may cost.

use std::time::Duration;

use crate::clients::follower::{Expected, Totals};
use crate::clients::Clients;
use crate::clock::now_ns;
use crate::load::Load;
use crate::metric::{Measured, Unit};
use crate::phases::{phases, Phase};
use crate::scenarios::connections::await_leave;
use crate::scenarios::run::{RunArgs, Server, SETTLE};
use crate::scenarios::streaming::{
    check_faults, check_on, pump_for, LINGER, REPORT_PATIENCE, STALL_NS_MAX,
};
use crate::scenarios::Scenario;
use crate::subject::Done;
use crate::Error;

/// How many connections may wait for their head at once: half of what a listening socket of the
/// engine's, and of most systems, lets wait to be accepted.
const IN_FLIGHT_MAX: usize = 2_048;
const TURN: Duration = Duration::from_millis(20);
/// Into how many steps a spread cut is divided at most.
const CUTS_MAX: usize = 1_000;

/// Whether a scenario's subjects can be measured in this way.
///
/// # Errors
///
/// When one of them keeps no history.
pub(crate) fn check(scenario: &Scenario) -> Result<(), Error> {
    for part in &scenario.parts {
        if part.load.away == 0 {
            return Err(
                format!("{}: it needs away, the events that are missed", scenario.name).into()
            );
        }
        if let Some(other) = part.subjects.iter().find(|subject| *subject != "fanfare") {
            return Err(format!("{}: {other} keeps no history here", scenario.name).into());
        }
    }
    Ok(())
}

/// Has all clients connect, get a broadcast, be cut off, miss events, and come back.
pub(crate) fn reconnect(
    args: &RunArgs,
    server: &mut Server,
    load: &Load,
) -> Result<Measured, Error> {
    let deadline_ns = args.deadline_ns();
    let [together, away, back, over] = &phases(load)[..] else {
        return Err("a load without away has no clients that come back".into());
    };
    let target = server.target()?;
    std::thread::sleep(SETTLE);
    let sockets = server.sockets()?.ok_or("the server's process is not known")?;
    let mut client = args.spawn_clients(load.clients)?;
    client.set_in_flight_max(IN_FLIGHT_MAX);
    let class = client.add_class(Expected {
        first: Some(0),
        events: Some(together.load.events),
        data_bytes: Some(load.bytes),
    })?;
    let mut run = Run { server, client, class, clients: load.clients, deadline_ns };

    let before = run.now()?;
    run.client.connect(&target, class, load.clients)?;
    let connecting = before.until(&run.now()?);
    pump_for(&mut run.client, SETTLE)?;

    run.server.forget_peak()?;
    let before = run.now()?;
    run.server.go()?;
    run.await_all(before.at_ns)?;
    let broadcast = before.until(&run.now()?);
    let broadcast_peak = run.server.memory()?;
    run.published(together)?;

    run.server.go()?;
    run.cut_over(Duration::from_secs(load.spread_seconds))?;
    let (fewest, most) = run.client.cut_all()?;
    run.published(away)?;
    let left = await_leave(run.server, sockets)?;
    if left > 0 {
        return Err(format!("the server keeps {left} sockets of clients that are gone").into());
    }
    run.client.expect(class, away.first + away.load.events)?;

    run.server.forget_peak()?;
    let before = run.now()?;
    run.server.go()?;
    let heads = run.client.reconnect(&target)?;
    run.await_all(before.at_ns)?;
    let replay = before.until(&run.now()?);
    run.client.expect(class, over.first)?;
    run.await_all(before.at_ns)?;
    let all = before.until(&run.now()?);
    let back_peak = run.server.memory()?;
    run.published(back)?;
    run.server.go()?;
    let counted = run.published(over)?;
    pump_for(&mut run.client, LINGER)?;
    let Run { mut client, .. } = run;
    client.finish()?;
    let harvests = client.harvests()?;
    check_faults(&client, harvests.iter())?;
    check_whole(&harvests[class].totals, &counted, load, over.first)?;

    let mut measured = Measured::default();
    measured.add_count("missed_min", "a client's missed events, least", (back.first - most) as f64);
    let missed_max = (back.first - fewest) as f64;
    measured.add_count("missed_max", "a client's missed events, most", missed_max);
    add_stretches(&mut measured, &connecting, &broadcast, &replay);
    measured.add_ns("reconnect_heads_ns", "all are back, with their heads", heads.elapsed_ns);
    let p99_ns = heads.heads.percentile_ns(99.0);
    measured.add_ns("reconnect_head_p99_ns", "one is back, with its head p99", p99_ns);
    if load.live > 0 {
        measured.add_ns("all_ns", "all have the last live event", all.elapsed_ns);
        add_cpu(&mut measured, "all_cpu_ns", "server CPU until then", &all);
    }
    let client_share = all.client_cpu_ns as f64 / all.elapsed_ns.max(1) as f64;
    measured.add("client_cpu_share", "client CPU", Unit::Share, client_share);
    for (name, title) in [
        ("replayed_events", "events replayed"),
        ("gathered_parts", "parts gathered"),
        ("room_waits", "publisher waited for the backlog"),
        ("held_batches", "batches held"),
    ] {
        let count = *counted.more.get(name).ok_or("the subject does not tell what it replayed")?;
        measured.add_count(name, title, count as f64);
    }
    if let (Some(broadcast), Some(back)) = (broadcast_peak, back_peak) {
        let broadcast_bytes = broadcast.rss_peak_bytes as f64;
        measured.add_bytes("broadcast_rss_peak_bytes", "peak RSS, broadcast", broadcast_bytes);
        measured.add_bytes("rss_peak_bytes", "peak RSS, replay", back.rss_peak_bytes as f64);
    }
    measured.pooled.push(("reconnect to head", heads.heads));
    Ok(measured)
}

/// A run that goes on.
struct Run<'a> {
    server: &'a mut Server,
    client: Clients,
    class: usize,
    clients: usize,
    deadline_ns: u64,
}

/// What the clocks showed.
struct Moment {
    at_ns: u64,
    server_cpu_ns: Option<u64>,
    client_cpu_ns: u64,
    totals: Totals,
}

/// What lies between two moments.
struct Stretch {
    /// Until the last client was complete, if clients became so.
    elapsed_ns: u64,
    server_cpu_ns: Option<u64>,
    client_cpu_ns: u64,
    deliveries: u64,
}

impl Run<'_> {
    fn now(&self) -> Result<Moment, Error> {
        Ok(Moment {
            server_cpu_ns: self.server.cpu_ns()?,
            client_cpu_ns: self.client.cpu_ns(),
            totals: self.client.totals(self.class),
            at_ns: now_ns(),
        })
    }

    /// Waits until all clients have what is expected.
    fn await_all(&mut self, begun_at_ns: u64) -> Result<(), Error> {
        while self.client.totals(self.class).complete < self.clients {
            self.client.pump(TURN)?;
            self.check(begun_at_ns)?;
        }
        Ok(())
    }

    /// Cuts clients off, one after another, over a time.
    fn cut_over(&mut self, span: Duration) -> Result<(), Error> {
        let begun_at_ns = now_ns();
        let span_ns = span.as_nanos() as u64;
        let steps = if span.is_zero() { 0 } else { self.clients.min(CUTS_MAX) };
        for step in 1..steps {
            let due_ns = begun_at_ns + span_ns * step as u64 / steps as u64;
            while now_ns() < due_ns {
                self.client.pump(Duration::from_nanos(due_ns.saturating_sub(now_ns())))?;
            }
            self.client.cut(step, steps)?;
            self.check(begun_at_ns)?;
        }
        Ok(())
    }

    fn check(&self, begun_at_ns: u64) -> Result<(), Error> {
        check_on(&self.client, &[self.class], begun_at_ns, STALL_NS_MAX, self.deadline_ns)
    }

    /// Waits for the subject's word that it has published a phase.
    fn published(&mut self, phase: &Phase) -> Result<Done, Error> {
        let done = self.server.done(REPORT_PATIENCE)?;
        if done.published == phase.load.events {
            return Ok(done);
        }
        let (published, wanted) = (done.published, phase.load.events);
        Err(format!("{published} events published, not {wanted}").into())
    }
}

impl Moment {
    fn until(&self, later: &Moment) -> Stretch {
        let end_ns = match later.totals.complete_at_ns {
            at_ns if at_ns > self.at_ns => at_ns,
            _ => later.at_ns,
        };
        let server_cpu_ns = self.server_cpu_ns.zip(later.server_cpu_ns);
        Stretch {
            elapsed_ns: end_ns - self.at_ns,
            server_cpu_ns: server_cpu_ns.map(|(before, after)| after.saturating_sub(before)),
            client_cpu_ns: later.client_cpu_ns.saturating_sub(self.client_cpu_ns),
            deliveries: later.totals.delivered - self.totals.delivered,
        }
    }
}

/// Fails a run in which a client got anything but every event once.
fn check_whole(totals: &Totals, counted: &Done, load: &Load, events: u64) -> Result<(), Error> {
    let gaps = counted.more.get("gap_events").copied().unwrap_or(0);
    let wanted = events * load.clients as u64;
    if totals.delivered == wanted && totals.other == 0 && gaps == 0 {
        return Ok(());
    }
    let Totals { delivered, other, .. } = *totals;
    Err(format!("{delivered} events instead of {wanted}, {other} others, {gaps} gaps").into())
}

fn add_stretches(
    measured: &mut Measured,
    connecting: &Stretch,
    broadcast: &Stretch,
    replay: &Stretch,
) {
    measured.add_ns("replay_ns", "all have what they missed", replay.elapsed_ns);
    measured.add_ns("connect_ns", "beside: all connect", connecting.elapsed_ns);
    measured.add_ns("broadcast_ns", "beside: all have a broadcast", broadcast.elapsed_ns);
    // What is compared is as many deliveries, by a broadcast and in the time of the replay.
    let share = replay.deliveries as f64 / broadcast.deliveries.max(1) as f64;
    let both = |connect: u64, broadcast: u64| connect as f64 + broadcast as f64 * share;
    let ratio = replay.elapsed_ns as f64 / both(connecting.elapsed_ns, broadcast.elapsed_ns);
    measured.add_count("replay_ratio", "replay / (connect + broadcast)", ratio);
    measured.add_count("replay_deliveries", "deliveries until then", replay.deliveries as f64);
    add_cpu(measured, "replay_cpu_ns", "server CPU until then", replay);
    add_cpu(measured, "connect_cpu_ns", "beside: server CPU, connect", connecting);
    add_cpu(measured, "broadcast_cpu_ns", "beside: server CPU, broadcast", broadcast);
    let cpu = [replay, connecting, broadcast].map(|stretch| stretch.server_cpu_ns);
    if let [Some(replay_ns), Some(connect_ns), Some(broadcast_ns)] = cpu {
        let ratio = replay_ns as f64 / both(connect_ns, broadcast_ns).max(1.0);
        measured.add_count("replay_cpu_ratio", "the same of server CPU", ratio);
        let each =
            |cpu_ns: u64, stretch: &Stretch| cpu_ns as f64 / stretch.deliveries.max(1) as f64;
        for (key, label, value) in [
            ("server_cpu_per_delivery_ns", "server CPU/delivery, replay", each(replay_ns, replay)),
            (
                "broadcast_cpu_per_delivery_ns",
                "server CPU/delivery, broadcast",
                each(broadcast_ns, broadcast),
            ),
        ] {
            measured.add(key, label, Unit::Nanoseconds, value);
        }
    }
}

fn add_cpu(measured: &mut Measured, key: &'static str, label: &'static str, stretch: &Stretch) {
    if let Some(cpu_ns) = stretch.server_cpu_ns {
        measured.add_ns(key, label, cpu_ns);
    }
}
