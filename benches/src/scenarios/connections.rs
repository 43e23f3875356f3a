//! Scenarios without events: what a connection costs to make, to hold, and to make and lose a
//! million times.

use std::time::Duration;

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};

use crate::clients::connect::Target;
use crate::clients::follower::Expected;
use crate::clients::stream::read_head;
use crate::clock::{now_ns, timespec};
use crate::histogram::Histogram;
use crate::load::Load;
use crate::metric::{per_second, Measured, Unit};
use crate::scenarios::run::{RunArgs, Server, SETTLE};
use crate::Error;

/// How long the server may take to notice that clients have left, in nanoseconds.
const LEAVE_NS_MAX: u64 = 20_000_000_000;
/// How long a connection of the churn may wait for its head, in nanoseconds.
const HEAD_NS_MAX: u64 = 15_000_000_000;
const TURN_NS: u64 = 100_000_000;
const NOTICES: usize = 256;
const BUFFER_BYTES: usize = 16 * 1024;

/// How long it takes until all clients are connected and have their head.
pub(crate) fn connect(args: &RunArgs, server: &mut Server, load: &Load) -> Result<Measured, Error> {
    let mut client = args.spawn_clients(load.clients)?;
    let all = client.add_class(Expected::default())?;
    let server_before_ns = server.cpu_ns()?;
    let client_before_ns = client.cpu_ns();
    let connected = client.connect_all(server.shares(load.clients, all)?)?;
    let client_cpu_ns = client.cpu_ns() - client_before_ns;
    let mut measured = Measured::default();
    measured.add_ns("connect_ns", "all have their head", connected.elapsed_ns);
    measured.add_ns("head_p50_ns", "one has its head p50", connected.heads.percentile_ns(50.0));
    measured.add_ns("head_p99_ns", "one has its head p99", connected.heads.percentile_ns(99.0));
    if let (Some(before_ns), Some(after_ns)) = (server_before_ns, server.cpu_ns()?) {
        let cpu_ns = (after_ns - before_ns) as f64;
        add_server_cpu(&mut measured, cpu_ns, load.clients as u64, connected.elapsed_ns);
    }
    let share = client_cpu_ns as f64 / connected.elapsed_ns as f64;
    measured.add("client_cpu_share", "client CPU", Unit::Share, share);
    Ok(measured)
}

/// What a connection costs in memory while nothing happens.
pub(crate) fn idle_memory(
    args: &RunArgs,
    server: &mut Server,
    load: &Load,
) -> Result<Measured, Error> {
    const UNKNOWN: &str = "the memory of a running server needs --pid";
    std::thread::sleep(SETTLE);
    let without = server.memory()?.ok_or(UNKNOWN)?;
    let sockets = server.sockets()?.ok_or(UNKNOWN)?;
    let mut client = args.spawn_clients(load.clients)?;
    let all = client.add_class(Expected::default())?;
    client.connect_all(server.shares(load.clients, all)?)?;
    let settled_ns = now_ns() + 1_000_000_000;
    while now_ns() < settled_ns {
        client.pump(Duration::from_millis(100))?;
    }
    let with = server.memory()?.ok_or(UNKNOWN)?;
    if client.closed() > 0 {
        return Err(format!("the server closed {} connections", client.closed()).into());
    }
    drop(client);
    let left = await_leave(server, sockets)?;
    let after = server.memory()?.ok_or(UNKNOWN)?;
    let grown = with.rss_anon_bytes as f64 - without.rss_anon_bytes as f64;
    let mut measured = Measured::default();
    measured.add_bytes("bytes_per_client", "RssAnon/client", grown / load.clients as f64);
    measured.add_bytes(
        "rss_anon_without_bytes",
        "RssAnon, no client",
        without.rss_anon_bytes as f64,
    );
    measured.add_bytes("rss_anon_with_bytes", "RssAnon, all clients", with.rss_anon_bytes as f64);
    measured.add_bytes("rss_anon_after_bytes", "RssAnon, all left", after.rss_anon_bytes as f64);
    measured.add_count("sockets_left", "sockets left behind", left as f64);
    Ok(measured)
}

