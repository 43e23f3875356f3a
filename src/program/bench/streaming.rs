//! Scenarios in which events flow: without pause, paced, one person's messages beside them, and
//! watching a server that runs anyway.

use std::time::Duration;

use super::client::{Client, Connected};
use super::clock::{now_ns, thread_cpu_ns};
use super::follower::{Class, Expected};
use super::histogram::Histogram;
use super::load::Load;
use super::metric::{per_second, Measured, Unit};
use super::run::{RunArgs, Server, SETTLE};
use super::slow::{Sleepers, Slept};
use super::subject::Done;
use super::Error;

const TURN: Duration = Duration::from_millis(100);
/// How long nothing at all may arrive, in nanoseconds, when events are due.
pub(super) const STALL_NS_MAX: u64 = 15_000_000_000;
/// How long a subject may take to report, and its last solo events to arrive.
pub(super) const REPORT_PATIENCE: Duration = Duration::from_secs(20);
/// How long to look for events that come too often.
pub(super) const LINGER: Duration = Duration::from_millis(200);

/// What the clocks showed at a moment of a run.
pub(super) struct Moment {
    pub(super) at_ns: u64,
    server_cpu_ns: Option<u64>,
    client_cpu_ns: u64,
}

/// What all readers of a run received together.
pub(super) struct Flow<'a> {
    pub(super) received: u64,
    /// How many of these were checked by parsing rather than by comparing.
    pub(super) parsed: u64,
    /// How many of these are not the benchmark's own.
    pub(super) other: u64,
    pub(super) first_stamp_ns: Option<u64>,
    pub(super) last_at_ns: u64,
    pub(super) latency: &'a Histogram,
}

/// Connects all clients, has the subject publish, and checks and times every delivery.
pub(super) fn stream(args: &RunArgs, server: &mut Server, load: &Load) -> Result<Measured, Error> {
    let deadline_ns = args.deadline_ns();
    let mut client = Client::new()?;
    let expected =
        Expected { first: Some(0), events: Some(load.events), data_bytes: Some(load.bytes) };
    let all = client.add_class(Class::new(expected));
    let connected = client.connect(&server.target()?, all, load.clients)?;
    let solo = if load.solo_interval_ms > 0 {
        let expected = Expected { events: None, ..expected };
        let solo = client.add_class(Class::new(expected));
        client.connect(&server.solo_target()?, solo, 1)?;
        Some(solo)
    } else {
        None
    };
    let sleepers = match load.slow {
        0 => None,
        slow => Some(Sleepers::open(server.target()?, slow, load.bytes)?),
    };
    pump_for(&mut client, SETTLE)?;

    let stall_ns_max = STALL_NS_MAX.max(if load.rate > 0.0 { (3e9 / load.rate) as u64 } else { 0 });
    let before = Moment::now(server)?;
    server.go()?;
    while client.class(all).totals.complete < load.clients {
        client.pump(TURN)?;
        check_on(&client, all, before.at_ns, stall_ns_max, deadline_ns)?;
    }
    let after = Moment::now(server)?;
    let done = server.done(REPORT_PATIENCE)?;
    check_published(&done, load)?;
    if let Some(solo) = solo {
        await_solos(&mut client, solo, &done)?;
    }
    pump_for(&mut client, LINGER)?;
    client.finish();
    check_faults(&client, all)?;
    if let Some(solo) = solo {
        check_faults(&client, solo)?;
    }

    let mut measured = Measured::default();
    add_deliveries(&mut measured, &flow(client.class(all)), &before, &after);
    measured.add_ns("publish_elapsed_ns", "publishing took", done.elapsed_ns);
    add_memory(&mut measured, server)?;
    add_connected(&mut measured, &connected);
    add_counts(&mut measured, &done);
    if let Some(solo) = solo {
        add_solo(&mut measured, client.class(solo), &done);
    }
    if let Some(sleepers) = sleepers {
        add_slept(&mut measured, load, &done, sleepers.wake()?)?;
    }
    Ok(measured)
}

