//! Scenarios in which events flow: without pause, paced, one client's messages beside them, and
//! watching a server that runs anyway.

use std::time::Duration;

use crate::clients::client::Connected;
use crate::clients::connect::Target;
use crate::clients::follower::{Expected, Faults};
use crate::clients::harvest::{Harvest, Received};
use crate::clients::slow::{Sleepers, Slept};
use crate::clients::solo::Solo;
use crate::clients::Clients;
use crate::clock::now_ns;
use crate::histogram::Histogram;
use crate::load::{Load, SlowPolicy};
use crate::metric::{per_second, Measured, Unit};
use crate::scenarios::run::{RunArgs, Server, SETTLE};
use crate::subject::Done;
use crate::timeline::Timeline;
use crate::Error;

const TURN: Duration = Duration::from_millis(100);
/// How long nothing at all may arrive, in nanoseconds, when events are due.
pub(crate) const STALL_NS_MAX: u64 = 15_000_000_000;
/// How long a subject may take to report, and its last solo events to arrive.
pub(crate) const REPORT_PATIENCE: Duration = Duration::from_secs(20);
/// How long to look for events that come too often.
pub(crate) const LINGER: Duration = Duration::from_millis(200);

/// What the clocks showed at a moment of a run.
pub(crate) struct Moment {
    pub(crate) at_ns: u64,
    server_cpu_ns: Option<u64>,
    client_cpu_ns: u64,
    /// Bytes received so far.
    bytes: u64,
}

/// What all readers of a run received together.
pub(crate) struct Flow<'a> {
    pub(crate) received: u64,
    /// How many of these were checked by parsing rather than by comparing.
    pub(crate) parsed: u64,
    /// Events that are not the benchmark's own.
    pub(crate) other: u64,
    pub(crate) first_stamp_ns: Option<u64>,
    pub(crate) last_at_ns: u64,
    /// How many events single connections received, if that is known.
    pub(crate) each: Option<Received>,
    pub(crate) latency: &'a Histogram,
    pub(crate) timeline: &'a Timeline,
}

/// Connects all clients, has the subject publish, and checks and times every delivery.
pub(crate) fn stream(args: &RunArgs, server: &mut Server, load: &Load) -> Result<Measured, Error> {
    let deadline_ns = args.deadline_ns();
    let mut client = args.spawn_clients(load.clients)?;
    let expected =
        Expected { first: Some(0), events: Some(load.events), data_bytes: Some(load.bytes) };
    let all = client.add_class(expected)?;
    let connected = client.connect(&server.target()?, all, load.clients)?;
    let solo = if load.solo_interval_ms > 0 {
        let expected = Expected { events: None, ..expected };
        Some(Solo::connect(server.solo_target()?, expected)?)
    } else {
        None
    };
    let sleepers = match load.slow {
        0 => None,
        slow => Some(Sleepers::open(slow_target(server, load)?, slow, load.bytes)?),
    };
    pump_for(&mut client, SETTLE)?;

    let stall_ns_max = STALL_NS_MAX.max(if load.rate > 0.0 { (3e9 / load.rate) as u64 } else { 0 });
    let before = moment(server, &client, &[all])?;
    server.go()?;
    while client.totals(all).complete < load.clients {
        client.pump(TURN)?;
        check_on(&client, &[all], before.at_ns, stall_ns_max, deadline_ns)?;
    }
    let after = moment(server, &client, &[all])?;
    let done = server.done(REPORT_PATIENCE)?;
    check_published(&done, load)?;
    let solo = solo.map(|solo| finish_solo(solo, &done)).transpose()?;
    pump_for(&mut client, LINGER)?;
    client.finish()?;
    let harvests = client.harvests()?;
    check_faults(&client, harvests.iter().chain(&solo))?;

    let mut measured = Measured::default();
    // What else the subject sends is no delivery.
    let received = harvests[all].totals.delivered;
    add_deliveries(&mut measured, &flow(&harvests[all], received), &before, &after);
    measured.add_ns("publish_elapsed_ns", "publishing took", done.elapsed_ns);
    add_memory(&mut measured, server)?;
    add_connected(&mut measured, &connected);
    add_counts(&mut measured, &done);
    if let Some(solo) = solo {
        add_solo(&mut measured, &solo, &done);
    }
    if let Some(sleepers) = sleepers {
        add_slept(&mut measured, load, &done, sleepers.wake()?)?;
    }
    Ok(measured)
}

