//! Clients that hop between three programs all the time, while the programs and their server are killed and stopped,
//! and connections are cut. Each client's events are then held against what was published, one by one.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{ask, Node};
use crate::proxy::Proxy;
use crate::server::{Folder, Server};
use crate::support::sse::{Message, Parser};
use crate::support::wait_until;

const NODES: usize = 3;
const TOPICS: usize = 6;
/// How long a client has to have everything after all is well again.
const SETTLE: Duration = Duration::from_secs(90);

/// How many clients there are in all; more by hand.
fn clients() -> usize {
    let text = std::env::var("FANFARE_TEST_CLUSTER_CLIENTS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(900)
}

/// How long the trouble lasts.
fn trouble_time() -> Duration {
    let text = std::env::var("FANFARE_TEST_CLUSTER_SECONDS").ok();
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(25))
}

/// An event that was answered with its id.
struct Answered {
    topic: usize,
    data: String,
    /// The number in its id, which grows over all lives.
    at: u64,
}

/// Publishes at one node, one event after the other. An event that was not answered is not published again.
fn publish(addr: SocketAddr, nth: usize, stop: &AtomicBool) -> Vec<Answered> {
    let (mut answered, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let (topic, data) = (fastrand::usize(0..TOPICS), format!("{nth} {number}"));
        let head = format!("POST /publish?topic=t/{topic} HTTP/1.0\r\nHost: {addr}\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{data}", data.len());
        match ask(addr, &request, Duration::from_secs(60)) {
            Some((200, answer)) => {
                let id = answer.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next());
                let at = id.map(number_of);
                answered.extend(at.map(|at| Answered { topic, data, at }));
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
        std::thread::sleep(Duration::from_millis(fastrand::u64(5..25)));
    }
    answered
}

fn number_of(id: &str) -> u64 {
    let number = id.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    number.unwrap_or_else(|| panic!("{id:?}"))
}

/// What a client was told of events that are missing.
#[derive(Debug)]
struct Told {
    /// The numbers between which they are.
    from: u64,
    to: u64,
    reason: String,
    /// How many events it had by then.
    behind: usize,
}

struct Client {
    topic: usize,
    stream: Option<TcpStream>,
    hops_at: Instant,
    /// What came before the end of the response's head.
    head: Vec<u8>,
    is_in_body: bool,
    parser: Parser,
    messages: VecDeque<Message>,
    last_id: String,
    /// The number and the data of each event.
    events: Vec<(u64, String)>,
    gaps: Vec<Told>,
    hops: u64,
}

impl Client {
    fn new(nth: usize) -> Client {
        Client {
            topic: nth % TOPICS,
            stream: None,
            hops_at: Instant::now(),
            head: Vec::new(),
            is_in_body: false,
            parser: Parser::default(),
            messages: VecDeque::new(),
            last_id: String::new(),
            events: Vec::new(),
            gaps: Vec::new(),
            hops: 0,
        }
    }

    fn go_to(&mut self, addr: SocketAddr, stays: Duration) {
        self.hops += 1;
        self.hops_at = Instant::now() + stays;
        self.head.clear();
        self.is_in_body = false;
        self.parser = Parser::default();
        self.stream = None;
        let begins = match &*self.last_id {
            "" => "start=earliest".to_owned(),
            id => format!("last-event-id={id}"),
        };
        let path = format!("/events?topic=t/{}&{begins}", self.topic);
        let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n");
        let stream = TcpStream::connect_timeout(&addr, Duration::from_millis(200));
        self.stream = stream.ok().filter(|mut stream| {
            stream.write_all(request.as_bytes()).is_ok() && stream.set_nonblocking(true).is_ok()
        });
        if self.stream.is_none() {
            self.hops_at = Instant::now() + Duration::from_millis(20);
        }
    }

    /// Takes what has come.
    fn receive(&mut self, bytes: &mut [u8]) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read(bytes) {
            Ok(count) if count > 0 => self.take(count, bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => {
                self.stream = None;
                self.hops_at = self.hops_at.min(Instant::now() + Duration::from_millis(20));
            }
        }
    }

    fn take(&mut self, count: usize, bytes: &[u8]) {
        let mut bytes = &bytes[..count];
        let rest;
        if !self.is_in_body {
            self.head.extend_from_slice(bytes);
            let end = self.head.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let Some(end) = end else { return };
            self.is_in_body = true;
            if self.head.get(9..12) != Some(b"200") {
                self.stream = None;
                self.hops_at = Instant::now() + Duration::from_millis(20);
                return;
            }
            rest = self.head.split_off(end + 4);
            bytes = &rest;
        }
        self.parser.feed(bytes, &mut self.messages);
        if let Some(id) = self.parser.ids.iter().rfind(|id| !id.is_empty()) {
            self.last_id.clone_from(id);
        }
        self.parser.ids.clear();
        for message in self.messages.drain(..) {
            match message.name.as_str() {
                "message" => self.events.push((number_of(&message.last_id), message.data)),
                "fanfare-gap" => {
                    let gap: serde_json::Value = serde_json::from_str(&message.data).unwrap();
                    let from = gap["from"].as_str().map_or(0, number_of);
                    let to = number_of(gap["to"].as_str().unwrap());
                    let reason = gap["reason"].as_str().unwrap().to_owned();
                    self.gaps.push(Told { from, to, reason, behind: self.events.len() });
                }
                other => panic!("{other}"),
            }
        }
    }

    fn has_end(&self) -> bool {
        self.events.last().is_some_and(|(_, data)| data == "end")
    }
}

/// What the clients' thread is to know, and to say.
#[derive(Default)]
struct Signals {
    /// How many clients have had an event. One without an id begins with what its node keeps, so that it would not be told of
    /// what was lost before.
    begun: AtomicUsize,
    /// No client hops any more but to get to the end.
    is_settled: AtomicBool,
    gives_up: AtomicBool,
}

fn follow(count: usize, addrs: &[SocketAddr], told: &Signals) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(Client::new).collect();
    let mut bytes = vec![0; 64 << 10];
    while !told.gives_up.load(Ordering::SeqCst) {
        let round = Instant::now();
        let is_settled = told.is_settled.load(Ordering::SeqCst);
        let begun = clients.iter().filter(|client| !client.last_id.is_empty()).count();
        told.begun.store(begun, Ordering::SeqCst);
        let mut missing = 0;
        for client in &mut clients {
            client.receive(&mut bytes);
            missing += usize::from(!client.has_end());
            if client.hops_at <= round && !(is_settled && client.has_end()) {
                let stays = if is_settled { 5_000 } else { fastrand::u64(50..2_000) };
                // Without an id it begins with what its node keeps, which is not everything at the last one.
                let nodes = if client.last_id.is_empty() { 1 } else { addrs.len() };
                client.go_to(addrs[fastrand::usize(..nodes)], Duration::from_millis(stays));
            }
        }
        if missing == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5).saturating_sub(round.elapsed()));
    }
    clients
}

