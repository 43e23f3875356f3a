//! A shard against a model of what each client is to get, with sinks that take as much as the
//! test lets them: short writes at every byte, errors, joins and ends at any moment.

mod bounds;
mod client;
mod envelopes;
mod failing;
mod finish;
mod interest;
mod policies;
mod pull;
mod resubscribe;
mod resume;
mod spread;
mod threads;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use self::client::{body, scripted, Far, TestClient};
use self::finish::Life;
use super::*;
use crate::clock::Clock;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::filter::Subscription;
use crate::frame::{chunk, Draft, Wire};
use crate::id::EventId;
use crate::inbox::Inbox;
use crate::lifecycle::ConnectionId;
use crate::metrics::DisconnectReason;
use crate::notices::{NoticeKind, NoticeQueue, Notices};
use crate::options::Options;
use crate::order::{Order, Refused};
use crate::policy::Policy;
use crate::pull::Pull;
use crate::resume::{Resume, StartAt};
use crate::shard::admin::resubscribe::Resubscribed;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Sink, State};
use crate::topic::Topic;
use crate::tuning::Tuning;

const TOPICS: [&str; 4] = ["a", "a/x", "b/y", "b"];
/// Half of those that join have an envelope.
const EACH_ENVELOPE: &[Envelope] = &[Envelope::None, Envelope::Json];

pub(in crate::shard) struct World {
    pub(in crate::shard) shard: Shard,
    shared: Arc<Shared>,
    clients: BTreeMap<u32, TestClient>,
    left: Vec<TestClient>,
    joined: u32,
    /// What the streams of those that join are in, one after another.
    envelopes: &'static [Envelope],
    /// Whether some of those that join read queues, and are no sinks.
    has_readers: bool,
    /// Every event: its number, topics and text.
    published: Vec<(u64, Vec<usize>, String)>,
    /// Clients whose streams ended since their topics are finished.
    ended: Vec<(u32, TestClient)>,
    topics: [Life; TOPICS.len()],
    notices: Notices,
    clock: Clock,
}

impl World {
    pub(in crate::shard) fn new(options: Options) -> World {
        World::with(options, Tuning::small(), Clock::start())
    }

    /// A world whose time passes only when the test says so.
    fn with_manual_clock(options: Options) -> World {
        World::with(options, Tuning::small(), Clock::manual())
    }

    /// A world of a random test. Every fourth seed has the bounds of every hub, the others smaller
    /// ones, which are reached more often. In two of three every other client has an envelope, and
    /// in three of four some read queues.
    fn of_seed(seed: u64, options: Options) -> World {
        let tuning = if seed.is_multiple_of(4) { Tuning::default() } else { Tuning::small() };
        let envelopes = if seed.is_multiple_of(3) { &[Envelope::None] } else { EACH_ENVELOPE };
        let has_readers = seed % 4 < 3;
        World { envelopes, has_readers, ..World::with(options, tuning, Clock::start()) }
    }

    fn with(options: Options, tuning: Tuning, clock: Clock) -> World {
        // The model says when a finished topic is forgotten, however long it runs.
        let finished_age_max = Duration::from_secs(7 * 24 * 60 * 60);
        let options = Options { finished_age_max, ..options };
        let poller = Poller::new().unwrap();
        let inbox = Arc::new(Inbox::new(ShardWaker::new(poller.waker())));
        let shared = Arc::new(Shared {
            subscription_limits: SubscriptionLimits::new(options.subscriptions_max, 0),
            order: Order::new(Box::new([inbox.clone()]), &options, tuning.order, clock.clone()),
            cluster: None,
            tuning: tuning.shard,
            connection_limits: ConnectionLimits::new(options.connections_max, 0, usize::MAX),
            spares: Spares::new(),
            links: Box::new([Link::new(inbox)]),
            closing: AtomicBool::new(false),
            drain: OnceLock::new(),
            emptied: event_listener::Event::new(),
            finished_answers: AtomicU64::new(0),
            authorizations: Default::default(),
            notices: NoticeQueue::new(1),
            options,
        });
        let shard = Shard::new(0, shared.clone(), poller);
        let notices = shared.notices.open(1 << 20);
        World {
            shard,
            shared,
            clients: BTreeMap::new(),
            left: Vec::new(),
            joined: 0,
            envelopes: &[Envelope::None],
            has_readers: false,
            published: Vec::new(),
            ended: Vec::new(),
            topics: [Life::Open; TOPICS.len()],
            notices,
            clock,
        }
    }

