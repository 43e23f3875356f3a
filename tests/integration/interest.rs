//! What a host is told of topics that get their first subscriber and lose their last, over real
//! sockets.

use std::collections::HashMap;
use std::future::Future;
use std::io::Write;
use std::net::TcpStream;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use fanfare::{
    ConnectionFilter, ConnectionSelector, Hub, InterestError, InterestKind, InterestNotice,
    InterestNotices, Options, Subscription, Topic,
};

use crate::support::{close, one_shard, serve, shards, start, wait_until, Client, DEADLINE};

/// Longer than any test.
const HOUR: Duration = InterestNotices::GRACE_MAX;

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

fn watch(hub: &Hub, text: &str, grace: Duration) -> InterestNotices {
    hub.watch_interest(&subscription(text), grace).unwrap()
}

/// The next notice as a text: `+a` for the first subscriber of `a`, and `-a` for the last.
fn text_of(notice: InterestNotice) -> String {
    match notice.kind {
        InterestKind::Subscribed => format!("+{}", notice.subscription),
        _ => format!("-{}", notice.subscription),
    }
}

fn next(interest: &InterestNotices) -> String {
    text_of(interest.wait(DEADLINE).expect("a notice comes in time"))
}

fn waiting(interest: &InterestNotices) -> Vec<String> {
    std::iter::from_fn(|| interest.try_next()).map(text_of).collect()
}

fn wait_until_gone(hub: &Hub) {
    wait_until("all clients are gone", || {
        let metrics = hub.metrics();
        metrics.connections == 0 && metrics.subscriptions == 0
    });
}

#[test]
fn a_host_is_told_of_the_first_subscriber_and_of_the_last_on_whichever_shards_they_are() {
    let (hub, listener) = serve(shards(2));
    let interest = watch(&hub, "sensor/#", Duration::ZERO);
    let before = SystemTime::now();
    let addr = listener.local_addr();
    let mut clients: Vec<Client> =
        (0..20).map(|_| Client::get(addr, "/events?topic=sensor/1")).collect();
    let first = interest.wait(DEADLINE).unwrap();
    assert!(first.at >= before && first.at <= SystemTime::now());
    assert_eq!(text_of(first), "+sensor/1");
    let other = Client::get(addr, "/events?topic=news&topic=sensor/2");
    assert_eq!(next(&interest), "+sensor/2");
    while clients.len() > 1 {
        drop(clients.pop());
    }
    wait_until("one client of the topic is left", || hub.metrics().connections == 2);
    assert_eq!(waiting(&interest), Vec::<String>::new());
    drop(clients);
    assert_eq!(next(&interest), "-sensor/1");
    drop(other);
    assert_eq!(next(&interest), "-sensor/2");
    let _again = Client::get(addr, "/events?topic=sensor/1");
    assert_eq!(next(&interest), "+sensor/1");
    assert_eq!((interest.waiting(), hub.metrics().interest_watchers), (0, 1));
    drop(interest);
    assert_eq!(hub.metrics().interest_watchers, 0);
}