/// What happens to the cluster.
#[derive(Default, Debug)]
struct Trouble {
    node_kills: u32,
    node_stops: u32,
    server_kills: u32,
    server_stops: u32,
    lost_tails: u32,
    cuts: u32,
    holds: u32,
}

fn pause(millis: std::ops::Range<u64>) {
    std::thread::sleep(Duration::from_millis(fastrand::u64(millis)));
}

fn make_trouble(
    server: &mut Server,
    nodes: &mut [Node],
    controls: &[SocketAddr],
    proxies: &[Proxy],
    loses_tails: bool,
) -> Trouble {
    let (mut trouble, begun) = (Trouble::default(), Instant::now());
    let mut round = 0;
    while begun.elapsed() < trouble_time() {
        let nth = fastrand::usize(..NODES);
        match round % 7 {
            0 => {
                // What it alone had read, and the server has lost, it could not say any more.
                wait_until_settled(nodes, controls);
                nodes[nth].kill();
                pause(10..300);
                nodes[nth].relaunch();
                trouble.node_kills += 1;
            }
            1 => {
                nodes[nth].signal(Signal::STOP);
                pause(50..1_000);
                nodes[nth].signal(Signal::CONT);
                trouble.node_stops += 1;
            }
            2 => {
                proxies[nth].cut();
                trouble.cuts += 1;
            }
            3 => {
                server.kill();
                pause(10..500);
                server.launch();
                trouble.server_kills += 1;
            }
            4 => {
                proxies[nth].hold();
                pause(50..2_500);
                proxies[nth].cut();
                proxies[nth].pass();
                trouble.holds += 1;
            }
            5 => {
                server.stop();
                pause(50..1_000);
                server.go_on();
                trouble.server_stops += 1;
            }
            _ if loses_tails => {
                let backup: Folder = server.backup();
                pause(100..400);
                server.restart_from(&backup);
                trouble.lost_tails += 1;
            }
            _ => {}
        }
        pause(50..400);
        round += 1;
    }
    trouble
}