/// Connects and disconnects `count` times, `concurrency` at once, and looks for what stays behind.
pub(crate) fn churn(args: &RunArgs, server: &mut Server, load: &Load) -> Result<Measured, Error> {
    let Load { count, concurrency, .. } = *load;
    let deadline_ns = args.deadline_ns();
    let mut churn = Churn::new(server.target()?, concurrency)?;
    std::thread::sleep(SETTLE);
    let sockets = server.sockets()?.unwrap_or(0);
    let before = server.memory()?;
    // Allocators keep what they once had: growth counts from when they have had it.
    churn.run((count / 10).clamp(concurrency as u64, 20_000), deadline_ns)?;
    await_leave(server, sockets)?;
    let warm = server.memory()?;

    let cpu_before_ns = server.cpu_ns()?;
    churn.heads = Histogram::default();
    let begun_at_ns = now_ns();
    churn.run(count, deadline_ns)?;
    let elapsed_ns = now_ns() - begun_at_ns;
    let cpu_after_ns = server.cpu_ns()?;
    let left = await_leave(server, sockets)?;
    let after = server.memory()?;

    let mut measured = Measured::default();
    measured.add_count("connections_per_s", "connections/s", per_second(count, elapsed_ns));
    measured.add_count("connections", "connections", count as f64);
    measured.add_ns("head_p50_ns", "one has its head p50", churn.heads.percentile_ns(50.0));
    measured.add_ns("head_p99_ns", "one has its head p99", churn.heads.percentile_ns(99.0));
    if let (Some(before_ns), Some(after_ns)) = (cpu_before_ns, cpu_after_ns) {
        add_server_cpu(&mut measured, (after_ns - before_ns) as f64, count, elapsed_ns);
    }
    if let (Some(before), Some(warm), Some(after)) = (before, warm, after) {
        let growth = after.rss_anon_bytes as f64 - warm.rss_anon_bytes as f64;
        measured.add_bytes(
            "rss_anon_before_bytes",
            "RssAnon at first",
            before.rss_anon_bytes as f64,
        );
        measured.add_bytes("rss_anon_warm_bytes", "RssAnon warmed up", warm.rss_anon_bytes as f64);
        measured.add_bytes("rss_anon_after_bytes", "RssAnon at last", after.rss_anon_bytes as f64);
        measured.add_bytes("growth_bytes", "growth when warm", growth);
    }
    measured.add_count("sockets_left", "sockets left behind", left as f64);
    Ok(measured)
}

fn add_server_cpu(measured: &mut Measured, cpu_ns: f64, count: u64, elapsed_ns: u64) {
    let each_ns = cpu_ns / count as f64;
    measured.add(
        "server_cpu_per_connection_ns",
        "server CPU/connection",
        Unit::Nanoseconds,
        each_ns,
    );
    measured.add("server_cpu_share", "server CPU", Unit::Share, cpu_ns / elapsed_ns as f64);
}

/// Waits until the server holds no more than `sockets`; how many more it still does after a time.
pub(crate) fn await_leave(server: &Server, sockets: usize) -> Result<usize, Error> {
    let end_ns = now_ns() + LEAVE_NS_MAX;
    loop {
        let more = server.sockets()?.unwrap_or(0).saturating_sub(sockets);
        if more == 0 || now_ns() > end_ns {
            return Ok(more);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Connections that come, have their head, and go.
struct Churn {
    epoll: OwnedFd,
    target: Target,
    slots: Vec<Option<Visit>>,
    heads: Histogram,
    buffer: Vec<u8>,
}

struct Visit {
    socket: OwnedFd,
    head: Vec<u8>,
    is_waiting: bool,
    opened_at_ns: u64,
}

impl Churn {
    fn new(target: Target, concurrency: usize) -> Result<Self, Error> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            target,
            slots: (0..concurrency).map(|_| None).collect(),
            heads: Histogram::default(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    fn run(&mut self, count: u64, deadline_ns: u64) -> Result<(), Error> {
        let mut opened = 0;
        let mut open_now = 0;
        let mut heard_at_ns = now_ns();
        let mut vacant: Vec<usize> = (0..self.slots.len()).collect();
        let mut notices: Vec<epoll::Event> = Vec::with_capacity(NOTICES);
        while opened < count || open_now > 0 {
            while opened < count {
                let Some(slot) = vacant.pop() else { break };
                let opened_at_ns = now_ns();
                let (socket, is_waiting) = self.target.open(&self.epoll, slot as u64)?;
                self.slots[slot] =
                    Some(Visit { socket, head: Vec::new(), is_waiting, opened_at_ns });
                opened += 1;
                open_now += 1;
            }
            notices.clear();
            let buffer = rustix::buffer::spare_capacity(&mut notices);
            match epoll::wait(&self.epoll, buffer, Some(&timespec(TURN_NS))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for notice in &notices {
                // A slot is filled again only after the notices of its last visit were taken.
                let slot = notice.data.u64() as usize;
                if self.attend(slot, notice.flags)? {
                    self.slots[slot] = None;
                    vacant.push(slot);
                    open_now -= 1;
                    heard_at_ns = now_ns();
                }
            }
            let now_ns = now_ns();
            if now_ns > deadline_ns {
                return Err(format!("{opened} of {count} within --limit-seconds").into());
            }
            if now_ns.saturating_sub(heard_at_ns) > HEAD_NS_MAX {
                return Err(format!("no head for {open_now} connections, {opened} opened").into());
            }
        }
        Ok(())
    }

    /// True when the visit has its head.
    fn attend(&mut self, slot: usize, flags: epoll::EventFlags) -> Result<bool, Error> {
        let Some(visit) = &mut self.slots[slot] else {
            return Ok(false);
        };
        if visit.is_waiting && flags.contains(epoll::EventFlags::OUT) {
            visit.is_waiting = !self.target.request(&visit.socket)?;
        }
        match recv(&visit.socket, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err("the server closed a connection before its head".into()),
            Ok((received, _)) => visit.head.extend_from_slice(&self.buffer[..received]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let has_head = read_head(&visit.head)?.is_some();
        if has_head {
            self.heads.record(now_ns() - visit.opened_at_ns);
        }
        Ok(has_head)
    }
}
