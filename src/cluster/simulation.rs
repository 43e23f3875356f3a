//! Nodes, their server and clients as one sequence of random steps, without time and connections: whatever the server
//! loses and in whatever order nodes read, append, begin lives and announce, each client has each event that any node
//! had, or was told that it lacks something there.
//!
//! What decides is real: [`Progress`], and what an order says of a client's id. The server's scripts are modelled.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use fastrand::Rng;

use super::entry::{Content, Entry, EntryId, NewLife};
use super::joining::Begin;
use super::progress::{Progress, Step};
use crate::event::Event;
use crate::frame::Draft;
use crate::id::{Epoch, EventId};
use crate::options::Options;
use crate::order::{Base, ClusterItem, Order, NUMBERS_PER_ITEM};
use crate::resume::Resume;
use crate::topic::Topic;
use crate::tuning::OrderTuning;

const NODES: usize = 3;
const CLIENTS: usize = 6;
const STEPS: usize = 400;

/// What the server has.
#[derive(Clone, Default)]
struct Data {
    run: u64,
    epoch: u64,
    last: u64,
    announced: u64,
    lives: Vec<NewLife>,
    stream: Vec<Stored>,
    /// The life and the serial of each node's last batch.
    nodes: HashMap<u64, (u64, u64)>,
}

/// An entry, with the events of a batch.
#[derive(Clone)]
struct Stored {
    id: EntryId,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Life(NewLife),
    Reached(EntryId),
    Batch { node: u64, serial: u64, events: Vec<u64> },
}

struct Server {
    run: u64,
    clock: u64,
    data: Data,
    backups: Vec<Data>,
}

struct Node {
    name: u64,
    order: Order,
    progress: Progress,
    /// The events that it has, by their numbers.
    events: BTreeMap<u64, u64>,
    first: u64,
    outbox: VecDeque<(u64, Vec<u64>)>,
    next_serial: u64,
    /// The last serial that was sent for the life for which it appends, and the last that was ever sent.
    sent: u64,
    sealed_to: u64,
    life: u64,
}

#[derive(Default)]
struct Client {
    at: Option<usize>,
    /// The last id that it was sent, and behind which number its stream goes on.
    id: Option<EventId>,
    cursor: u64,
    events: HashSet<u64>,
    /// The numbers between which it was told that something is missing.
    told: Vec<(u64, u64)>,
}

struct World {
    rng: Rng,
    server: Server,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    next_name: u64,
    next_event: u64,
    /// The numbers that each event had at any node.
    numbers: HashMap<u64, Vec<u64>>,
    losses: u64,
    /// What was on its way from nodes that were killed.
    killed: HashSet<u64>,
    /// Whether the stream was cut, perhaps before its end was read.
    is_cut: bool,
    /// Whether the server loses nothing.
    keeps_all: bool,
    /// How many of its losses are left out for each that happens.
    calm: u32,
}

impl Server {
    /// What `BEGIN` does, if it is due.
    fn begin_if_due(&mut self, known: EntryId) -> u64 {
        let data = &mut self.data;
        let has = EntryId { epoch: data.epoch, last: data.last };
        if data.run == self.run && has >= known {
            return data.epoch;
        }
        // Lives are not begun faster than the clock passes what they leave free.
        self.clock += 1_000;
        let (before, before_last) = match data.epoch {
            0 => (known.epoch, 0),
            epoch => (epoch, data.last),
        };
        let number = (before + 1).max(known.epoch + 1).max(self.clock * 1_000);
        let first = (data.last + (1 << 20)).max(known.last + (1 << 20)).max(self.clock * 8_192);
        let life = NewLife {
            number,
            epoch: Epoch::random(),
            first,
            before,
            before_last,
            known: known.epoch,
            reached: known.last,
        };
        (data.run, data.epoch, data.last) = (self.run, number, first);
        data.lives.push(life);
        let id = EntryId { epoch: number, last: first };
        data.stream.push(Stored { id, kind: Kind::Life(life) });
        number
    }

    /// What `APPEND` does; false if a life is to be begun before.
    fn append(&mut self, life: u64, read: u64, node: u64, serial: u64, events: &[u64]) -> bool {
        let data = &mut self.data;
        if data.run != self.run || data.epoch != life {
            return false;
        }
        if let Some(&(epoch, last)) = data.nodes.get(&node) {
            let had = serial <= last;
            if had && epoch >= read {
                return true;
            }
            assert!(
                had || epoch != data.epoch || serial == last + 1,
                "an earlier batch is missing"
            );
        }
        data.last += events.len() as u64;
        data.nodes.insert(node, (data.epoch, serial));
        let id = EntryId { epoch: data.epoch, last: data.last };
        data.stream.push(Stored { id, kind: Kind::Batch { node, serial, events: events.into() } });
        true
    }

