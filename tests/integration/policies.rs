//! What happens to slow clients, over real sockets: of three clients one does not read.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fanfare::{
    ConnectionFilter, DisconnectReason, Event, EventError, GapReason, Hub, ListenOptions, Listener,
    Metrics, Options, Policy, PublishError, Topic,
};

use crate::support::sse::Message;
use crate::support::{one_shard, serve, serve_with, wait_until, Client, DEADLINE};

fn topic() -> Topic {
    Topic::new("a").unwrap()
}

/// Events of 4 KiB of which one in ten has no key, the others one of nine. Their data begins with
/// their number.
fn publish(hub: &Hub, number: usize) {
    let data = format!("{number} {}", "x".repeat(4_096));
    let event = Event::new(data);
    let event = match number % 10 {
        0 => event,
        key => event.with_key(format!("key-{key}")),
    };
    hub.publish_wait(&topic(), event, DEADLINE).unwrap();
}

fn number_of(message: &Message) -> usize {
    message.data.split(' ').next().unwrap().parse().unwrap()
}

/// Three clients, the first of which does not read, and `count` events, all of which the two others
/// get. Returns the slow client, and how many bytes were kept for it at most.
fn flood(policy: Policy, count: usize, choose: bool) -> (Hub, Listener, Client, u64) {
    let lag_bytes_max = 256 << 10;
    let hub_policy = if choose { Policy::Disconnect } else { policy };
    // The others never lag, as each event is read before the next.
    let lag_grace = Duration::ZERO;
    let options = one_shard().lag_bytes_max(lag_bytes_max).lag_grace(lag_grace).policy(hub_policy);
    // Without a large buffer of the kernel's it lags soon.
    let listen_options = ListenOptions::default().send_buffer_bytes(64 << 10);
    let (hub, listener) = serve_with(options, listen_options);
    let addr = listener.local_addr();
    let slow = match choose {
        true => Client::get(addr, &format!("/events?topic=a&policy={policy}")),
        false => Client::get(addr, "/events?topic=a"),
    };
    let mut others = [(); 2].map(|()| Client::get(addr, "/events?topic=a"));
    let mut kept_bytes = 0;
    for number in 0..count {
        publish(&hub, number);
        for client in &mut others {
            assert_eq!(number_of(&client.next()), number);
        }
        kept_bytes = kept_bytes.max(hub.metrics().lag_bytes);
    }
    drop(others);
    wait_until("the others are gone", || hub.metrics().connections <= 1);
    (hub, listener, slow, kept_bytes)
}

/// How many gap events were sent, which were all of slow clients.
fn gap_events(metrics: &Metrics) -> u64 {
    let all = || GapReason::all().map(|reason| metrics.gap_events(reason));
    assert_eq!(all().sum::<u64>(), metrics.gap_events(GapReason::Slow));
    metrics.gap_events(GapReason::Slow)
}

#[test]
fn a_slow_client_is_disconnected_and_the_others_get_everything() {
    let (hub, _listener, mut slow, kept_bytes) = flood(Policy::Disconnect, 2_000, false);
    wait_until("it is cut", || hub.metrics().connections == 0);
    assert_eq!(hub.metrics().disconnects(DisconnectReason::Lagging), 1);
    assert!(kept_bytes < 600 << 10, "{kept_bytes}");
    assert_eq!(number_of(&slow.next()), 0);
}

