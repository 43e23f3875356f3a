//! Networks that go silent: a server and a client in network namespaces of their own, with a
//! router in a third between them, which stops forwarding. Neither end sees its own link go down.
//!
//! Making namespaces needs root and iproute2, so these tests are run on demand, by `make test` or
//! with `cargo test --all-features --test network -- --ignored`.

#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fanfare::{DisconnectReason, Hub, ListenOptions, Listener, Options, Topic};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};

use support::{one_shard, wait_until, Client, DEADLINE};

/// Addresses that are for documentation alone.
const SERVER: &str = "192.0.2.1";
const CLIENT: &str = "192.0.2.5";
/// What a busy machine may add to a time that is awaited.
const SLACK: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

/// How the router drops what it does not forward.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Silently,
    /// The server is told that there is no way to its client.
    WithAWord,
}

/// Three namespaces, which are removed at the end, also of a test that fails.
struct Network {
    names: [String; 3],
}

impl Network {
    fn new() -> Network {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |role| format!("fanfare-{}-{number}-{role}", std::process::id());
        let network = Network { names: ["server", "router", "client"].map(name) };
        let [server, router, client] = &network.names;
        for name in &network.names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        ip(&format!("link add name wire netns {server} type veth peer name one netns {router}"));
        ip(&format!("link add name wire netns {client} type veth peer name two netns {router}"));
        for (name, link, address) in [
            (server, "wire", SERVER),
            (router, "one", "192.0.2.2"),
            (router, "two", "192.0.2.6"),
            (client, "wire", CLIENT),
        ] {
            ip(&format!("-n {name} address add {address}/30 dev {link}"));
            ip(&format!("-n {name} link set {link} up"));
        }
        ip(&format!("-n {server} route add default via 192.0.2.2"));
        ip(&format!("-n {client} route add default via 192.0.2.6"));
        network.inside(1, || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        network
    }

    /// Does something in the server's namespace; sockets and processes that it makes stay there.
    fn at_server<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.inside(0, work)
    }