    /// What `ANNOUNCE` does; its number.
    fn announce(&mut self, known: u64, read: EntryId) -> Option<u64> {
        let data = &mut self.data;
        if data.run != self.run || data.epoch != known {
            return None;
        }
        data.last += 1;
        let id = EntryId { epoch: data.epoch, last: data.last };
        data.announced = data.last;
        data.stream.push(Stored { id, kind: Kind::Reached(read) });
        Some(data.last)
    }

    fn restart(&mut self, data: Data) {
        self.run += 1;
        self.data = data;
    }
}

impl Stored {
    fn entry(&self) -> Entry {
        let content = match &self.kind {
            Kind::Life(life) => Content::Life(*life),
            Kind::Reached(read) => Content::Reached(*read),
            Kind::Batch { node, serial, events } => Content::Batch {
                node: node.to_le_bytes().to_vec(),
                serial: *serial,
                items: events.len() as u32,
                time_ms: 0,
                bytes: Vec::new(),
            },
        };
        Entry { id: self.id, content }
    }
}

impl Node {
    /// A node that has joined, and is to read the stream to its end.
    fn join(server: &mut Server, name: u64) -> Node {
        server.begin_if_due(EntryId { epoch: 0, last: 0 });
        let lives = server.data.lives.clone();
        let oldest = server.data.stream.first().map(Stored::entry);
        let begin = Begin::find(oldest.as_ref(), &lives, server.data.last)
            .expect("the lives are all there");
        let earlier: Vec<NewLife> =
            lives.iter().copied().filter(|life| life.number <= begin.life.number).collect();
        let epoch = begin.life.epoch;
        let base = Base {
            epoch,
            lives: NewLife::earlier(&earlier),
            first: begin.first,
            doubtful_to: server.data.announced,
        };
        let (options, tuning) = (Options::default(), OrderTuning::default());
        let order = Order::clustered(Box::new([]), &options, tuning, base);
        let position = EntryId { epoch: begin.life.number, last: begin.reached };
        Node {
            name,
            order,
            progress: Progress::new(position),
            events: BTreeMap::new(),
            first: begin.first,
            outbox: VecDeque::new(),
            next_serial: 1,
            sent: 0,
            sealed_to: 0,
            life: server.data.epoch,
        }
    }

    /// Takes the next entry, if there is one; whether its clients are sent away.
    fn read(&mut self, data: &Data, numbers: &mut HashMap<u64, Vec<u64>>) -> Option<bool> {
        let position = self.progress.position();
        let stored = data.stream.iter().find(|stored| stored.id > position)?;
        let life = |number| -> Result<NewLife, ()> {
            data.lives.iter().copied().find(|life| life.number == number).ok_or(())
        };
        let steps = self.progress.take(&stored.entry(), life).expect("the life is listed");
        let sends_away = steps.iter().any(Step::is_loss);
        for step in steps {
            match step {
                Step::Begin { epoch, first, lacks, .. } => {
                    self.order.begin_cluster_life(epoch, first, lacks);
                }
                Step::Doubt { from, to, .. } => self.order.doubt(from, to),
                Step::Pass { number } => self.order.pass_over(number),
                Step::Apply { first } => {
                    let Kind::Batch { events, .. } = &stored.kind else { panic!("no batch") };
                    for (number, &event) in (first..).zip(events) {
                        self.apply(number, event);
                        numbers.entry(event).or_default().push(number * NUMBERS_PER_ITEM);
                    }
                }
            }
        }
        if let Kind::Batch { node, serial, .. } = stored.kind {
            if node == self.name {
                self.outbox.retain(|(other, _)| *other > serial);
            }
        }
        Some(sends_away)
    }

    fn apply(&mut self, number: u64, event: u64) {
        let topics = [Topic::new("t").unwrap()].into();
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let item = ClusterItem::Event { topics, draft, window_ns: 0 };
        assert!(self.order.apply(number, 0, item).is_ok());
        let before = self.events.insert(number * NUMBERS_PER_ITEM, event);
        assert_eq!(before, None, "a number is given once");
    }

    fn publish(&mut self, event: u64) {
        match self.outbox.back_mut().filter(|(serial, _)| *serial > self.sealed_to) {
            Some((_, events)) => events.push(event),
            None => {
                self.outbox.push_back((self.next_serial, vec![event]));
                self.next_serial += 1;
            }
        }
    }

    fn append(&mut self, server: &mut Server) {
        if self.progress.position().epoch > self.life {
            self.begin(server);
        }
        let sent = self.sent;
        let Some((serial, events)) = self.outbox.iter().find(|(serial, _)| *serial > sent) else {
            return;
        };
        let read = self.progress.position().epoch;
        match server.append(self.life, read, self.name, *serial, events) {
            true => (self.sent, self.sealed_to) = (*serial, self.sealed_to.max(*serial)),
            false => self.begin(server),
        }
    }

