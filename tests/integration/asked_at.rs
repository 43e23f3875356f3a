//! Streams that a host asks for begin at the moment of the call, however late a shard begins them: no
//! shard runs until the host has published more.

use std::net::{TcpListener, TcpStream};

use fanfare::{
    AdoptRequest, HttpVersion, Hub, Options, StartAt, StreamOptions, Subscription, Topic,
};

use crate::support::sse::{Message, Parser};
use crate::support::{close, one_shard, wait_until, Client, DEADLINE};

/// What a stream of the topics `a` and `b` has, up to the event `end` of `a`.
struct Late {
    options: Options,
    before: &'static [(&'static str, &'static str)],
    asked: StreamOptions,
    meanwhile: &'static [(&'static str, &'static str)],
}

fn publish(hub: &Hub, events: &[(&str, &str)]) {
    for (topic, data) in events {
        hub.publish(&Topic::new(topic).unwrap(), *data).unwrap();
    }
}

fn wanted() -> [Subscription; 2] {
    ["a", "b"].map(|topic| Subscription::new(topic).unwrap())
}

impl Late {
    fn events(self) -> Vec<Message> {
        let (hub, drivers) = Hub::with_drivers(self.options).unwrap();
        publish(&hub, self.before);
        let mut stream = hub.subscribe(wanted(), self.asked.clone()).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = AdoptRequest::new(wanted()).version(HttpVersion::Http10).options(self.asked);
        hub.adopt(server.accept().unwrap().0, request).unwrap();
        publish(&hub, self.meanwhile);
        let driven: Vec<_> =
            drivers.into_iter().map(|driver| smol::spawn(driver.drive())).collect();
        wait_until("both have begun", || hub.metrics().connections == 2);
        publish(&hub, &[("a", "end")]);
        let (mut pulled, mut parser) = (std::collections::VecDeque::new(), Parser::default());
        while pulled.back().is_none_or(|message: &Message| message.data != "end") {
            let batch = stream.wait(DEADLINE).expect("an event").expect("no cut");
            parser.feed(&batch, &mut pulled);
        }
        let mut client = Client::of(client);
        for message in &pulled {
            let adopted = client.next();
            assert_eq!((&adopted.name, &adopted.data), (&message.name, &message.data));
        }
        close(&hub);
        driven.into_iter().for_each(|shard| smol::block_on(shard).unwrap());
        pulled.into()
    }

    fn data(self) -> Vec<String> {
        self.events().into_iter().map(|message| message.data).collect()
    }
}

const BEFORE: &[(&str, &str)] = &[("a", "1"), ("b", "2"), ("a", "3")];
const MEANWHILE: &[(&str, &str)] = &[("b", "4"), ("a", "5")];

fn late(asked: StreamOptions) -> Late {
    Late { options: one_shard(), before: BEFORE, asked, meanwhile: MEANWHILE }
}

fn starting(start: StartAt) -> StreamOptions {
    StreamOptions::default().start(start)
}

#[test]
fn the_newest_events_are_those_of_the_call_and_all_that_come_after_it_follow() {
    assert_eq!(late(starting(StartAt::Now)).data(), ["4", "5", "end"]);
    assert_eq!(late(starting(StartAt::Latest)).data(), ["2", "3", "4", "5", "end"]);
    assert_eq!(late(starting(StartAt::Last(1))).data(), ["3", "4", "5", "end"]);
    assert_eq!(late(starting(StartAt::Last(0))).data(), ["4", "5", "end"]);
    assert_eq!(late(starting(StartAt::Earliest)).data(), ["1", "2", "3", "4", "5", "end"]);
}

#[test]
fn a_client_whose_id_is_gone_begins_at_the_call_too() {
    let unknown = || StreamOptions::default().last_event_id("nobody-gave-this");
    for (start, follows) in [
        (StartAt::Now, &["4", "5", "end"][..]),
        (StartAt::Latest, &["2", "3", "4", "5", "end"]),
        (StartAt::Last(1), &["3", "4", "5", "end"]),
    ] {
        let events = late(unknown().gap_start(start)).events();
        assert_eq!(events[0].name, "fanfare-gap");
        let data: Vec<_> = events[1..].iter().map(|message| &message.data).collect();
        assert_eq!(data, follows, "{start}");
    }
}

#[test]
fn what_is_forgotten_before_a_shard_begins_the_stream_is_told() {
    for start in [StartAt::Now, StartAt::Latest, StartAt::Last(1), StartAt::Earliest] {
        for kept in [0, 1] {
            let options = one_shard().history_events_max(kept);
            let meanwhile = &[("a", "4"), ("a", "5")];
            let events = Late { options, meanwhile, ..late(starting(start)) }.events();
            assert!(
                events.iter().any(|event| event.name == "fanfare-gap"),
                "{start}, {kept} kept: {events:?}"
            );
        }
    }
}