#[test]
fn a_slow_client_skips_events_and_is_told_what_it_missed_where_it_missed_it() {
    for choose in [false, true] {
        let count = 2_000;
        let (hub, _listener, mut slow, kept_bytes) = flood(Policy::DropOldest, count, choose);
        assert_eq!(hub.metrics().connections, 1);
        assert!(kept_bytes < 600 << 10, "{kept_bytes}");
        let (mut next, mut missed, mut gaps) = (0, 0, 0);
        let mut last_id = None::<String>;
        while next < count {
            let message = slow.next();
            if message.name != "fanfare-gap" {
                assert_eq!(number_of(&message), next);
                (next, last_id) = (next + 1, Some(message.last_id));
                continue;
            }
            let from = last_id.map_or("null".to_owned(), |id| format!("\"{id}\""));
            let to = message.last_id;
            let count: usize =
                message.data.rsplit_once(':').unwrap().1.trim_end_matches('}').parse().unwrap();
            let json = format!(r#"{{"from":{from},"to":"{to}","reason":"slow","missed":{count}}}"#);
            assert_eq!(message.data, json);
            assert!(to.ends_with(&format!("-{}", next + count)), "{to}");
            (next, missed, gaps) = (next + count, missed + count, gaps + 1);
            last_id = Some(to);
        }
        let metrics = hub.metrics();
        assert!(gaps > 0 && missed > 500, "{gaps} {missed}");
        assert_eq!((gap_events(&metrics), metrics.dropped_events), (gaps, missed as u64));
        wait_until("nothing is kept any more", || hub.metrics().lag_bytes == 0);
    }
}

#[test]
fn a_slow_client_that_wakes_up_gets_the_newest_event_of_each_key() {
    for choose in [false, true] {
        let count = 900;
        let (hub, _listener, mut slow, kept_bytes) = flood(Policy::Conflate, count, choose);
        assert!(kept_bytes < 600 << 10, "{kept_bytes}");
        let mut numbers = Vec::new();
        let mut told = 0;
        while numbers.last() != Some(&(count - 1)) {
            let message = slow.next();
            match message.name == "fanfare-gap" {
                true => told += 1,
                false => numbers.push(number_of(&message)),
            }
        }
        assert!(numbers.is_sorted());
        // The newest of each key, the last events without a key between them.
        let tail = &numbers[numbers.len() - 9..];
        assert_eq!(tail, (count - 9..count).collect::<Vec<_>>());
        let is_unkeyed = |number: &&usize| number.is_multiple_of(10);
        let unkeyed = numbers.iter().filter(is_unkeyed).count();
        assert!(numbers.len() < count - 300, "{}", numbers.len());
        // They take 360 KiB at most, which is more than may wait.
        assert!(unkeyed == count / 10 || told > 0, "{unkeyed}");
        let metrics = hub.metrics();
        assert!(metrics.conflated_events > 300 && gap_events(&metrics) == told);
        wait_until("nothing is kept any more", || hub.metrics().lag_bytes == 0);
    }
}

#[test]
fn a_key_means_something_in_its_topic_alone() {
    let options = one_shard().policy(Policy::Conflate).lag_bytes_max(64 << 10);
    let (hub, listener) = serve(options);
    let mut slow = Client::get(listener.local_addr(), "/events?topic=a&topic=b");
    let padding = "x".repeat(1_000);
    let topics = ["a", "b"].map(|name| Topic::new(name).unwrap());
    let mut count = 0;
    while hub.metrics().conflated_events < 1_000 {
        for topic in &topics {
            let event = Event::new(format!("{topic} {count} {padding}")).with_key("state");
            hub.publish_wait(topic, event, DEADLINE).unwrap();
        }
        count += 1;
        assert!(count < 100_000, "the client is never slow");
    }
    let newest = topics.map(|topic| format!("{topic} {} {padding}", count - 1));
    let mut before = String::new();
    loop {
        let data = slow.data();
        if data == newest[1] {
            break;
        }
        before = data;
    }
    assert_eq!(before, newest[0], "what b has is no news of a");
}

#[test]
fn no_publisher_waits_for_a_client_that_drops_or_conflates() {
    for policy in [Policy::DropOldest, Policy::Conflate] {
        let start = Instant::now();
        let grace = Duration::from_secs(120);
        let options = one_shard().policy(policy).lag_grace(grace);
        let (hub, listener) = serve(options.lag_bytes_max(64 << 10));
        let slow = Client::get(listener.local_addr(), "/events?topic=a");
        (0..4_000).for_each(|number| publish(&hub, number));
        assert_eq!(hub.metrics().held_batches, 0);
        assert!(start.elapsed() < grace / 2);
        drop(slow);
    }
}

fn status(addr: SocketAddr, policy: &str) -> u16 {
    Client::get(addr, &format!("/events?topic=a&policy={policy}")).status()
}

#[test]
fn a_client_chooses_only_among_the_policies_that_the_listener_allows() {
    let allow = |policies: &[Policy]| {
        serve_with(one_shard(), ListenOptions::default().policies(policies.iter().copied()))
    };
    let (_hub, listener) = allow(&Policy::all().collect::<Vec<_>>());
    for policy in Policy::all() {
        assert_eq!(status(listener.local_addr(), policy.as_str()), 200);
    }
    assert_eq!(status(listener.local_addr(), "fastest"), 400);
    let (_hub, listener) = allow(&[Policy::Disconnect]);
    assert_eq!(status(listener.local_addr(), "conflate"), 403);
    assert_eq!(status(listener.local_addr(), "disconnect"), 200);
    let (_hub, listener) = allow(&[]);
    assert_eq!(status(listener.local_addr(), "disconnect"), 403);
    assert_eq!(Client::get(listener.local_addr(), "/events?topic=a").status(), 200);
}

#[test]
fn a_client_may_by_default_choose_no_policy_for_which_publishers_would_wait_unless_the_hubs_is_such(
) {
    for policy in Policy::all() {
        let (_hub, listener) = serve(one_shard().policy(policy));
        let may_wait = policy == Policy::Disconnect;
        let expected = [if may_wait { 200 } else { 403 }, 200, 200];
        let addr = listener.local_addr();
        let chosen = Policy::all().map(|chosen| status(addr, chosen.as_str()));
        assert_eq!(chosen.collect::<Vec<_>>(), expected, "{policy}");
    }
}

/// Reads a stream slowly for as long as the others do: some bytes at a time, and comes back
/// whenever it is cut.
fn read_slowly(addr: SocketAddr, bytes: usize, ended: &AtomicBool) {
    let request = format!("GET /events?topic=%23 HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut buffer = vec![0; bytes];
    while !ended.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(addr) else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.write_all(request.as_bytes());
        while !ended.load(Ordering::Relaxed) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
}

/// How many events can be published in some time, without a pause.
fn publish_for(hub: &Hub, time: Duration) -> usize {
    let (start, data) = (Instant::now(), "x".repeat(1_000));
    let mut published = 0;
    while start.elapsed() < time {
        hub.publish_wait(&topic(), Event::new(&*data), DEADLINE).unwrap();
        published += 1;
    }
    published
}

#[test]
fn clients_that_read_slowly_and_come_back_do_not_slow_a_publisher_down() {
    // As a hub is by default: the bounds of slow clients are what this is about.
    let (hub, listener) = serve(Options::default().shards(1));
    let addr = listener.local_addr();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..10).map(|_| scope.spawn(|| read_slowly(addr, 20 << 10, &ended))).collect();
        wait_until("they are old enough to be waited for", || {
            let all = hub.connections(&ConnectionFilter::default()).unwrap();
            let age = |since: SystemTime| since.elapsed().unwrap_or_default();
            all.iter().filter(|one| age(one.since) > Duration::from_millis(2_100)).count() == 10
        });
        // They take 10 MB/s together, or 1 MB/s each.
        let time = Duration::from_secs(5);
        let published = publish_for(&hub, time);
        ended.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        let cut = hub.metrics().disconnects(DisconnectReason::Lagging);
        wait_until("they are gone", || hub.metrics().connections == 0);
        let alone = publish_for(&hub, time);
        println!("{published} events with slow readers, {alone} without; {cut} were cut");
        assert!(published > alone / 4, "{published} events with slow readers, {alone} without");
    });
}

#[test]
fn an_event_cannot_have_the_name_by_which_clients_are_told_of_a_gap() {
    let options = one_shard().gap_event("lost");
    let (hub, _listener) = serve(options);
    let refused = hub.publish(&topic(), Event::new("x").with_name("lost"));
    assert!(matches!(refused, Err(PublishError::Invalid(EventError::ReservedName))));
    assert!(hub.publish(&topic(), Event::new("x").with_name("fanfare-gap")).is_ok());
}