/// Numbers of different lives are at least so far apart.
const LIFE: u64 = 1 << 24;

/// Why a client's events are not right; `None` if they are.
fn fault_of(client: &Client, answered: &[Answered], loses_tails: bool) -> Option<String> {
    let (mut seen, mut newest, mut last) = (HashMap::new(), BTreeMap::new(), 0);
    for (nth, (at, data)) in client.events.iter().enumerate() {
        // A client from a node of whose life no other knows begins anew, and is told so.
        if client.gaps.iter().any(|gap| gap.reason == "restarted" && gap.behind == nth) {
            (last, seen, newest) = (0, HashMap::new(), BTreeMap::new());
        }
        if *at <= last {
            return Some(format!("{data:?} at {at} comes behind {last}"));
        }
        last = *at;
        if let Some(before) = seen.insert(&**data, *at) {
            // What the server has lost may be given to it again, and has a number of another life then. One that had
            // it may get it again at a node that did not have it.
            if loses_tails && at - before >= LIFE {
                continue;
            }
            return Some(format!("{data:?} came twice, at {before} and at {at}"));
        }
        if let Some((publisher, number)) = data.split_once(' ') {
            let number: u64 = number.parse().unwrap();
            let before = newest.insert(publisher, number);
            if before.is_some_and(|before| before >= number) {
                return Some(format!("{data:?} is not in its publisher's order"));
            }
        }
    }
    let seen: HashSet<&str> = client.events.iter().map(|(_, data)| &**data).collect();
    let missing = answered.iter().filter(|event| event.topic == client.topic);
    let missing = missing.filter(|event| !seen.contains(&*event.data));
    let is_told = |at: u64| client.gaps.iter().any(|gap| gap.from < at && at <= gap.to);
    let untold: Vec<_> = missing.filter(|event| !is_told(event.at)).collect();
    let first = untold.first()?;
    Some(format!(
        "{} events are missing and not told, the first {:?} at {}, gaps {:?}",
        untold.len(),
        first.data,
        first.at,
        client.gaps
    ))
}

/// Waits until each node has read of the present life, and has told the others what it had read before.
fn wait_until_settled(nodes: &mut [Node], controls: &[SocketAddr]) {
    nodes.iter_mut().for_each(Node::wait_until_well);
    for addr in [controls, controls].concat() {
        let head = format!("POST /publish?topic=flush HTTP/1.0\r\nHost: {addr}\r\n");
        let request = format!("{head}Content-Length: 1\r\n\r\nx");
        wait_until("a node has given what it had", || {
            ask(addr, &request, Duration::from_secs(10)).is_some_and(|(status, _)| status == 200)
        });
    }
}