/// What clients ask for that will not read.
fn slow_target(server: &Server, load: &Load) -> Result<Target, Error> {
    let target = server.target()?;
    Ok(match load.slow_policy {
        // What every client has that does not ask.
        SlowPolicy::Disconnect => target,
        SlowPolicy::DropOldest => target.with_field("policy=drop-oldest")?,
        SlowPolicy::Conflate => target.with_field("policy=conflate")?,
    })
}

/// Follows running servers until `events` events have come on each connection, or for `seconds`.
/// Each server's stream is checked by itself.
pub(crate) fn watch(
    args: &RunArgs,
    server: &mut Server,
    clients: usize,
    events: Option<u64>,
    seconds: Option<u64>,
) -> Result<Measured, Error> {
    let mut deadline_ns = args.deadline_ns();
    let mut client = args.spawn_clients(clients)?;
    let mut shares = server.shares(clients, 0)?;
    for share in &mut shares {
        share.class = client.add_class(Expected { events, ..Expected::default() })?;
    }
    let classes: Vec<usize> = shares.iter().map(|share| share.class).collect();
    let connected = client.connect_all(shares)?;
    let before = moment(server, &client, &classes)?;
    let end_ns = seconds.map(|seconds| before.at_ns + seconds * 1_000_000_000);
    deadline_ns = deadline_ns.max(end_ns.unwrap_or(0));
    while classes.iter().map(|class| client.totals(*class).complete).sum::<usize>() < clients
        && end_ns.is_none_or(|end| now_ns() < end)
    {
        client.pump(TURN)?;
        let stall_ns_max = if end_ns.is_some() { u64::MAX } else { STALL_NS_MAX };
        check_on(&client, &classes, before.at_ns, stall_ns_max, deadline_ns)?;
    }
    let after = moment(server, &client, &classes)?;
    if end_ns.is_none() {
        pump_for(&mut client, LINGER)?;
        client.finish()?;
    }
    let harvests = client.harvests()?;
    check_faults(&client, harvests.iter())?;
    let mut all = Harvest::default();
    for harvest in &harvests {
        all.merge(harvest);
    }
    let mut measured = Measured::default();
    add_deliveries(&mut measured, &flow(&all, all.totals.received()), &before, &after);
    add_memory(&mut measured, server)?;
    add_connected(&mut measured, &connected);
    Ok(measured)
}

impl Moment {
    /// Now. The client has used `client_cpu_ns` of CPU time and received `bytes` bytes.
    pub(crate) fn now(server: &Server, client_cpu_ns: u64, bytes: u64) -> Result<Self, Error> {
        Ok(Self { server_cpu_ns: server.cpu_ns()?, client_cpu_ns, bytes, at_ns: now_ns() })
    }
}

fn moment(server: &Server, client: &Clients, classes: &[usize]) -> Result<Moment, Error> {
    let bytes = classes.iter().map(|class| client.totals(*class).bytes).sum();
    Moment::now(server, client.cpu_ns(), bytes)
}

pub(crate) fn pump_for(client: &mut Clients, span: Duration) -> Result<(), Error> {
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
pub(crate) fn check_on(
    client: &Clients,
    classes: &[usize],
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
    let (mut delivered, mut complete, mut faults) = (0, 0, Faults::default());
    for class in classes {
        let totals = client.totals(*class);
        delivered += totals.delivered;
        complete += totals.complete;
        faults.merge(&client.faults(*class));
    }
    Err(format!("{what}; {delivered} events delivered, {complete} clients complete, {faults:?}")
        .into())
}

pub(crate) fn check_faults<'a>(
    client: &Clients,
    harvests: impl Iterator<Item = &'a Harvest>,
) -> Result<(), Error> {
    let mut faults = Faults::default();
    harvests.for_each(|harvest| faults.merge(&harvest.faults));
    if faults.is_none() && client.closed() == 0 {
        return Ok(());
    }
    Err(format!("wrong deliveries: {faults:?}, {} connections closed", client.closed()).into())
}

fn finish_solo(solo: Solo, done: &Done) -> Result<Harvest, Error> {
    let published = *done.more.get("solo").ok_or("the subject does not tell its solo events")?;
    solo.finish(published, REPORT_PATIENCE)
}

/// Fails a run whose subject published something else than it was told.
pub(crate) fn check_published(done: &Done, load: &Load) -> Result<(), Error> {
    let wanted = load.events * (load.singles + 1);
    if done.published == wanted {
        return Ok(());
    }
    Err(format!("{} events published, not {wanted}", done.published).into())
}