/// Follows a running server until so many events have come on each connection, or for a time.
pub(super) fn watch(
    args: &RunArgs,
    server: &mut Server,
    clients: usize,
    events: Option<u64>,
    seconds: Option<u64>,
) -> Result<Measured, Error> {
    let mut deadline_ns = args.deadline_ns();
    let mut client = Client::new()?;
    let all = client.add_class(Class::new(Expected { events, ..Expected::default() }));
    let connected = client.connect(&server.target()?, all, clients)?;
    let before = Moment::now(server)?;
    let end_ns = seconds.map(|seconds| before.at_ns + seconds * 1_000_000_000);
    deadline_ns = deadline_ns.max(end_ns.unwrap_or(0));
    while client.class(all).totals.complete < clients && end_ns.is_none_or(|end| now_ns() < end) {
        client.pump(TURN)?;
        let stall_ns_max = if end_ns.is_some() { u64::MAX } else { STALL_NS_MAX };
        check_on(&client, all, before.at_ns, stall_ns_max, deadline_ns)?;
    }
    let after = Moment::now(server)?;
    if end_ns.is_none() {
        pump_for(&mut client, LINGER)?;
        client.finish();
    }
    check_faults(&client, all)?;
    let mut measured = Measured::default();
    add_deliveries(&mut measured, &flow(client.class(all)), &before, &after);
    add_memory(&mut measured, server)?;
    add_connected(&mut measured, &connected);
    Ok(measured)
}

impl Moment {
    pub(super) fn now(server: &Server) -> Result<Self, Error> {
        Ok(Self {
            server_cpu_ns: server.cpu_ns()?,
            client_cpu_ns: thread_cpu_ns(),
            at_ns: now_ns(),
        })
    }
}

fn pump_for(client: &mut Client, span: Duration) -> Result<(), Error> {
    let end_ns = now_ns() + span.as_nanos() as u64;
    loop {
        let left_ns = end_ns.saturating_sub(now_ns());
        if left_ns == 0 {
            return Ok(());
        }
        client.pump(Duration::from_nanos(left_ns))?;
    }
}

/// Fails a run that cannot succeed any more, or takes too long.
fn check_on(
    client: &Client,
    class: usize,
    begun_at_ns: u64,
    stall_ns_max: u64,
    deadline_ns: u64,
) -> Result<(), Error> {
    let now_ns = now_ns();
    let silent_ns = now_ns.saturating_sub(client.last_bytes_at_ns().max(begun_at_ns));
    let what = if client.closed() > 0 {
        format!("the server closed {} connections", client.closed())
    } else if silent_ns > stall_ns_max {
        format!("nothing arrived for {} s", silent_ns / 1_000_000_000)
    } else if now_ns > deadline_ns {
        "the run took too long (--limit-seconds)".to_owned()
    } else {
        return Ok(());
    };
    let class = client.class(class);
    let (delivered, complete) = (class.totals.delivered, class.totals.complete);
    let faults = class.faults;
    Err(format!("{what}; {delivered} events delivered, {complete} clients complete, {faults:?}")
        .into())
}

fn check_faults(client: &Client, class: usize) -> Result<(), Error> {
    let faults = client.class(class).faults;
    if faults.is_none() && client.closed() == 0 {
        return Ok(());
    }
    Err(format!("wrong deliveries: {faults:?}, {} connections closed", client.closed()).into())
}

fn await_solos(client: &mut Client, solo: usize, done: &Done) -> Result<(), Error> {
    let published = *done.more.get("solo").ok_or("the subject does not tell its solo events")?;
    client.class_mut(solo).expected.events = Some(published);
    let end_ns = now_ns() + REPORT_PATIENCE.as_nanos() as u64;
    // What is missing then is found by `finish`.
    while client.class(solo).totals.delivered < published && now_ns() < end_ns {
        client.pump(TURN)?;
    }
    Ok(())
}

/// Fails a run whose subject published something else than it was told.
pub(super) fn check_published(done: &Done, load: &Load) -> Result<(), Error> {
    let wanted = load.events * (load.singles + 1);
    if done.published == wanted {
        return Ok(());
    }
    Err(format!("{} events published, not {wanted}", done.published).into())
}

fn flow(class: &Class) -> Flow<'_> {
    let totals = &class.totals;
    Flow {
        received: totals.delivered + totals.other,
        parsed: totals.parsed,
        other: totals.other,
        first_stamp_ns: class.first_stamp_ns(),
        last_at_ns: totals.last_at_ns,
        latency: &class.latency,
    }
}

