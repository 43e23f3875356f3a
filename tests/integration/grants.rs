//! Whatever a client asks for, it is sent no event of a topic that it was not granted: by no id, no
//! start, no change of its topics, and no later grant.

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{channel, Sender};

use fanfare::{
    AdminError, AskOptions, Authorizer, ConnectionFilter, Event, Grant, Hub, ListenOptions,
    Listener, StartAt, Subscription, Topic,
};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{Config, TestRunner};

use crate::support::sse::Message;
use crate::support::{one_shard, serve_with, wait_until, Client, DEADLINE};

const TOPICS: [&str; 7] = ["a", "a/x", "a/y", "b", "b/x", "c/x/y", "$d"];
const SUBSCRIPTIONS: [&str; 14] =
    ["a", "a/x", "a/y", "b", "b/x", "c/x/y", "$d", "a/#", "a/+", "b/#", "+/x", "c/#", "+", "#"];

/// What a client, the host or a publisher does.
#[derive(Clone, Debug)]
enum Step {
    /// Publishes an event to a topic, or to two, with an id of its own perhaps.
    Publish { topics: Vec<usize>, has_id: bool },
    /// Opens a stream instead of the last one.
    Open { grant: Vec<usize>, any: bool, asked: Vec<usize>, from: From },
    /// Gives the stream other topics within its grant.
    Change { nth: Vec<usize> },
}

/// Where a client asks its stream to begin.
#[derive(Clone, Debug)]
enum From {
    Now,
    Start(StartAt),
    /// In the grant, whatever the request says.
    Granted(StartAt),
    /// After an event, of whichever topic, and perhaps elsewhere if that is gone.
    Id(usize, Option<StartAt>),
    Unknown(String, Option<StartAt>),
}

fn starts() -> impl Strategy<Value = StartAt> {
    prop_oneof![Just(StartAt::Latest), (0..20u32).prop_map(StartAt::Last), Just(StartAt::Earliest)]
}