fn hop(loses_tails: bool) {
    let begun = Instant::now();
    let mut server = Server::start();
    let proxies: Vec<Proxy> = (0..NODES).map(|_| Proxy::to(server.port)).collect();
    // What one of them forgets its clients are sent from the stream, if that keeps everything.
    let keeps = [1_000_000, 1_000_000, if loses_tails { 1_000_000 } else { 5 }];
    let mut nodes: Vec<Node> =
        proxies.iter().zip(keeps).map(|(proxy, keeps)| Node::start(&proxy.url(), keeps)).collect();
    let addrs: Vec<SocketAddr> = nodes.iter().map(|node| node.addr).collect();
    let controls: Vec<SocketAddr> = nodes.iter().map(|node| node.control).collect();
    let told = Arc::new(Signals::default());
    let following = {
        let (told, addrs) = (told.clone(), addrs.clone());
        std::thread::spawn(move || follow(clients(), &addrs, &told))
    };
    let stop = Arc::new(AtomicBool::new(false));
    let publishing: Vec<_> = (0..NODES)
        .map(|nth| {
            let (addr, stop) = (controls[nth], stop.clone());
            std::thread::spawn(move || publish(addr, nth, &stop))
        })
        .collect();
    let begins = Instant::now();
    while told.begun.load(Ordering::SeqCst) < clients() {
        let begun = told.begun.load(Ordering::SeqCst);
        assert!(begins.elapsed() < SETTLE, "{begun} clients have had an event, of {}", clients());
        std::thread::sleep(Duration::from_millis(5));
    }
    let trouble = make_trouble(&mut server, &mut nodes, &controls, &proxies, loses_tails);
    nodes.iter_mut().for_each(Node::wait_until_well);
    stop.store(true, Ordering::SeqCst);
    let answered: Vec<Answered> =
        publishing.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    // What each node had taken without an answer is in the stream before.
    wait_until_settled(&mut nodes, &controls);
    for topic in 0..TOPICS {
        let head = format!("POST /publish?topic=t/{topic} HTTP/1.0\r\nHost: {}\r\n", controls[0]);
        let request = format!("{head}Content-Length: 3\r\n\r\nend");
        let answer = ask(controls[0], &request, Duration::from_secs(30));
        assert!(answer.is_some_and(|(status, _)| status == 200), "the end is published");
    }
    told.is_settled.store(true, Ordering::SeqCst);
    let settling = Instant::now();
    while !following.is_finished() && settling.elapsed() < SETTLE {
        std::thread::sleep(Duration::from_millis(20));
    }
    told.gives_up.store(true, Ordering::SeqCst);
    let clients = following.join().unwrap();

    let count = |of: fn(&Client) -> usize| clients.iter().map(of).sum::<usize>();
    let gaps: BTreeMap<&str, usize> =
        clients.iter().flat_map(|client| &client.gaps).fold(BTreeMap::new(), |mut all, gap| {
            *all.entry(&*gap.reason).or_default() += 1;
            all
        });
    println!(
        "{} clients of {NODES} nodes, {} hops; {} events answered, {} delivered; {trouble:?}; gaps {gaps:?}; \
         {:.1} s",
        clients.len(),
        count(|client| client.hops as usize),
        answered.len(),
        count(|client| client.events.len()),
        begun.elapsed().as_secs_f64()
    );
    let ended = clients.iter().filter(|client| client.has_end()).count();
    let faults: Vec<String> =
        clients.iter().filter_map(|client| fault_of(client, &answered, loses_tails)).collect();
    let shown: Vec<_> = faults.iter().take(5).collect();
    assert!(faults.is_empty(), "{} clients are wrong: {shown:#?}", faults.len());
    assert_eq!(ended, clients.len(), "each client has come to the end");
    assert!(answered.len() > 100, "{}", answered.len());
    if !loses_tails {
        assert_eq!(gaps, BTreeMap::new(), "the server kept everything");
    }
}

/// One at a time: they take the machine for themselves.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn hopping_clients_miss_nothing_while_the_server_keeps_everything() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    hop(false);
}

#[test]
fn hopping_clients_are_told_of_exactly_what_the_server_has_lost() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    hop(true);
}