    /// Goes on in the present life, with all that was not read back.
    fn begin(&mut self, server: &mut Server) {
        self.life = server.begin_if_due(self.progress.position());
        self.sent = 0;
    }

    fn announce(&mut self, server: &mut Server) {
        for read in self.progress.unsaid() {
            match server.announce(self.progress.position().epoch, read) {
                Some(number) => self.progress.note_said(read, number),
                None => return,
            }
        }
    }

    /// Whether it has read all that there is, and has nothing to say.
    fn is_settled(&self, server: &Server) -> bool {
        let end = server.data.stream.last().map(|stored| stored.id);
        let has_run = server.data.run == server.run;
        has_run && end == Some(self.progress.position()) && self.progress.doubtful_from().is_none()
    }
}

impl World {
    fn new(seed: u64, keeps_all: bool) -> World {
        let mut server =
            Server { run: 1, clock: 0, data: Data::default(), backups: vec![Data::default()] };
        let nodes = (0..NODES as u64).map(|name| Node::join(&mut server, name)).collect();
        let mut world = World {
            rng: Rng::with_seed(seed),
            server,
            nodes,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            next_name: NODES as u64,
            next_event: 0,
            numbers: HashMap::new(),
            losses: 0,
            killed: HashSet::new(),
            is_cut: false,
            keeps_all,
            calm: 1 + seed as u32 % 12,
        };
        let begins = world.nodes[0].order.newest_id();
        world.clients.iter_mut().for_each(|client| client.id = Some(begins));
        world
    }

    fn step(&mut self) {
        let nth = self.rng.usize(..NODES);
        match self.rng.u32(..100) {
            0..15 => {
                self.nodes[nth].publish(self.next_event);
                self.next_event += 1;
            }
            15..30 => self.nodes[nth].append(&mut self.server),
            30..50 => _ = self.read(nth),
            50..58 => self.nodes[nth].announce(&mut self.server),
            58..72 => {
                let client = self.rng.usize(..CLIENTS);
                self.deliver(client);
            }
            72..90 => {
                let client = self.rng.usize(..CLIENTS);
                self.clients[client].at = None;
                self.come(client, nth);
            }
            90..92 => self.server.backups.push(self.server.data.clone()),
            92 => self.restart(self.server.data.clone()),
            93..97 if self.keeps_all || self.rng.u32(..self.calm) > 0 => {}
            93..95 => {
                let backups = &self.server.backups;
                let from = backups.len().saturating_sub(3);
                let backup = backups[self.rng.usize(from..backups.len())].clone();
                self.restart(backup);
            }
            95 => {
                let run = self.server.data.run;
                self.server.data = Data { run, ..Data::default() };
            }
            96 => {
                let stream = &mut self.server.data.stream;
                let end = self.rng.usize(..=stream.len() / 2);
                self.is_cut |= end > 0;
                stream.drain(..end);
            }
            // Its connection is made anew.
            97 => self.nodes[nth].begin(&mut self.server),
            // What a node alone had read is known to nobody when it is killed before it could say so.
            _ if self.nodes.iter().all(|node| node.is_settled(&self.server)) => self.kill(nth),
            _ => {}
        }
    }

    fn restart(&mut self, data: Data) {
        self.server.restart(data);
    }

    fn kill(&mut self, nth: usize) {
        self.send_clients_away(nth);
        let killed = self.nodes[nth].outbox.iter().flat_map(|(_, events)| events);
        self.killed.extend(killed);
        self.nodes[nth] = Node::join(&mut self.server, self.next_name);
        self.next_name += 1;
        while self.read(nth) {}
    }

    /// False if there was nothing to read.
    fn read(&mut self, nth: usize) -> bool {
        let read = self.nodes[nth].read(&self.server.data, &mut self.numbers);
        if read == Some(true) {
            self.losses += 1;
            self.send_clients_away(nth);
        }
        if read.is_none() {
            self.server.begin_if_due(self.nodes[nth].progress.position());
        }
        read.is_some()
    }

    fn send_clients_away(&mut self, nth: usize) {
        let clients = self.clients.iter_mut().filter(|client| client.at == Some(nth));
        clients.for_each(|client| client.at = None);
    }

    /// A client is sent all that its node has, and the number of what it has read.
    fn deliver(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some(at) = client.at else { return };
        let node = &self.nodes[at];
        client.events.extend(node.events.range(client.cursor + 1..).map(|(_, event)| event));
        let newest = node.order.newest_id();
        (client.cursor, client.id) = (newest.sequence, Some(newest));
    }