fn froms() -> impl Strategy<Value = From> {
    let gap_start = || proptest::option::of(starts());
    let unknown = prop_oneof![Just("00000000-7"), Just("x"), Just("own-999"), Just("0")];
    prop_oneof![
        1 => Just(From::Now),
        2 => starts().prop_map(From::Start),
        2 => starts().prop_map(From::Granted),
        5 => (0..1_000usize, gap_start()).prop_map(|(nth, start)| From::Id(nth, start)),
        2 => (unknown, gap_start()).prop_map(|(id, start)| From::Unknown(id.to_owned(), start)),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let some = || subsequence((0..SUBSCRIPTIONS.len()).collect::<Vec<_>>(), 0..=4);
    let topics = subsequence((0..TOPICS.len()).collect::<Vec<_>>(), 1..=2);
    let open = (some(), proptest::bool::weighted(0.05), some(), any::<bool>(), froms());
    let open = open.prop_map(|(grant, any, asked, is_mine, from)| {
        // Half of the requests stay within their grant, as those of honest clients do.
        let asked = match is_mine {
            true => asked.into_iter().filter(|nth| grant.contains(nth)).collect(),
            false => asked,
        };
        Step::Open { grant, any, asked, from }
    });
    prop_oneof![
        6 => (topics, any::<bool>()).prop_map(|(topics, has_id)| Step::Publish { topics, has_id }),
        4 => open,
        2 => some().prop_map(|nth| Step::Change { nth }),
    ]
}

fn subscriptions(nth: &[usize]) -> Vec<Subscription> {
    nth.iter().map(|&nth| Subscription::new(SUBSCRIPTIONS[nth]).unwrap()).collect()
}

fn wants(subscriptions: &[Subscription], topic: &str) -> bool {
    let topic = Topic::new(topic).unwrap();
    subscriptions.iter().any(|what| what.matches(&topic))
}

/// An event that was published: its topics and its id.
struct Past {
    topics: Vec<usize>,
    id: String,
}

impl Past {
    fn is_within(&self, subscriptions: &[Subscription]) -> bool {
        self.topics.iter().any(|&topic| wants(subscriptions, TOPICS[topic]))
    }
}

/// A stream that is open.
struct Open {
    client: Client,
    /// What it was granted, and what it is subscribed to.
    granted: Vec<Subscription>,
    wanted: Vec<Subscription>,
    /// The first event of what it is subscribed to now.
    since: usize,
}

struct World {
    hub: Hub,
    listener: Listener,
    grants: Sender<Grant>,
    past: Vec<Past>,
    stream: Option<Open>,
    /// Events that streams got, and requests that were refused.
    got: usize,
    refused: usize,
}

impl World {
    fn new() -> World {
        let ask = AskOptions::default().timeout(DEADLINE);
        let (authorizer, requests) = Authorizer::ask(ask).unwrap();
        let listen = ListenOptions::default().authorizer(authorizer).wide_filters_max(14);
        // So little that events of the longer runs are gone.
        let options = one_shard().history_events_max(6);
        let (hub, listener) = serve_with(options, listen);
        let (grants, next) = channel();
        std::thread::spawn(move || {
            for request in requests {
                let Ok(grant) = next.recv() else { return };
                request.allow(grant).unwrap();
            }
        });
        let (past, stream) = (Vec::new(), None);
        World { hub, listener, grants, past, stream, got: 0, refused: 0 }
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Publishes an event whose data is its place in the past.
    fn publish(&mut self, topics: &[usize], has_id: bool) {
        let nth = self.past.len();
        let (data, own) = (nth.to_string(), format!("own-{nth}"));
        let event = Event::new(&*data);
        let event = if has_id { event.with_id(&*own) } else { event };
        let names: Vec<Topic> =
            topics.iter().map(|&nth| Topic::new(TOPICS[nth]).unwrap()).collect();
        let published = self.hub.publish_to(&names, event).expect("the backlog is not full");
        let id = if has_id { own } else { published.id().unwrap().to_string() };
        self.past.push(Past { topics: topics.to_vec(), id });
    }

    fn open(&mut self, grant: &[usize], any: bool, asked: &[usize], from: &From) {
        self.close();
        let (granted, asked) = (subscriptions(grant), subscriptions(asked));
        let mut of_grant = Grant::new(granted.clone()).any_topics(any);
        let mut query: String =
            asked.iter().map(|what| format!("&topic={}", encode(what))).collect();
        let mut id = None;
        match from {
            From::Now => {}
            From::Start(start) => query += &format!("&start={start}"),
            From::Granted(start) => of_grant = of_grant.start(*start),
            From::Id(nth, start) => {
                let past = (!self.past.is_empty()).then(|| &self.past[nth % self.past.len()]);
                id = past.map(|past| past.id.clone());
                query += &start.map(|start| format!("&gap-start={start}")).unwrap_or_default();
            }
            From::Unknown(unknown, start) => {
                id = Some(unknown.clone());
                query += &start.map(|start| format!("&gap-start={start}")).unwrap_or_default();
            }
        }
        let field = id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET /events?envelope=none{query} HTTP/1.1\r\nHost: h\r\n{field}\r\n");
        let covers = asked.iter().all(|what| of_grant.covers(what));
        self.grants.send(of_grant).unwrap();
        let mut socket = TcpStream::connect(self.addr()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(request.replace("Host: h", "Host: localhost").as_bytes()).unwrap();
        let client = Client::of(socket);
        let wanted = if asked.is_empty() { granted.clone() } else { asked };
        if !covers || wanted.is_empty() {
            assert_eq!(client.status(), if covers { 400 } else { 403 });
            self.refused += 1;
            return;
        }
        assert_eq!(client.status(), 200, "{}", client.head);
        // What it was granted besides, it was not asked for.
        let granted = if any { wanted.clone() } else { granted };
        self.stream = Some(Open { client, granted, wanted, since: 0 });
    }

    /// Reads what the stream has, up to an event that is published now, and checks it.
    fn read(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let marked = (0..TOPICS.len()).find(|&nth| wants(&stream.wanted, TOPICS[nth]));
        let mark = self.past.len();
        self.publish(&[marked.expect("each subscription has a topic")], false);
        loop {
            let Message { name, data, .. } = stream.client.next();
            if name == "fanfare-gap" {
                continue;
            }
            let nth: usize = data.parse().unwrap();
            let past = &self.past[nth];
            let name = || past.topics.iter().map(|&nth| TOPICS[nth]).collect::<Vec<_>>();
            assert!(past.is_within(&stream.granted), "{:?} of {:?}", name(), stream.granted);
            if nth >= stream.since {
                assert!(past.is_within(&stream.wanted), "{:?} of {:?}", name(), stream.wanted);
            }
            self.got += 1;
            if nth == mark {
                break;
            }
        }
        self.stream = Some(stream);
    }

    fn change(&mut self, nth: &[usize]) {
        let Some(stream) = &mut self.stream else { return };
        let wanted = subscriptions(nth);
        let grant = Grant::new(stream.granted.clone());
        if wanted.is_empty() || !wanted.iter().all(|what| grant.covers(what)) {
            return;
        }
        let all = self.hub.connections(&ConnectionFilter::default()).unwrap();
        let [one] = &all[..] else { panic!("{all:?}") };
        let id = one.id;
        wait_until("topics are changed", || match self.hub.set_subscriptions(id, &wanted) {
            Err(AdminError::CatchingUp) => false,
            changed => {
                assert_eq!(changed, Ok(true));
                true
            }
        });
        (stream.wanted, stream.since) = (wanted, self.past.len());
    }

    fn close(&mut self) {
        self.read();
        self.stream = None;
        wait_until("it is gone", || self.hub.metrics().connections == 0);
    }
}

fn encode(what: &Subscription) -> String {
    what.as_str().replace('+', "%2B").replace('#', "%23")
}

#[test]
fn no_id_start_or_change_ever_gives_a_client_a_topic_outside_of_its_grant() {
    let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
    let (got, refused) = (Cell::new(0), Cell::new(0));
    let several = proptest::collection::vec(steps(), 10..60);
    let run = runner.run(&several, |steps| {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Publish { topics, has_id } => world.publish(&topics, has_id),
                Step::Open { grant, any, asked, from } => world.open(&grant, any, &asked, &from),
                Step::Change { nth } => world.change(&nth),
            }
        }
        world.close();
        got.set(got.get() + world.got);
        refused.set(refused.get() + world.refused);
        Ok(())
    });
    run.unwrap();
    let (got, refused) = (got.get(), refused.get());
    // Without these, it would have shown nothing.
    assert!(got > 200 && refused > 20, "{got} {refused}");
}