    /// Has a client join that wants what is published from now on.
    pub(in crate::shard) fn join(&mut self, topics: Vec<usize>, wire: Wire, capacity: usize) {
        let number = self.shared.order.sequence();
        self.join_from(topics, wire, capacity, Resume::Start(StartAt::Now));
        let client = self.clients.get_mut(&self.joined).expect("it has just joined");
        let id = self.shared.order.id_of(number);
        client.expected.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    }

    fn join_from(&mut self, topics: Vec<usize>, wire: Wire, capacity: usize, resume: Resume) {
        self.join_with(topics, wire, capacity, resume, Policy::default());
    }

    fn join_with(
        &mut self,
        topics: Vec<usize>,
        wire: Wire,
        capacity: usize,
        resume: Resume,
        policy: Policy,
    ) {
        let names: Vec<Subscription> =
            topics.iter().map(|&t| Subscription::new(TOPICS[t]).unwrap()).collect();
        let wanted = if self.joined.is_multiple_of(3) { with_filters(&topics) } else { names };
        self.join_wanting(topics, wanted, (wire, capacity), (resume, policy));
    }

    fn join_wanting(
        &mut self,
        topics: Vec<usize>,
        wanted: Vec<Subscription>,
        (wire, capacity): (Wire, usize),
        (resume, policy): (Resume, Policy),
    ) {
        let (sink, far) = scripted(capacity);
        let head = match wire {
            Wire::Chunked => chunk(b"head\n"),
            Wire::Plain => b"head\n".to_vec(),
        };
        let returned = resume != Resume::Start(StartAt::Now);
        let envelope = self.envelopes[self.joined as usize % self.envelopes.len()];
        let request = StreamRequest { resume, policy, ..StreamRequest::new(head, vec![], wire) };
        let request = StreamRequest { wanted, envelope, ..request };
        let wanted = request.wanted.clone();
        let reads = self.has_readers && wire == Wire::Plain && !self.joined.is_multiple_of(3);
        let key = match reads {
            true => self.join_reader(&far, request),
            false => self.shard.join_sink(sink, &request).expect("there is space for it"),
        };
        let expected = b"head\n".to_vec();
        self.joined += 1;
        let mut client = TestClient {
            key,
            far,
            expected,
            topics,
            wire,
            envelope,
            has_filters: false,
            open: Vec::new(),
            complete_at: None,
            returned,
            has_more: false,
        };
        self.begin_topics(&mut client, &wanted);
        self.clients.insert(self.joined, client);
    }

    /// Has a client join that reads a queue: a small one, unless it takes everything.
    fn join_reader(&mut self, far: &Mutex<Far>, request: StreamRequest) -> Key {
        let is_fast = far.lock().unwrap().capacity > 1 << 40;
        let queue = Arc::new(Pull::new(if is_fast { 1 << 30 } else { 600 }));
        far.lock().unwrap().queue = Some(queue.clone());
        let (limits, now) = (self.shared.limits(), self.shared.order.moment());
        let Ok(request) = PullRequest::reserve(limits, now, queue, request, Peer::known(None))
        else {
            panic!("there is space for it");
        };
        self.shard.begin_pull(request)
    }

    /// Has those that read queues do so. True if any told the shard something.
    fn read_queues(&mut self) -> bool {
        let mut has_told = false;
        for client in self.clients.values() {
            if let Some(id) = client.far.lock().unwrap().read() {
                let told = Told::HasNews(ConnectionId::from_u64(id));
                assert!(self.shared.links[0].tell(told).is_ok());
                has_told = true;
            }
        }
        has_told
    }

    /// Gives a client other topics, unless it has something to take first. It may be gone then.
    fn change_topics(&mut self, number: u32, topics: Vec<usize>, by_filters: bool) -> bool {
        let client = self.clients.get_mut(&number).expect("it is here");
        let names = || topics.iter().map(|&t| Topic::new(TOPICS[t]).unwrap().into()).collect();
        let wanted = if by_filters { with_filters(&topics) } else { names() };
        let changed = self.shard.resubscribe(client.key, &wanted);
        // It may have ended with it, or before it.
        let is_new = match changed {
            Resubscribed::Done { .. } => true,
            Resubscribed::TooEarly => false,
            Resubscribed::Gone => self.clients[&number].complete_at.is_none(),
        };
        if is_new {
            let mut client = self.clients.remove(&number).expect("it is here");
            client.topics = topics;
            self.begin_topics(&mut client, &wanted);
            self.clients.insert(number, client);
        }
        !matches!(changed, Resubscribed::TooEarly)
    }