    fn at_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.inside(2, work)
    }

    fn inside<T: Send>(&self, nth: usize, work: impl FnOnce() -> T + Send) -> T {
        let space = File::open(format!("/run/netns/{}", self.names[nth])).unwrap();
        let work = move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), kind).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(work).join()).unwrap()
    }

    /// Has the router drop what goes to the client, and what comes from it as far as it can.
    fn cut(&self, how: Cut) -> Instant {
        self.route("add", how);
        Instant::now()
    }

    fn restore(&self, how: Cut) {
        self.route("del", how);
    }

    fn route(&self, verb: &str, how: Cut) {
        let to_client = match how {
            Cut::Silently => "blackhole",
            Cut::WithAWord => "unreachable",
        };
        let router = &self.names[1];
        ip(&format!("-n {router} route {verb} {to_client} {CLIENT}/32"));
        // The word itself has to reach the server.
        if how == Cut::Silently {
            ip(&format!("-n {router} route {verb} blackhole {SERVER}/32"));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("iproute2 is installed");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {why} (this needs root)");
}

/// A server with one client.
struct Served {
    hub: Hub,
    _listener: Listener,
    client: Client,
}

impl Served {
    fn new(network: &Network, options: Options, listen_options: ListenOptions) -> Served {
        let hub = Hub::start(options).unwrap();
        let listener = network.at_server(|| hub.listen((SERVER, 0), listen_options)).unwrap();
        let addr = listener.local_addr();
        let client = network.at_client(|| Client::get(addr, "/events?topic=a"));
        Served { hub, _listener: listener, client }
    }

    fn publish(&self, data: &str) {
        self.hub.publish_wait(&Topic::new("a").unwrap(), data, DEADLINE).unwrap();
    }

    fn is_over(&self) -> bool {
        self.hub.metrics().connections == 0
    }

    /// Why its client's connection ended.
    fn reason(&self) -> DisconnectReason {
        let metrics = self.hub.metrics();
        let mut ended = DisconnectReason::all().filter(|&reason| metrics.disconnects(reason) > 0);
        let reason = ended.next().expect("one has ended");
        assert_eq!((metrics.disconnects(reason), ended.next()), (1, None));
        reason
    }
}

fn silent() -> Options {
    one_shard().heartbeat(Duration::ZERO)
}

fn timeouts(keepalive: u32, user_timeout: u32) -> ListenOptions {
    ListenOptions::default().keepalive(keepalive * SECOND).user_timeout(user_timeout * SECOND)
}

/// Waits until all have ended, and says when each did since the cut.
fn ends(all: &[&Served], cut: Instant) -> Vec<Duration> {
    let mut ends = vec![None; all.len()];
    wait_until("all streams have ended", || {
        for (end, served) in ends.iter_mut().zip(all) {
            if end.is_none() && served.is_over() {
                *end = Some(cut.elapsed());
            }
        }
        ends.iter().all(Option::is_some)
    });
    ends.into_iter().flatten().collect()
}

#[test]
#[ignore = "needs root"]
fn an_idle_stream_whose_network_goes_silent_ends_within_the_time_that_keepalive_says() {
    let network = Network::new();
    let cases = [(1, 0), (3, 0), (1, 2), (3, 6), (1, 4)];
    let all = cases.map(|(keepalive, user_timeout)| {
        Served::new(&network, silent(), timeouts(keepalive, user_timeout))
    });
    // For longer than some of these times no client that answers is cut.
    let start = Instant::now();
    while start.elapsed() < 4 * SECOND {
        assert!(!all.iter().any(Served::is_over));
        std::thread::sleep(Duration::from_millis(20));
    }
    let cut = network.cut(Cut::Silently);
    let ends = ends(&all.each_ref(), cut);
    for ((keepalive, user_timeout), (served, took)) in cases.into_iter().zip(all.iter().zip(ends)) {
        let silence = (2 * keepalive).max(user_timeout) * SECOND;
        // Each was heard when it was probed the last time before, and one probe more may be due.
        let (least, most) = (silence - keepalive * SECOND, silence + SECOND + SLACK);
        assert!(took > least - SECOND / 10, "{took:?} after {keepalive} s, {user_timeout} s");
        assert!(took < most, "{took:?} after {keepalive} s, {user_timeout} s");
        assert_eq!(served.reason(), DisconnectReason::TimedOut);
    }
}

#[test]
#[ignore = "needs root"]
fn a_stream_in_use_whose_network_goes_silent_ends_within_the_user_timeout() {
    let network = Network::new();
    let mut published = Served::new(&network, silent(), timeouts(0, 2));
    let options = one_shard().heartbeat(SECOND / 2);
    let heartbeats = Served::new(&network, options, timeouts(0, 1));
    published.publish("before");
    assert_eq!(published.client.data(), "before");
    let cut = network.cut(Cut::Silently);
    published.publish("lost");
    let ends = ends(&[&published, &heartbeats], cut);
    // From the first retransmission on; what is sent to the other is a heartbeat.
    assert!(ends[0] > 2 * SECOND && ends[0] < 3 * SECOND + SLACK, "{:?}", ends[0]);
    assert!(ends[1] > SECOND && ends[1] < 2 * SECOND + SECOND / 2 + SLACK, "{:?}", ends[1]);
    assert_eq!(
        (published.reason(), heartbeats.reason()),
        (DisconnectReason::TimedOut, DisconnectReason::TimedOut)
    );
}

#[test]
#[ignore = "needs root"]
fn what_a_router_says_of_the_way_is_a_time_out_when_the_time_is_over() {
    let network = Network::new();
    let served = Served::new(&network, silent(), timeouts(0, 2));
    let cut = network.cut(Cut::WithAWord);
    served.publish("lost");
    let ends = ends(&[&served], cut);
    assert!(ends[0] > 2 * SECOND && ends[0] < 3 * SECOND + SLACK, "{:?}", ends[0]);
    assert_eq!(served.reason(), DisconnectReason::TimedOut);
}

#[test]
#[ignore = "needs root"]
fn a_client_that_does_not_read_is_found_when_its_network_goes_silent() {
    let network = Network::new();
    let patient = silent()
        .lag_bytes_max(64 << 20)
        .lag_age_max(Duration::from_secs(600))
        .stall_time_max(Duration::ZERO);
    let by_kernel = Served::new(&network, patient.clone(), timeouts(0, 3));
    let options = patient.stall_time_max(3 * SECOND);
    let by_engine = Served::new(&network, options, timeouts(0, 0));
    let data = "x".repeat(64 << 10);
    for served in [&by_kernel, &by_engine] {
        while served.hub.metrics().lag_bytes < 16 << 20 {
            served.publish(&data);
        }
    }
    let cut = network.cut(Cut::Silently);
    let ends = ends(&[&by_kernel, &by_engine], cut);
    assert!(ends.iter().all(|&end| end < 4 * SECOND + SLACK), "{ends:?}");
    // Whether its system answered while its window was shut depends on when the cut came.
    let reason = by_kernel.reason();
    assert!(matches!(reason, DisconnectReason::TimedOut | DisconnectReason::Stalled), "{reason:?}");
    assert_eq!(by_engine.reason(), DisconnectReason::Stalled);
}

#[test]
#[ignore = "needs root"]
fn a_network_that_comes_back_in_time_has_lost_nothing() {
    let network = Network::new();
    for how in [Cut::Silently, Cut::WithAWord] {
        let mut served = Served::new(&network, silent(), timeouts(1, 15));
        let cut = network.cut(how);
        let mut published = 0;
        while cut.elapsed() < 2 * SECOND {
            served.publish(&format!("{published}"));
            published += 1;
            std::thread::sleep(SECOND / 20);
        }
        network.restore(how);
        served.publish(&format!("{published}"));
        for number in 0..=published {
            assert_eq!(served.client.data(), number.to_string());
        }
        assert!(!served.is_over());
    }
}

#[test]
#[ignore = "needs root"]
fn an_idle_stream_outlives_a_probe_that_is_lost() {
    let network = Network::new();
    let mut all =
        [0, 6].map(|user_timeout| Served::new(&network, silent(), timeouts(3, user_timeout)));
    let cut = network.cut(Cut::Silently);
    // Probes are due after 3 s, 4 s and so on; the ones after that are answered.
    std::thread::sleep(4 * SECOND + SECOND / 2);
    network.restore(Cut::Silently);
    while cut.elapsed() < 8 * SECOND {
        assert!(!all.iter().any(Served::is_over));
        std::thread::sleep(SECOND / 50);
    }
    for served in &mut all {
        served.publish("still here");
        assert_eq!(served.client.data(), "still here");
    }
}

/// The program as a process in the server's namespace.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root"]
fn the_program_counts_a_client_whose_network_goes_silent() {
    let network = Network::new();
    let mut program = network.at_server(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.args(["serve", "--listen", &format!("{SERVER}:0"), "--log", "off"]);
        command.args(["--heartbeat", "0", "--keepalive", "1s", "--user-timeout", "2s"]);
        Program(command.stdout(Stdio::piped()).spawn().unwrap())
    });
    let mut lines = BufReader::new(program.0.stdout.as_mut().unwrap()).lines();
    let mut address = |start: &str| {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(start).unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    };
    let addr = address("listening on http://");
    let control = address("control on http://");
    let client = network.at_client(|| Client::get(addr, "/events?topic=a"));
    let timed_out = |count: u32| {
        let sample = format!("\nfanfare_disconnects_total{{reason=\"timed_out\"}} {count}\n");
        network.at_server(|| metrics(control)).contains(&sample)
    };
    assert!(timed_out(0));
    let cut = network.cut(Cut::Silently);
    wait_until("it is counted", || timed_out(1));
    assert!(cut.elapsed() < 3 * SECOND + SLACK, "{:?}", cut.elapsed());
    drop(client);
}

fn metrics(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