/// `received` events of a harvest count as deliveries.
fn flow(harvest: &Harvest, received: u64) -> Flow<'_> {
    Flow {
        received,
        parsed: harvest.totals.parsed,
        other: harvest.totals.other,
        first_stamp_ns: harvest.first_stamp_ns,
        last_at_ns: harvest.totals.last_at_ns,
        each: harvest.received,
        latency: &harvest.latency,
        timeline: &harvest.timeline,
    }
}

pub(crate) fn add_deliveries(
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
    if let Some(each) = flow.each {
        measured.add_count("received_min", "a client's events, least", each.fewest as f64);
        measured.add_count("received_max", "a client's events, most", each.most as f64);
    }
    let bytes = after.bytes.saturating_sub(before.bytes);
    measured.add_bytes("received_bytes", "bytes received", bytes as f64);
    measured.add_bytes("received_bytes_per_s", "bytes received/s", per_second(bytes, span_ns));
    if flow.latency.total() > 0 {
        add_latency(measured, flow.latency);
    }
    measured.course = Some(flow.timeline.since(begun_at_ns));
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

fn add_latency(measured: &mut Measured, latency: &Histogram) {
    let at = |percent| latency.percentile_ns(percent);
    measured.add_ns("latency_p50_ns", "latency p50", at(50.0));
    measured.add_ns("latency_p90_ns", "latency p90", at(90.0));
    measured.add_ns("latency_p99_ns", "latency p99", at(99.0));
    measured.add_ns("latency_p999_ns", "latency p99.9", at(99.9));
    measured.add_ns("latency_max_ns", "latency max", latency.max_ns());
    measured.pooled.push(("latency", latency.clone()));
}

pub(crate) fn add_memory(measured: &mut Measured, server: &Server) -> Result<(), Error> {
    if let Some(memory) = server.memory()? {
        measured.add_bytes("rss_peak_bytes", "server peak RSS", memory.rss_peak_bytes as f64);
        measured.add_bytes("rss_anon_bytes", "server RssAnon", memory.rss_anon_bytes as f64);
    }
    Ok(())
}

fn add_connected(measured: &mut Measured, connected: &Connected) {
    measured.add_ns("connect_ns", "all have their head", connected.elapsed_ns);
    measured.pooled.push(("connect to head", connected.heads.clone()));
}

fn add_solo(measured: &mut Measured, harvest: &Harvest, done: &Done) {
    let latency = &harvest.latency;
    measured.add_count("solo_events", "solo events", harvest.totals.delivered as f64);
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
        measured.add_count("solo_refused", "solo refused, backlog full", *count as f64);
    }
    measured.pooled.push(("solo latency", latency.clone()));
}

/// Adds what a subject counted itself.
pub(crate) fn add_counts(measured: &mut Measured, done: &Done) {
    for (name, title) in [
        ("short_writes", "short writes"),
        ("batches", "batches begun"),
        ("room_waits", "publisher waited for the backlog"),
        ("held_batches", "batches held"),
    ] {
        if let Some(count) = done.more.get(name) {
            measured.add_count(name, title, *count as f64);
        }
    }
}

/// Adds what became of the clients that did not read.
fn add_slept(measured: &mut Measured, load: &Load, done: &Done, slept: Slept) -> Result<(), Error> {
    // Events that are skipped or conflated never come; all others have to be right.
    let mut faults = slept.faults;
    let may_miss = load.slow_policy != SlowPolicy::Disconnect;
    let missed = if may_miss { std::mem::take(&mut faults.lost) } else { 0 };
    if !faults.is_none() {
        return Err(format!("wrong deliveries to slow clients: {faults:?}").into());
    }
    measured.add_count("slow_clients", "slow clients", load.slow as f64);
    measured.add_count("slow_cut", "slow: cut by the server", slept.cut as f64);
    measured.add_count("slow_delivered", "slow: events in their sockets", slept.delivered as f64);
    if may_miss {
        measured.add_count("slow_missed", "slow: events passed over", missed as f64);
        measured.add_count("slow_told", "slow: gap events in their sockets", slept.other as f64);
    }
    for (name, title) in [("lag_bytes", "kept for lagging at the end")] {
        if let Some(bytes) = done.more.get(name) {
            measured.add_bytes(name, title, *bytes as f64);
        }
    }
    for (name, title) in [
        ("lagging", "lagging at the end"),
        ("dropped_events", "events dropped for laggards"),
        ("conflated_events", "events conflated for laggards"),
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