    /// Publishes an event, and notes which clients are to get it.
    fn publish(&mut self, topic: usize, data: &str) -> bool {
        self.publish_over(&[topic], data, Duration::ZERO)
    }

    /// The same for an event of several topics, or one that is spread over a time.
    fn publish_over(&mut self, topics: &[usize], data: &str, window: Duration) -> bool {
        let Some(id) = self.publish_event(topics, &Event::new(data), window) else { return false };
        self.note_published(id, topics, data);
        true
    }

    fn publish_event(
        &mut self,
        topics: &[usize],
        event: &Event<'_>,
        window: Duration,
    ) -> Option<EventId> {
        let mut draft = Draft::encode(event, 1 << 20).unwrap();
        let (order, window_ns) = (&self.shared.order, window.as_nanos() as u64);
        let topic = |&nth: &usize| Topic::new(TOPICS[nth]).unwrap();
        let published = match (topics, window_ns) {
            ([only], 0) => order.publish(&topic(only), draft),
            ([only], _) => order.publish_spread(&topic(only), draft, window_ns),
            _ => {
                let mut topics: Vec<Topic> = topics.iter().map(topic).collect();
                topics.sort_unstable();
                draft.set_topics(topics.into());
                order.publish_to_several(draft, Some(window_ns).filter(|&window| window > 0))
            }
        };
        match published {
            Ok(id) => {
                topics.iter().for_each(|&topic| self.note_open(topic));
                Some(id)
            }
            Err(Refused::Full(..)) => None,
            Err(Refused::Finished(_)) => {
                let is_finished = |&topic: &usize| matches!(self.topics[topic], Life::Finished);
                assert!(topics.iter().any(is_finished));
                None
            }
            Err(Refused::Unwritable | Refused::Unreachable | Refused::Closed) => {
                unreachable!("the hub is not closed")
            }
        }
    }

    fn give_capacity(&mut self, client: u32, bytes: usize) {
        let client = &self.clients[&client];
        let mut far = client.far.lock().unwrap();
        far.capacity = far.capacity.saturating_add(bytes);
        if far.queue.is_some() {
            return;
        }
        drop(far);
        let state = self.shard.connections.get_mut(client.key).map(|c| &c.state);
        if let Some(State::Lagging(_) | State::Replaying(_)) = state {
            self.shard.resume(client.key);
        }
    }