pub(super) fn add_deliveries(
    measured: &mut Measured,
    flow: &Flow,
    before: &Moment,
    after: &Moment,
) {
    let received = flow.received;
    let begun_at_ns = flow.first_stamp_ns.unwrap_or(before.at_ns);
    let span_ns = flow.last_at_ns.saturating_sub(begun_at_ns);
    measured.add_count("deliveries_per_s", "deliveries/s", per_second(received, span_ns));
    measured.add_count("deliveries", "deliveries", received as f64);
    if flow.latency.total() > 0 {
        add_latency(measured, flow.latency);
    }
    let elapsed_ns = (after.at_ns - before.at_ns).max(1) as f64;
    if let (Some(before_ns), Some(after_ns)) = (before.server_cpu_ns, after.server_cpu_ns) {
        let cpu_ns = (after_ns - before_ns) as f64;
        let per_delivery = cpu_ns / received.max(1) as f64;
        measured.add(
            "server_cpu_per_delivery_ns",
            "server CPU/delivery",
            Unit::Nanoseconds,
            per_delivery,
        );
        measured.add("server_cpu_share", "server CPU", Unit::Share, cpu_ns / elapsed_ns);
    }
    let cpu_ns = (after.client_cpu_ns - before.client_cpu_ns) as f64;
    measured.add("client_cpu_share", "client CPU", Unit::Share, cpu_ns / elapsed_ns);
    measured.add_count("events_parsed", "events parsed by client", flow.parsed as f64);
    measured.add_count("events_other", "foreign events", flow.other as f64);
}

pub(super) fn add_latency(measured: &mut Measured, latency: &Histogram) {
    let at = |percent| latency.percentile_ns(percent);
    measured.add_ns("latency_p50_ns", "latency p50", at(50.0));
    measured.add_ns("latency_p90_ns", "latency p90", at(90.0));
    measured.add_ns("latency_p99_ns", "latency p99", at(99.0));
    measured.add_ns("latency_p999_ns", "latency p99.9", at(99.9));
    measured.add_ns("latency_max_ns", "latency max", latency.max_ns());
    measured.pooled.push(("latency", latency.clone()));
}

pub(super) fn add_memory(measured: &mut Measured, server: &Server) -> Result<(), Error> {
    if let Some(memory) = server.memory()? {
        measured.add_bytes("rss_peak_bytes", "server peak RSS", memory.rss_peak_bytes as f64);
        measured.add_bytes("rss_anon_bytes", "server RssAnon", memory.rss_anon_bytes as f64);
    }
    Ok(())
}

fn add_connected(measured: &mut Measured, connected: &Connected) {
    measured.add_ns("connect_ns", "all have their head", connected.elapsed_ns);
}

fn add_solo(measured: &mut Measured, class: &Class, done: &Done) {
    let latency = &class.latency;
    measured.add_count("solo_events", "solo events", class.totals.delivered as f64);
    measured.add_ns("solo_latency_p50_ns", "solo latency p50", latency.percentile_ns(50.0));
    measured.add_ns("solo_latency_p99_ns", "solo latency p99", latency.percentile_ns(99.0));
    measured.add_ns("solo_latency_max_ns", "solo latency max", latency.max_ns());
    for (name, title) in [
        ("solo_late_p50_ns", "solo published late p50"),
        ("solo_late_p99_ns", "solo published late p99"),
        ("solo_call_p50_ns", "solo publish call p50"),
        ("solo_call_p99_ns", "solo publish call p99"),
    ] {
        if let Some(span_ns) = done.more.get(name) {
            measured.add_ns(name, title, *span_ns);
        }
    }
    if let Some(count) = done.more.get("solo_refused") {
        measured.add_count("solo_refused", "solo refused for room", *count as f64);
    }
    measured.pooled.push(("solo latency", latency.clone()));
}

/// Adds what a subject counted itself.
pub(super) fn add_counts(measured: &mut Measured, done: &Done) {
    for (name, title) in [
        ("short_writes", "short writes"),
        ("batches", "batches begun"),
        ("room_waits", "publisher waited for room"),
        ("held_passes", "passes held"),
    ] {
        if let Some(count) = done.more.get(name) {
            measured.add_count(name, title, *count as f64);
        }
    }
}

/// Adds what became of the clients that did not read.
fn add_slept(measured: &mut Measured, load: &Load, done: &Done, slept: Slept) -> Result<(), Error> {
    if !slept.faults.is_none() {
        return Err(format!("wrong deliveries to slow clients: {:?}", slept.faults).into());
    }
    measured.add_count("slow_clients", "slow clients", load.slow as f64);
    measured.add_count("slow_cut", "slow: cut by the server", slept.cut as f64);
    measured.add_count("slow_delivered", "slow: events in their sockets", slept.delivered as f64);
    for (name, title) in [
        ("lagging", "lagging at the end"),
        ("disconnects_lagging", "disconnected: lagging"),
        ("disconnects_error", "disconnected: error"),
        ("disconnects_client_closed", "disconnected: client closed"),
    ] {
        if let Some(count) = done.more.get(name) {
            measured.add_count(name, title, *count as f64);
        }
    }
    Ok(())
}
