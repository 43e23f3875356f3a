//! Streams that the host reads itself, with threads and under executors.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use fanfare::{
    ConnectionFilter, ConnectionSelector, DisconnectReason, Disconnected, DrainOptions, Event,
    EventStream, Hub, NoticeKind, Options, Policy, StartAt, StreamOptions, SubscribeError,
    Subscription, Topic,
};
use futures_core::Stream as _;

use crate::support::sse::{Message, Parser};
use crate::support::{close, one_shard, serve, shards, start, wait_until, Client, DEADLINE};

/// The options of a hub that keeps all of a test's events, for shards that begin a stream late.
fn keeping_all() -> Options {
    shards(2).history_events_max(10_000).history_bytes_max(64 << 20)
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn publish(hub: &Hub, name: &str, data: &str) -> String {
    let published = hub.publish_wait(&topic(name), data, DEADLINE).unwrap();
    published.id().unwrap().to_string()
}

fn subscribe(hub: &Hub, name: &str, options: StreamOptions) -> EventStream {
    hub.subscribe([Subscription::new(name).unwrap()], options).unwrap()
}

fn now(hub: &Hub, name: &str) -> EventStream {
    subscribe(hub, name, StreamOptions::default())
}

/// A reader that parses what it reads.
struct Reader {
    stream: EventStream,
    parser: Parser,
    messages: VecDeque<Message>,
}

impl Reader {
    fn new(stream: EventStream) -> Reader {
        Reader { stream, parser: Parser::default(), messages: VecDeque::new() }
    }

    fn message(&mut self) -> Message {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            let batch = self.stream.wait(DEADLINE).expect("an event").expect("no cut");
            self.parser.feed(&batch, &mut self.messages);
        }
    }

    fn data(&mut self) -> String {
        self.message().data
    }

    /// The data of all events up to the end, and how it ends.
    fn rest(mut self) -> (Vec<String>, Result<(), Disconnected>, DisconnectReason) {
        let end = loop {
            match self.stream.wait(DEADLINE) {
                Some(Ok(batch)) => self.parser.feed(&batch, &mut self.messages),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        let all = self.messages.drain(..).map(|message| message.data).collect();
        assert!(self.stream.wait(Duration::ZERO).is_none() && self.stream.try_next().is_none());
        (all, end, self.stream.end_reason().expect("it has ended"))
    }
}

fn ended(hub: &Hub, reason: DisconnectReason) -> u64 {
    hub.metrics().disconnects(reason)
}

#[test]
fn what_is_published_after_the_call_comes_in_order_and_nothing_else() {
    let hub = start(shards(2));
    publish(&hub, "a", "before");
    for round in 0..50 {
        let mut reader = Reader::new(now(&hub, "a"));
        // Published before the shard may know of the stream.
        (0..3).for_each(|nth| _ = publish(&hub, "a", &format!("{round} {nth}")));
        publish(&hub, "b", "other");
        for nth in 0..3 {
            assert_eq!(reader.data(), format!("{round} {nth}"));
        }
    }
}

#[test]
fn without_history_nothing_is_lost_silently_and_mostly_nothing_at_all() {
    let hub = start(one_shard().history_events_max(0));
    for round in 0..100 {
        let mut reader = Reader::new(now(&hub, "a"));
        publish(&hub, "a", &round.to_string());
        let first = reader.message();
        assert!(first.data == round.to_string() || first.name == "fanfare-gap", "{first:?}");
    }
}

#[test]
fn a_stream_begins_where_it_is_to_begin() {
    let hub = start(one_shard());
    let ids: Vec<String> = (0..4).map(|nth| publish(&hub, "a", &nth.to_string())).collect();
    let options = StreamOptions::default();
    for (options, first) in [
        (options.clone().start(StartAt::Earliest), "0"),
        (options.clone().start(StartAt::Latest), "3"),
        (options.clone().start(StartAt::Last(2)), "2"),
        (options.clone().last_event_id(&*ids[0]), "1"),
        (options.clone().last_event_id("").start(StartAt::Latest), "3"),
    ] {
        assert_eq!(Reader::new(subscribe(&hub, "a", options)).data(), first);
    }
    let lost = subscribe(&hub, "a", options.last_event_id("unknown"));
    assert_eq!(Reader::new(lost).message().name, "fanfare-gap");
}

#[test]
fn a_socket_and_a_reader_get_the_same() {
    let (hub, listener) = serve(one_shard());
    let request = "GET /events?topic=a HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let mut client = Client::send(listener.local_addr(), request);
    let mut reader = Reader::new(now(&hub, "a"));
    wait_until("both are there", || hub.metrics().connections == 2);
    let data: Vec<String> = (0..2_000).map(|nth| nth.to_string().repeat(1 + nth % 50)).collect();
    for data in &data {
        publish(&hub, "a", data);
    }
    for data in data {
        assert_eq!((reader.data(), client.data()), (data.clone(), data));
    }
}

#[test]
fn batches_are_shared_by_all_that_are_sent_the_same() {
    let hub = start(one_shard());
    let mut streams: Vec<_> = (0..3).map(|_| now(&hub, "a")).collect();
    for stream in &mut streams {
        stream.wait(DEADLINE).expect("its beginning").unwrap();
    }
    publish(&hub, "a", &"x".repeat(5_000));
    let batches: Vec<_> =
        streams.iter_mut().map(|stream| stream.wait(DEADLINE).unwrap().unwrap()).collect();
    assert!(batches.windows(2).all(|two| two[0].as_ptr() == two[1].as_ptr()));
}

#[test]
fn a_finished_topic_ends_it_and_one_that_comes_late_is_complete() {
    let hub = start(one_shard());
    let reader = Reader::new(now(&hub, "run"));
    publish(&hub, "run", "one");
    let last = hub.finish_wait(&topic("run"), Some("two".into()), DEADLINE).unwrap();
    let (all, end, reason) = reader.rest();
    assert_eq!((all, end), (vec!["one".to_owned(), "two".to_owned()], Ok(())));
    assert_eq!(reason, DisconnectReason::Finished);
    let had_all = StreamOptions::default().last_event_id(last.id().unwrap().to_string());
    let mut late = subscribe(&hub, "run", had_all);
    assert!(late.is_complete() && late.end_reason() == Some(DisconnectReason::Finished));
    assert!(late.wait(DEADLINE).is_none());
    assert_eq!(hub.metrics().finished_answers, 1);
    let missed = subscribe(&hub, "run", StreamOptions::default().start(StartAt::Earliest));
    assert!(!missed.is_complete());
    assert_eq!(Reader::new(missed).rest().0, ["one", "two"]);
}

#[test]
fn each_end_in_order_is_an_end_and_says_its_reason() {
    let expect = |stream: EventStream, expected: DisconnectReason| {
        let (_, end, reason) = Reader::new(stream).rest();
        assert_eq!((end, reason), (Ok(()), expected));
    };
    let hub = start(one_shard());
    let kicked = now(&hub, "a");
    wait_until("it has begun", || kicked.id().is_some());
    let one = ConnectionSelector::One(kicked.id().unwrap());
    assert_eq!(hub.disconnect(&one, Duration::from_secs(1)).unwrap(), 1);
    expect(kicked, DisconnectReason::Kicked);
    let drained = now(&hub, "a");
    wait_until("it has begun", || drained.id().is_some());
    hub.drain(DrainOptions::default().window(Duration::ZERO));
    expect(drained, DisconnectReason::Drained);
    let refused = hub.subscribe([topic("a").into()], StreamOptions::default());
    assert_eq!(refused.unwrap_err(), SubscribeError::Closed);

    let hub = start(one_shard());
    let closed = now(&hub, "a");
    publish(&hub, "a", "last");
    close(&hub);
    let (all, end, reason) = Reader::new(closed).rest();
    assert_eq!((end, reason), (Ok(()), DisconnectReason::Closed));
    assert_eq!(all, ["last"], "what was published before the close is sent");
}

#[test]
fn a_reader_whose_queue_is_full_is_told_to_come_again_all_the_same() {
    let tell = |lags: bool, end: &dyn Fn(&Hub)| {
        let hub = start(keeping_all());
        // Its first block fills it.
        let mut stream = subscribe(&hub, "a", StreamOptions::default().queue_bytes_max(1));
        wait_until("it has begun", || stream.id().is_some());
        if lags {
            (0..3).for_each(|_| _ = publish(&hub, "a", "x"));
            let lagging = ConnectionFilter::default().lagging(true);
            wait_until("it lags", || hub.connections(&lagging).unwrap().len() == 1);
        }
        end(&hub);
        wait_until("it has ended", || hub.metrics().connections == 0);
        let mut text = String::new();
        while let Some(batch) = stream.wait(DEADLINE) {
            text.push_str(std::str::from_utf8(&batch.expect("no cut")).unwrap());
        }
        let mut retries = text.lines().filter_map(|line| line.strip_prefix("retry: "));
        let retry: u64 = retries.next_back().expect("it is told").parse().unwrap();
        assert!((30_000..=60_000).contains(&retry) && text.ends_with("\n\n"), "{text}");
        stream.end_reason().unwrap()
    };
    let retry = Duration::from_secs(30);
    let drain = |hub: &Hub| {
        hub.drain(DrainOptions::default().window(Duration::ZERO).retry(retry));
    };
    let kick = |hub: &Hub| {
        hub.disconnect(&ConnectionSelector::All, retry).unwrap();
    };
    assert_eq!(tell(false, &drain), DisconnectReason::Drained);
    assert_eq!(tell(false, &kick), DisconnectReason::Kicked);
    assert_eq!(tell(true, &kick), DisconnectReason::Kicked);
}

#[test]
fn a_hub_that_closes_begins_the_streams_that_were_asked_for_and_sends_what_was_published() {
    let (hub, mut drivers) = Hub::with_drivers(one_shard()).unwrap();
    // More than a shard looks at in one turn.
    let streams: Vec<EventStream> = (0..500).map(|_| now(&hub, "a")).collect();
    publish(&hub, "a", "x");
    hub.close();
    futures_lite::future::block_on(drivers.pop().unwrap().drive()).unwrap();
    for mut stream in streams {
        let mut text = Vec::new();
        while let Some(batch) = stream.wait(DEADLINE) {
            text.extend_from_slice(&batch.unwrap());
        }
        assert!(String::from_utf8(text).unwrap().contains("data: x\n"));
        assert_eq!(stream.end_reason(), Some(DisconnectReason::Closed));
    }
}

#[test]
fn a_shard_that_is_gone_ends_its_streams() {
    let (hub, drivers) = Hub::with_drivers(one_shard()).unwrap();
    let before = now(&hub, "a");
    drop(drivers);
    let (_, end, reason) = Reader::new(before).rest();
    assert_eq!((end.unwrap_err().reason, reason), (reason, DisconnectReason::Error));
    let refused = hub.subscribe([topic("a").into()], StreamOptions::default());
    assert_eq!(refused.unwrap_err(), SubscribeError::Closed);
    assert_eq!((hub.metrics().subscriptions, hub.metrics().connections), (0, 0));
}

#[test]
fn a_reader_that_stops_is_cut_and_keeps_what_it_was_given_before_the_error() {
    let options = Options::default()
        .shards(1)
        .lag_bytes_max(100_000)
        .lag_grace(Duration::ZERO)
        .history_events_max(0);
    let hub = start(options);
    let stream = subscribe(&hub, "a", StreamOptions::default().queue_bytes_max(20_000));
    let data = "x".repeat(1_000);
    let mut published = 0;
    wait_until("it is cut", || {
        publish(&hub, "a", &data);
        published += 1;
        ended(&hub, DisconnectReason::Lagging) == 1
    });
    let (all, end, reason) = Reader::new(stream).rest();
    assert_eq!(end.unwrap_err().reason, DisconnectReason::Lagging);
    assert_eq!(reason, DisconnectReason::Lagging);
    assert!((10..published).contains(&all.len()), "{} of {published}", all.len());
}

#[test]
fn a_reader_that_takes_nothing_is_stalled() {
    let options = Options::default().shards(1).stall_time_max(Duration::from_millis(100));
    let hub = start(options);
    let options = StreamOptions::default().policy(Policy::DropOldest).queue_bytes_max(1);
    let stream = subscribe(&hub, "a", options);
    (0..10).for_each(|nth| _ = publish(&hub, "a", &nth.to_string()));
    wait_until("it is ended", || ended(&hub, DisconnectReason::Stalled) == 1);
    assert_eq!(Reader::new(stream).rest().1.unwrap_err().reason, DisconnectReason::Stalled);
}

#[test]
fn a_slow_reader_is_told_of_what_was_dropped_and_goes_on() {
    let options = shards(1).lag_bytes_max(10_000).policy(Policy::DropOldest);
    let hub = start(options);
    let stream = subscribe(&hub, "a", StreamOptions::default().queue_bytes_max(5_000));
    wait_until("it has begun", || stream.id().is_some());
    (0..1_000).for_each(|nth| _ = publish(&hub, "a", &format!("{nth} {}", "x".repeat(500))));
    publish(&hub, "a", "last");
    let (mut reader, mut events, mut missed) = (Reader::new(stream), 0, 0);
    loop {
        let message = reader.message();
        if message.name == "fanfare-gap" {
            let count = message.data.split_once("\"missed\":").expect("an exact count").1;
            let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
            missed += digits.parse::<usize>().unwrap();
            continue;
        }
        events += 1;
        if message.data == "last" {
            break;
        }
    }
    assert_eq!(events + missed, 1_001);
    assert!(missed > 0 && events > 1, "{missed} are missing");
}

#[test]
fn to_drop_it_is_to_disconnect_and_is_seen_at_once() {
    let hub = start(one_shard().heartbeat(Duration::ZERO));
    let notices = hub.notices(100);
    let tagged = StreamOptions::default().tag("7").addr("192.0.2.1:9".parse().unwrap());
    let stream = subscribe(&hub, "a", tagged);
    let begun = notices.wait(DEADLINE).expect("it begins");
    assert_eq!((begun.kind, Some(begun.id)), (NoticeKind::Connected, stream.id()));
    let listed = hub.connections(&ConnectionFilter::default().tag("7")).unwrap();
    assert_eq!((listed.len(), listed[0].addr), (1, "192.0.2.1:9".parse().ok()));
    drop(stream);
    let ended = notices.wait(DEADLINE).expect("it ends");
    let NoticeKind::Disconnected { reason, .. } = ended.kind else { panic!("{ended:?}") };
    assert_eq!(reason, DisconnectReason::ClientClosed);
    wait_until("it is counted no more", || hub.metrics().connections == 0);
}

#[test]
fn its_topics_can_be_changed() {
    let hub = start(one_shard());
    let mut reader = Reader::new(now(&hub, "a"));
    publish(&hub, "a", "first");
    assert_eq!(reader.data(), "first");
    let id = reader.stream.id().unwrap();
    assert!(hub.set_subscriptions(id, &[topic("b").into()]).unwrap());
    publish(&hub, "a", "not for it");
    publish(&hub, "b", "second");
    assert_eq!(reader.data(), "second");
}

#[test]
fn the_bounds_on_connections_and_subscriptions_hold() {
    let options = one_shard().connections_max(3).subscriptions_max(5);
    let hub = start(options.connections_per_address_max(2));
    let from = |last: u8| StreamOptions::default().addr(([192, 0, 2, last], 1).into());
    let ask = |names: &[&str], options| {
        hub.subscribe(names.iter().map(|name| Subscription::new(name).unwrap()), options)
    };
    let held = [ask(&["a"], from(1)).unwrap(), ask(&["a", "b"], from(1)).unwrap()];
    let too_many = Err(SubscribeError::TooManyConnections);
    assert_eq!(ask(&["a"], from(1)).map(drop), too_many);
    assert_eq!(ask(&["a", "b", "c"], from(2)).map(drop), Err(SubscribeError::TooManySubscriptions));
    let third = ask(&["a"], StreamOptions::default()).unwrap();
    assert_eq!(ask(&["a"], StreamOptions::default()).map(drop), too_many);
    assert_eq!(ask(&[], from(2)).map(drop), Err(SubscribeError::NoSubscription));
    let wrong = ask(&["a"], StreamOptions::default().tag("")).unwrap_err();
    assert!(matches!(wrong, SubscribeError::Options(_)), "{wrong}");
    drop((held, third));
    wait_until("they are gone", || hub.metrics().subscriptions == 0);
    drop(ask(&["a"], from(1)).unwrap());
}

#[test]
fn it_is_kept_open_by_heartbeats() {
    let hub = start(one_shard().heartbeat(Duration::from_millis(100)));
    let mut stream = now(&hub, "a");
    for _ in 0..4 {
        assert!(!stream.wait(DEADLINE).expect("a heartbeat").unwrap().is_empty());
    }
}

/// Reads a stream to its end under any executor.
async fn collect(mut stream: EventStream) -> Vec<String> {
    let (mut parser, mut all) = (Parser::default(), VecDeque::new());
    while let Some(batch) = stream.next_async().await {
        parser.feed(&batch.expect("no cut"), &mut all);
    }
    all.into_iter().map(|message| message.data).collect()
}

#[test]
fn a_thousand_streams_are_read_under_an_executor_that_drives_the_shards_too() {
    let (hub, drivers) = Hub::with_drivers(shards(2)).unwrap();
    drivers.into_iter().for_each(|driver| smol::spawn(driver.drive()).detach());
    let readers: Vec<_> = (0..1_000).map(|_| smol::spawn(collect(now(&hub, "run")))).collect();
    let expected: Vec<String> = (0..200).map(|nth| nth.to_string()).collect();
    smol::block_on(async {
        for data in &expected[..199] {
            hub.publish_async(&topic("run"), data.as_str()).await.unwrap();
        }
        hub.finish_async(&topic("run"), Some(Event::new("199"))).await.unwrap();
        for reader in readers {
            assert_eq!(reader.await, expected);
        }
        hub.close_async().await;
    });
}

#[test]
fn it_is_read_by_threads_by_an_iterator_and_by_a_bare_block_on() {
    let hub = start(keeping_all());
    let readers: Vec<_> = (0..4)
        .map(|nth| {
            let stream = now(&hub, "run");
            std::thread::spawn(move || match nth % 2 {
                0 => smol::future::block_on(collect(stream)),
                _ => {
                    let (mut parser, mut all) = (Parser::default(), VecDeque::new());
                    for batch in stream {
                        parser.feed(&batch.expect("no cut"), &mut all);
                    }
                    all.into_iter().map(|message| message.data).collect()
                }
            })
        })
        .collect();
    let expected: Vec<String> = (0..5_000).map(|nth| nth.to_string()).collect();
    expected.iter().for_each(|data| _ = publish(&hub, "run", data));
    hub.finish_wait(&topic("run"), None, DEADLINE).unwrap();
    for reader in readers {
        let received = reader.join().unwrap();
        assert!(received == expected, "{} events, first {:?}", received.len(), received.first());
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_reader_is_woken_once_for_each_time_that_it_found_nothing() {
    let hub = start(one_shard().heartbeat(Duration::ZERO));
    let (mut stream, wakes) = (now(&hub, "a"), Arc::new(Wakes::default()));
    let waker = wakes.clone().into();
    let mut poll = || Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker));
    let count = || wakes.0.load(Ordering::SeqCst);
    let read_all = |poll: &mut dyn FnMut() -> Poll<_>| while poll().is_ready() {};
    wait_until("it begins", || poll().is_ready());
    read_all(&mut poll);
    let (mut before, begun) = (count(), Instant::now());
    for round in 0..50 {
        (0..3).for_each(|nth| _ = publish(&hub, "a", &format!("{round} {nth}")));
        wait_until("it is woken", || count() > before);
        wait_until("all is sent", || hub.metrics().backlog_bytes == 0);
        assert_eq!(count(), before + 1, "after {:?}", begun.elapsed());
        read_all(&mut poll);
        before = count();
    }
}

#[test]
fn a_reader_that_is_dropped_while_others_are_woken_takes_nothing_from_them() {
    let hub = start(keeping_all());
    let (done, all_done) = mpsc::channel();
    for nth in 0..50 {
        let (stream, done) = (now(&hub, "run"), done.clone());
        smol::spawn(async move {
            match nth % 2 {
                0 => drop(done.send(collect(stream).await.len())),
                _ => {
                    // Some are dropped with the future that reads, in the middle.
                    let end = smol::Timer::after(Duration::from_millis(nth));
                    let read = async { drop(collect(stream).await) };
                    smol::future::or(read, async { _ = end.await }).await;
                }
            }
        })
        .detach();
    }
    drop(done);
    (0..2_000).for_each(|nth| _ = publish(&hub, "run", &nth.to_string()));
    hub.finish_wait(&topic("run"), None, DEADLINE).unwrap();
    for _ in 0..25 {
        assert_eq!(all_done.recv_timeout(DEADLINE).unwrap(), 2_000);
    }
    wait_until("all have ended", || hub.metrics().subscriptions == 0);
    wait_until("none is left", || hub.metrics().connections == 0);
}