#[test]
fn a_request_that_is_not_answered_yet_is_no_subscriber() {
    let (hub, listener) = serve(one_shard());
    let interest = watch(&hub, "#", Duration::ZERO);
    let mut half = TcpStream::connect(listener.local_addr()).unwrap();
    half.write_all(b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    wait_until("it is there", || hub.metrics().pending_connections == 1);
    assert_eq!(Client::get(listener.local_addr(), "/events?topic=a/%23/b").status(), 400);
    assert_eq!(waiting(&interest), Vec::<String>::new());
    half.write_all(b"\r\n").unwrap();
    assert_eq!(next(&interest), "+a");
}

#[test]
fn a_page_that_is_reloaded_within_the_grace_time_is_told_of_once() {
    let (hub, listener) = serve(shards(2));
    let interest = watch(&hub, "run/+", HOUR);
    let addr = listener.local_addr();
    let mut page = Client::get(addr, "/events?topic=run/7");
    assert_eq!(next(&interest), "+run/7");
    for _ in 0..5 {
        drop(page);
        wait_until_gone(&hub);
        page = Client::get(addr, "/events?topic=run/7&last=10");
    }
    let _other = Client::get(addr, "/events?topic=run/8");
    assert_eq!(next(&interest), "+run/8");
    assert_eq!(waiting(&interest), Vec::<String>::new());
}

#[test]
fn the_end_of_the_grace_time_is_told_where_nobody_is_connected_and_nothing_is_kept() {
    const GRACE: Duration = Duration::from_millis(300);
    let (hub, listener) = serve(one_shard().history_events_max(0));
    let interest = watch(&hub, "a", GRACE);
    let late = (0..20).map(|_| {
        drop(Client::get(listener.local_addr(), "/events?topic=a"));
        assert_eq!(next(&interest), "+a");
        let gone = interest.wait(DEADLINE).unwrap();
        let after = gone.at.elapsed().unwrap();
        assert_eq!(text_of(gone), "-a");
        assert!(after >= GRACE, "{after:?}");
        after - GRACE
    });
    // The machine may be busy, but not each time.
    let in_time = |late: Duration| late < Duration::from_millis(200);
    assert!({ late }.any(in_time), "it is told with the next tick");
}

#[test]
fn a_host_that_takes_no_notice_for_a_while_is_told_how_it_is_then() {
    let (hub, listener) = serve(shards(2));
    let interest = watch(&hub, "#", Duration::ZERO);
    let addr = listener.local_addr();
    let get = |nth: usize| Client::get(addr, &format!("/events?topic=t/{nth}"));
    let early: Vec<Client> = (0..10).map(get).collect();
    let mut told: HashMap<String, bool> = HashMap::new();
    let mut take = |most: usize| {
        for notice in std::iter::from_fn(|| interest.try_next()).take(most) {
            let is_first = notice.kind == InterestKind::Subscribed;
            let before = told.insert(notice.subscription.to_string(), is_first);
            assert_ne!(before.unwrap_or(false), is_first, "{}", notice.subscription);
        }
        told.values().filter(|is_first| **is_first).count()
    };
    assert_eq!(take(6), 6);
    // The host takes nothing while these come and go again and again.
    drop(early);
    wait_until_gone(&hub);
    for _ in 0..5 {
        let some: Vec<Client> = (0..30).map(get).collect();
        assert!(interest.waiting() <= 30 + 6, "{}", interest.waiting());
        drop(some);
        wait_until_gone(&hub);
    }
    let left: Vec<Client> = (4..12).map(get).collect();
    // Of the topics 0 to 5 the host was told; 4 and 5 have a subscriber again.
    assert_eq!(hub.metrics().owed_interest_notices, 4 + 6);
    assert_eq!(take(1), 5, "it is told of a last subscriber first, as that went first");
    assert_eq!(take(100), left.len());
    assert_eq!(interest.waiting(), 0);
}

#[test]
fn a_host_is_told_of_clients_filters_that_may_match_what_it_watches() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let early = Client::get(addr, "/events?topic=sensor/%23&topic=%2B/7&topic=news/%23");
    let topic = watch(&hub, "sensor/7", Duration::ZERO);
    let filter = watch(&hub, "sensor/+/c", Duration::ZERO);
    let mut first = waiting(&topic);
    first.sort_unstable();
    assert_eq!(first, ["++/7", "+sensor/#"]);
    assert_eq!(waiting(&filter), ["+sensor/#"]);
    let more = Client::get(addr, "/events?topic=%23&topic=sensor/7/c/%23&topic=$load/%23");
    let mut both: Vec<String> = (0..2).map(|_| next(&filter)).collect();
    both.sort_unstable();
    assert_eq!(both, ["+#", "+sensor/7/c/#"]);
    assert_eq!(next(&topic), "+#");
    drop((early, more));
    wait_until_gone(&hub);
    let gone = |interest: &InterestNotices| {
        let mut gone = waiting(interest);
        gone.sort_unstable();
        gone
    };
    assert_eq!(gone(&topic), ["-#", "-+/7", "-sensor/#"]);
    assert_eq!(gone(&filter), ["-#", "-sensor/#", "-sensor/7/c/#"]);
}

#[test]
fn a_topic_that_a_stream_keeps_when_its_topics_are_changed_is_not_told_of() {
    let (hub, listener) = serve(one_shard());
    let interest = watch(&hub, "#", Duration::ZERO);
    let _client = Client::get(listener.local_addr(), "/events?topic=a&topic=b");
    let mut first = [next(&interest), next(&interest)];
    first.sort_unstable();
    assert_eq!(first, ["+a", "+b"]);
    let id = hub.connections(&ConnectionFilter::default()).unwrap()[0].id;
    let change = |to: &[&str]| {
        let to: Vec<Subscription> = to.iter().map(|text| subscription(text)).collect();
        assert_eq!(hub.set_subscriptions(id, &to), Ok(true));
    };
    change(&["b", "c"]);
    assert_eq!(waiting(&interest), ["+c", "-a"]);
    change(&["b"]);
    assert_eq!(waiting(&interest), ["-c"]);
    change(&["b", "+"]);
    change(&["+"]);
    assert_eq!(waiting(&interest), ["++", "-b"]);
}

#[test]
fn a_client_that_lags_is_a_subscriber_until_its_stream_ends() {
    let (hub, listener) = serve(one_shard().lag_bytes_max(64 << 20).lag_grace(Duration::ZERO));
    let interest = watch(&hub, "a", Duration::ZERO);
    let slow = Client::get(listener.local_addr(), "/events?topic=a");
    let data = "x".repeat(1 << 20);
    let mut published = 0;
    while hub.metrics().lagging_connections == 0 {
        hub.publish_wait(&Topic::new("a").unwrap(), &*data, DEADLINE).unwrap();
        published += 1;
        assert!(published < 100, "the socket takes everything");
    }
    assert_eq!(waiting(&interest), ["+a"]);
    assert_eq!(hub.disconnect(&ConnectionSelector::All, Duration::ZERO), Ok(1));
    assert_eq!(next(&interest), "-a");
    drop(slow);
}