    fn come(&mut self, client: usize, nth: usize) {
        let (client, node) = (&mut self.clients[client], &self.nodes[nth]);
        let Some(id) = client.id else { return };
        let resume = Resume::After(id.to_string().into());
        let doubtful_from = node.progress.doubtful_from();
        let is_doubtful =
            doubtful_from.is_some_and(|from| node.order.may_have_come_to(from, &resume));
        if node.order.is_behind(&resume) || is_doubtful {
            return;
        }
        let told = client.told.len();
        let after = match node.order.known(id) {
            // What was before the node's time is not kept.
            Some((after, None)) if after + NUMBERS_PER_ITEM < node.first * NUMBERS_PER_ITEM => {
                client.told.push((after, node.first * NUMBERS_PER_ITEM));
                after
            }
            Some((after, None)) => after,
            Some((after, Some((to, is_behind)))) => {
                let from = if is_behind { id.sequence } else { 0 };
                client.told.push((from, to.max(node.first * NUMBERS_PER_ITEM)));
                after
            }
            // Another node may have read of the life before.
            None if !node.is_settled(&self.server) => return,
            None => {
                client.told.push((0, node.order.newest_id().sequence));
                0
            }
        };
        (client.at, client.cursor) = (Some(nth), after);
        if client.told.len() > told {
            // The gap event has an id.
            client.id = Some(EventId { sequence: after, ..node.order.newest_id() });
        }
    }

    /// All is well again: each node reads everything, and each client comes to the end.
    fn end(&mut self) {
        for round in 0..5 {
            for nth in 0..NODES {
                // What was cut from the stream before its node had read it is done when a later batch is read.
                if round < 2 {
                    self.nodes[nth].publish(self.next_event);
                    self.next_event += 1;
                }
                while self.nodes[nth]
                    .outbox
                    .iter()
                    .any(|(serial, _)| *serial > self.nodes[nth].sent)
                {
                    self.nodes[nth].append(&mut self.server);
                }
                while self.read(nth) {}
                self.nodes[nth].announce(&mut self.server);
            }
        }
        assert!(self.nodes.iter().all(|node| node.is_settled(&self.server)));
        assert!(self.nodes.iter().all(|node| node.outbox.is_empty()));
        for client in 0..CLIENTS {
            for _ in 0..2 {
                if self.clients[client].at.is_none() {
                    let nth = self.rng.usize(..NODES);
                    self.come(client, nth);
                }
            }
            assert!(self.clients[client].at.is_some(), "it is taken in the end");
            self.deliver(client);
        }
    }

    fn check(&self, seed: u64) {
        // What is in a part of the stream that no node reads any more was missed by all.
        let mut numbers = self.numbers.clone();
        for stored in &self.server.data.stream {
            let Kind::Batch { events, .. } = &stored.kind else { continue };
            for (back, &event) in events.iter().rev().enumerate() {
                let number = (stored.id.last - back as u64) * NUMBERS_PER_ITEM;
                numbers.entry(event).or_default().push(number);
            }
        }
        for event in (0..self.next_event).filter(|event| !self.killed.contains(event)) {
            let is_there = numbers.contains_key(&event) || self.is_cut;
            assert!(is_there, "seed {seed}: {event} is lost on its way to the server");
        }
        for (event, numbers) in &numbers {
            for (nth, client) in self.clients.iter().enumerate() {
                let is_told = numbers
                    .iter()
                    .any(|at| client.told.iter().any(|(from, to)| (from + 1..=*to).contains(at)));
                assert!(
                    client.events.contains(event) || is_told,
                    "seed {seed}: client {nth} lacks {event} of {numbers:?} and was told {:?}",
                    client.told
                );
            }
        }
    }
}

/// How many worlds there are; more by hand.
fn worlds() -> u64 {
    let text = std::env::var("FANFARE_TEST_CLUSTER_WORLDS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(400)
}

#[test]
fn no_client_misses_an_event_that_a_node_had_without_being_told() {
    let (mut losses, mut events, mut untold) = (0, 0, 0);
    for seed in 0..worlds() {
        let mut world = World::new(seed, false);
        (0..STEPS).for_each(|_| world.step());
        world.end();
        world.check(seed);
        losses += world.losses;
        events += world.numbers.len();
        untold += world.clients.iter().filter(|client| client.told.is_empty()).count();
    }
    println!("{losses} losses, {events} events, {untold} clients that were told nothing");
    assert!(losses > worlds() && events as u64 > 5 * worlds(), "{losses} {events}");
    assert!(untold as u64 > worlds() / 5, "{untold}");
}

#[test]
fn where_the_server_loses_nothing_nobody_is_told_anything() {
    for seed in 0..worlds() {
        let mut world = World::new(seed, true);
        (0..STEPS).for_each(|_| world.step());
        world.end();
        for client in &world.clients {
            assert_eq!(client.told, [], "seed {seed}");
            assert_eq!(client.events.len(), world.numbers.len(), "seed {seed}");
        }
    }
}