    /// Removes the clients that the shard has disconnected from the model.
    fn note_ended(&mut self) {
        self.read_queues();
        let shard = &mut self.shard;
        let gone: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, client)| shard.connections.get_mut(client.key).is_none())
            .map(|(&number, _)| number)
            .collect();
        let mut ends: HashMap<_, _> = HashMap::new();
        while let Some(notice) = self.notices.try_next() {
            if let NoticeKind::Disconnected { events, bytes, reason, .. } = notice.kind {
                let key = (notice.id.generation(), notice.id.index());
                ends.insert(key, (Sent { events, bytes }, reason));
            }
        }
        assert_eq!(ends.len(), gone.len(), "each client that has gone was told of");
        for number in gone {
            let client = self.clients.remove(&number).expect("it was here");
            let Key { index, generation } = client.key;
            let (sent, reason) = ends[&(generation, index)];
            assert!(client.has(sent));
            match reason {
                DisconnectReason::Finished => {
                    client.check_end();
                    self.ended.push((number, client));
                }
                _ => self.left.push(client),
            }
        }
    }

    /// Turns until nothing is left to do, with all sinks taking everything.
    fn settle(&mut self) {
        for number in self.clients.keys().copied().collect::<Vec<_>>() {
            self.give_capacity(number, usize::MAX / 2);
        }
        let mut turns = 0;
        loop {
            let next = self.shard.turn().unwrap();
            let has_told = self.read_queues();
            match (next, &self.clock) {
                (Next::Now, _) => {}
                _ if has_told => {}
                _ if self.shared.order.backlog_bytes() == 0 => break,
                // It waits for an event that is spread over a time.
                (_, Clock::Manual(_)) => self.clock.advance(Duration::from_millis(1)),
                (_, Clock::System(..)) => std::thread::sleep(Duration::from_millis(1)),
            }
            turns += 1;
            assert!(turns < 100_000, "the shard does not come to rest");
        }
        self.note_ended();
        for client in self.clients.values() {
            assert_eq!(client.complete_at, None, "its topics are finished, and it has not ended");
        }
    }

    fn check(&self) {
        for client in self.clients.values() {
            let received = body(&client.received(), client.wire);
            if client.may_have_more() {
                assert!(client.has_all(&received), "{:?}", client.topics);
                continue;
            }
            let same = received.iter().zip(&client.expected).take_while(|(a, b)| a == b).count();
            let from_there = |bytes: &[u8]| {
                let around = &bytes[same.saturating_sub(50)..bytes.len().min(same + 50)];
                String::from_utf8_lossy(around).into_owned()
            };
            assert_eq!(from_there(&received), from_there(&client.expected), "{:?}", client.topics);
            assert!(client.has(self.shard.sent_to(client.key.index)));
        }
        for client in &self.left {
            let received = body(&client.received(), client.wire);
            let is_right = client.may_have_more() || client.expected.starts_with(&received);
            assert!(is_right, "only the end may be missing");
        }
    }

    /// Everybody is where the shard has it, and is counted once there.
    fn check_indices(&self) {
        let shard = &self.shard;
        let mut in_audiences = 0;
        for index in shard.audiences.indices() {
            let audience = &shard.audiences[index];
            in_audiences += audience.len();
            for (slot, &member) in audience.lagging.iter().enumerate() {
                let State::Lagging(lagging) = &shard.connections[member].state else {
                    panic!("it lags")
                };
                assert_eq!(
                    (lagging.membership.audience, lagging.membership.slot),
                    (index, slot as u32)
                );
            }
        }
        shard.audiences.check();
        let indices = shard.connections.indices();
        assert_eq!(in_audiences, indices.len());
        let lagging =
            indices.iter().filter(|&&i| !matches!(shard.connections[i].state, State::Live(_)));
        let counters = &shard.link().counters;
        let behind = counters.lagging_connections.value() + counters.replaying_connections.value();
        assert_eq!(behind, lagging.count() as u64);
    }

    /// When no connection is left, nothing is left of any.
    fn check_empty(&mut self) {
        for client in std::mem::take(&mut self.clients).into_values() {
            drop(self.shard.remove(client.key.index));
        }
        self.shard.turn().unwrap();
        let shard = &self.shard;
        assert!(shard.connections.is_empty() && shard.audiences.is_empty());
        assert_eq!((shard.lag_bytes(), self.shared.order.backlog_bytes()), (0, 0));
        assert_eq!(self.shared.order.topics_backlog_bytes(), 0);
        assert_eq!(self.shared.order.counts().topics, 0);
        assert_eq!(self.shared.subscription_limits.taken(), 0);
        assert_eq!(shard.link().counters.lagging_connections.value(), 0);
        assert_eq!(shard.link().counters.replaying_connections.value(), 0);
        assert_eq!(shard.link().counters.lag_bytes.value(), 0);
    }
}

/// Whether an event of some topics is for a client of others.
fn is_for(topics: &[usize], wanted: &[usize]) -> bool {
    topics.iter().any(|topic| wanted.contains(topic))
}

/// The topics of an event, of the first `count`: often several.
fn random_topics(random: &mut fastrand::Rng, count: usize) -> Vec<usize> {
    let some: Vec<usize> = match random.bool() {
        true => (0..count).filter(|_| random.bool()).collect(),
        false => Vec::new(),
    };
    if some.is_empty() {
        return vec![random.usize(..count)];
    }
    some
}

/// The same topics, by filters where some match nothing else; and one of them by its name as well.
fn with_filters(topics: &[usize]) -> Vec<Subscription> {
    let mut wanted = vec![TOPICS[topics[0]]];
    let filters = [("#", &[0, 1, 2, 3][..]), ("a/#", &[0, 1]), ("+", &[0, 3]), ("+/y", &[2])];
    for (filter, matched) in filters.into_iter().chain([("a/+", &[1][..])]) {
        if matched.iter().all(|topic| topics.contains(topic)) {
            wanted.push(filter);
        }
    }
    wanted.extend(topics.iter().map(|&topic| TOPICS[topic]));
    wanted.into_iter().map(|text| Subscription::new(text).unwrap()).collect()
}

/// One run of `steps` random steps. Returns how many connections were cut for lagging.
fn run(seed: u64, steps: usize, options: Options) -> u64 {
    run_with_members(seed, steps, options, 0)
}