#[test]
fn when_the_hub_is_closed_each_topic_is_told_as_left_and_then_the_notices_end() {
    let (hub, listener) = serve(shards(2));
    let interest = watch(&hub, "#", HOUR);
    let addr = listener.local_addr();
    let _clients = ["a", "b", "c"].map(|name| {
        let client = Client::get(addr, &format!("/events?topic={name}"));
        assert_eq!(next(&interest), format!("+{name}"));
        client
    });
    close(&hub);
    assert!(!interest.is_ended());
    let mut told: Vec<String> = interest.clone().map(text_of).collect();
    told.sort_unstable();
    assert_eq!(told, ["-a", "-b", "-c"]);
    assert!(interest.is_ended() && watch(&hub, "#", HOUR).is_ended());
}

#[test]
fn what_no_hub_watches_is_an_error_that_says_what_to_do() {
    let hub = start(Options::default().shards(1));
    let all = subscription("#");
    let too_long = hub.watch_interest(&all, HOUR + Duration::from_nanos(1)).unwrap_err();
    assert_eq!(too_long, InterestError::GraceTooLong);
    assert_eq!(too_long.to_string(), "the grace time is longer than 3600 s; give a shorter one");
    let watchers: Vec<InterestNotices> = (0..64).map(|_| watch(&hub, "#", HOUR)).collect();
    let too_many = hub.watch_interest(&all, HOUR).unwrap_err();
    assert_eq!(too_many, InterestError::TooManyWatchers);
    assert!(too_many.to_string().contains("64 watchers of interest; drop one"), "{too_many}");
    drop(watchers);
    assert_eq!(waiting(&watch(&hub, "#", HOUR)), Vec::<String>::new());
}

/// A task's waker that uses the hub at once, on whichever thread wakes it.
struct Eager {
    hub: Hub,
    wakes: AtomicUsize,
}

impl Wake for Eager {
    fn wake(self: Arc<Eager>) {
        self.hub.publish(&Topic::new("a").unwrap(), "woken").unwrap();
        assert_eq!(self.hub.metrics().interest_watchers, 1);
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_a_notice_wakes_may_publish_at_once() {
    let (hub, listener) = serve(one_shard());
    let interest = watch(&hub, "a", Duration::from_millis(50));
    let eager = Arc::new(Eager { hub: hub.clone(), wakes: AtomicUsize::new(0) });
    let waker = Waker::from(eager.clone());
    let mut context = Context::from_waker(&waker);
    let mut client = None;
    for expected in ["+a", "-a", "+a", "-a"] {
        let mut notice = pin!(interest.next_async());
        assert!(notice.as_mut().poll(&mut context).is_pending());
        let wakes = eager.wakes.load(Ordering::SeqCst);
        client = match client {
            None => Some(Client::get(listener.local_addr(), "/events?topic=a")),
            Some(_) => None,
        };
        wait_until("the task is woken", || eager.wakes.load(Ordering::SeqCst) > wakes);
        match notice.as_mut().poll(&mut context) {
            Poll::Ready(notice) => assert_eq!(text_of(notice.unwrap()), expected),
            Poll::Pending => panic!("it was woken for nothing"),
        }
    }
}

#[test]
fn a_producer_that_follows_the_notices_publishes_only_while_a_client_is_there() {
    let (hub, listener) = serve(shards(2));
    let interest = watch(&hub, "sensor/#", Duration::ZERO);
    let topic = Topic::new("sensor/1").unwrap();
    let producer = std::thread::spawn({
        let (hub, topic) = (hub.clone(), topic.clone());
        move || {
            let (mut wanted, mut readings) = (Vec::<Subscription>::new(), 0);
            loop {
                let is_wanted = wanted.iter().any(|what| what.matches(&topic));
                let notice = match is_wanted {
                    true => interest.try_next(),
                    false => interest.wait(DEADLINE),
                };
                match notice {
                    Some(notice) if notice.kind == InterestKind::Subscribed => {
                        wanted.push(notice.subscription);
                    }
                    Some(notice) => wanted.retain(|what| *what != notice.subscription),
                    None if interest.is_ended() => return readings,
                    None => {
                        let reading = hub.publish_wait(&topic, readings.to_string(), DEADLINE);
                        readings += u64::from(reading.is_ok());
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        }
    });
    let addr = listener.local_addr();
    for path in ["/events?topic=sensor/1", "/events?topic=%23", "/events?topic=sensor/%2B"] {
        let mut client = Client::get(addr, path);
        let first: u64 = client.data().parse().unwrap();
        assert_eq!(client.data(), (first + 1).to_string());
        drop(client);
        wait_until_gone(&hub);
        // It has taken the notice when it makes a pause of many readings.
        let start = Instant::now();
        let mut pause = (hub.metrics().published_events, Instant::now());
        while pause.1.elapsed() < Duration::from_millis(100) {
            assert!(start.elapsed() < DEADLINE, "it goes on without any client");
            let published = hub.metrics().published_events;
            if published != pause.0 {
                pause = (published, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let published = hub.metrics().published_events;
    close(&hub);
    assert_eq!(producer.join().unwrap(), published);
}