/// The same with `members` connections that want the first topic alone, enough for a round to take
/// several turns.
fn run_with_members(seed: u64, steps: usize, options: Options, members: usize) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::of_seed(seed, options);
    (0..members).for_each(|_| world.join(vec![0], Wire::Chunked, usize::MAX / 2));
    for step in 0..steps {
        let nth = random.usize(..world.clients.len().max(1));
        let picked = world.clients.keys().nth(nth).copied();
        match (random.u32(..100), picked) {
            (0..10, _) if world.clients.len() < 150 + members => {
                let wanted = |_: &usize| members == 0 && random.bool();
                let topics = (0..TOPICS.len()).filter(wanted).collect::<Vec<_>>();
                let topics = if topics.is_empty() { vec![0, 0] } else { topics };
                let wire = if members > 0 || random.bool() { Wire::Chunked } else { Wire::Plain };
                let capacity = if random.bool() { usize::MAX / 2 } else { random.usize(..300) };
                world.join(topics, wire, capacity);
            }
            (10..14, Some(number)) => {
                let client = world.clients.remove(&number).unwrap();
                assert!(client.has(world.shard.sent_to(client.key.index)));
                drop(world.shard.remove(client.key.index));
                world.left.push(client);
            }
            (14..16, Some(number)) => world.clients[&number].far.lock().unwrap().broken = true,
            (16..20, Some(number)) => {
                let topics: Vec<_> = (0..TOPICS.len()).filter(|_| random.bool()).collect();
                let topics = if topics.is_empty() { vec![0] } else { topics };
                world.change_topics(number, topics, random.bool());
            }
            (20..40, Some(number)) => world.give_capacity(number, random.usize(..400)),
            // Where there are many members they are ended at last.
            (40, _) if members == 0 || step > steps * 4 / 5 => world.end_or_begin(&mut random),
            (40..75, _) => {
                let data = step.to_string().repeat(random.usize(1..30));
                let topics = random_topics(&mut random, TOPICS.len());
                world.publish_over(&topics, &data, some_window(&mut random));
            }
            _ => drop(world.shard.turn().unwrap()),
        }
        world.note_ended();
        world.left.truncate(500);
        world.check_ended();
        if step % 64 == 0 {
            world.check_indices();
        }
    }
    world.settle();
    world.check_ended();
    world.check();
    let cut = world.shard.link().counters.disconnects[2].value();
    world.check_empty();
    cut
}

/// Every few times a window over which an event is spread: up to the time of some hundred steps.
fn some_window(random: &mut fastrand::Rng) -> Duration {
    match random.u32(..8) {
        0 => Duration::from_micros(random.u64(1..1_000)),
        1 => Duration::from_micros(random.u64(1..20)),
        _ => Duration::ZERO,
    }
}

/// How many steps the random tests make, more in a release build, and by hand:
/// `FANFARE_STEPS=10000000`.
fn steps() -> usize {
    let given = std::env::var("FANFARE_STEPS").ok();
    given.map_or(if cfg!(debug_assertions) { 60_000 } else { 1_000_000 }, |steps| {
        steps.parse().expect("FANFARE_STEPS is a number")
    })
}

/// Options under which a client that takes little for a long time lags, and is never cut.
fn without_lag_bounds() -> Options {
    let hour = Duration::from_secs(3_600);
    Options {
        lag_bytes_max: usize::MAX,
        lag_total_bytes_max: usize::MAX,
        lag_age_max: hour,
        stall_time_max: hour,
        heartbeat: hour,
        ..Options::default()
    }
}

#[test]
fn each_client_gets_exactly_what_was_published_since_it_joined() {
    let seeds = 40;
    for seed in 0..seeds {
        let options = Options {
            batch_bytes_max: 700,
            topic_backlog_bytes_max: 2_000,
            ..without_lag_bounds()
        };
        assert_eq!(run(seed, steps() / seeds as usize, options), 0);
    }
}

#[test]
fn each_client_gets_exactly_what_was_published_while_rounds_are_under_way() {
    let seeds = 8;
    for seed in 0..seeds {
        let members = 2_000;
        let options = Options {
            batch_bytes_max: 700,
            topic_backlog_bytes_max: 8_000,
            ..without_lag_bounds()
        };
        assert_eq!(
            run_with_members(2000 + seed, steps() / 20 / seeds as usize, options, members),
            0
        );
    }
}

#[test]
fn a_client_that_lags_too_far_is_cut_between_or_within_events_and_no_other_is_touched() {
    let seeds = 20;
    let mut cut = 0;
    for seed in 0..seeds {
        let options = Options {
            batch_bytes_max: 500,
            lag_bytes_max: 3_000,
            lag_grace: Duration::ZERO,
            ..Options::default()
        };
        cut += run(1000 + seed, steps() / 2 / seeds as usize, options);
    }
    assert!(cut > 100, "{cut}");
}
