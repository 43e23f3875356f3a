//! Events that a crowd is sent evenly over a time.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare::{Event, EventError, Hub, PublishError, Topic};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Timer};

use crate::support::{close, one_shard, serve, shards, wait_until, Client, DEADLINE};

const CLIENTS: usize = 1_000;
const TENTH: Duration = Duration::from_millis(100);
/// What the fullest tenth of a second may have, by the mean.
const FULLEST_MAX: f64 = 1.3;
/// On a busy machine the process may get no core for a while, and then all that has come meanwhile
/// is seen at once. So it is tried again, and if it is never quiet, more is allowed.
const ATTEMPTS: usize = 10;
const FULLEST_MAX_IF_BUSY: f64 = 2.0;
/// How many times it may be uneven although the process always got a core soon.
const QUIET_FAILURES_MAX: usize = 2;
const QUIET: Duration = Duration::from_millis(15);

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// The time over which the crowd is sent its event. By hand it may be longer:
/// `FANFARE_SPREAD_SECONDS=10 cargo test --test integration evenly -- --nocapture`.
fn window() -> Duration {
    let given = std::env::var("FANFARE_SPREAD_SECONDS").ok();
    Duration::from_secs(given.map_or(2, |seconds| seconds.parse().expect("it is a number")))
}

/// A client that has its response's head. Every second one has a subscription that no other has.
async fn connect(addr: SocketAddr, nth: usize) -> Async<TcpStream> {
    let mut stream = Async::<TcpStream>::connect(addr).await.unwrap();
    let own = if nth.is_multiple_of(2) { String::new() } else { format!("&topic=own/{nth}") };
    let request = format!("GET /events?topic=crowd{own} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads until an event has come, and says when that was. Each event comes once.
async fn comes(stream: &mut Async<TcpStream>, data: &str) -> Instant {
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    let end = format!("data: {data}\n\n\r\n");
    while !text.ends_with(end.as_bytes()) {
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "the stream has ended");
        text.extend_from_slice(&bytes[..count]);
    }
    let at = Instant::now();
    assert_eq!(String::from_utf8_lossy(&text).matches("data: ").count(), 1);
    at
}

/// Has an event delivered to all clients over a window, and says when each got it, in order.
async fn deliver(
    executor: &LocalExecutor<'static>,
    hub: &Hub,
    clients: &mut Vec<Async<TcpStream>>,
    (data, window): (String, Duration),
) -> Vec<Duration> {
    let begun = Instant::now();
    hub.publish(&topic("crowd"), Event::new(&*data).with_window(window)).unwrap();
    let reads = clients.drain(..).map(|mut stream| {
        let data = data.clone();
        executor.spawn(async move { (comes(&mut stream, &data).await - begun, stream) })
    });
    let mut came = Vec::new();
    for read in reads.collect::<Vec<_>>() {
        let (at, stream) = read.await;
        came.push(at);
        clients.push(stream);
    }
    came.sort_unstable();
    came
}

/// Notes by how much a timer is late, until the end of the test.
async fn watch(late_ns_max: Arc<AtomicU64>) {
    const PAUSE: Duration = Duration::from_millis(2);
    loop {
        let begun = Instant::now();
        Timer::after(PAUSE).await;
        let late_ns = (begun.elapsed().saturating_sub(PAUSE)).as_nanos() as u64;
        late_ns_max.fetch_max(late_ns, Ordering::Relaxed);
    }
}

/// How many are in the tenth of a second that has the most, wherever that begins, by the mean.
fn fullest(came: &[Duration], window: Duration) -> f64 {
    let within = |nth: usize| came[nth..].iter().take_while(|&&at| at < came[nth] + TENTH).count();
    let most = (0..came.len()).map(within).max().unwrap_or(0);
    most as f64 * window.as_secs_f64() / TENTH.as_secs_f64() / came.len() as f64
}

#[test]
fn a_thousand_clients_are_sent_an_event_evenly_over_a_time() {
    let (hub, listener) = serve(shards(2).heartbeat(Duration::ZERO));
    let (addr, window) = (listener.local_addr(), window());
    let executor = LocalExecutor::new();
    let late_ns_max = Arc::new(AtomicU64::new(0));
    executor.spawn(watch(late_ns_max.clone())).detach();
    let test = async {
        let mut clients = Vec::new();
        for nth in 0..CLIENTS {
            clients.push(connect(addr, nth).await);
        }
        let (mut all, mut quiet_failures) = (Vec::new(), 0);
        for attempt in 0..ATTEMPTS {
            let event = (format!("number {attempt}"), window);
            late_ns_max.store(0, Ordering::Relaxed);
            let came = deliver(&executor, &hub, &mut clients, event).await;
            let (first, last) = (came[0], came[CLIENTS - 1]);
            let fullest = fullest(&came, window);
            let late = Duration::from_nanos(late_ns_max.load(Ordering::Relaxed));
            println!(
                "fullest 100 ms: {fullest:.3} of the mean; {first:?} to {last:?}; late by {late:?}"
            );
            // Nobody is early, however busy the machine is.
            for (nth, at) in came.iter().enumerate() {
                let share = window.mul_f64(nth as f64 / CLIENTS as f64);
                assert!(*at + TENTH > share, "number {nth} came after {at:?}");
            }
            if fullest <= FULLEST_MAX && last < window + TENTH {
                return;
            }
            all.push(fullest);
            quiet_failures += usize::from(late < QUIET);
            assert!(quiet_failures <= QUIET_FAILURES_MAX, "not even: {all:?}");
        }
        let best = all.iter().copied().fold(f64::MAX, f64::min);
        assert!(best <= FULLEST_MAX_IF_BUSY, "never even: {all:?}");
    };
    smol::block_on(executor.run(test));
}

#[test]
fn a_shard_in_an_executor_sends_an_event_over_its_time_too() {
    let (hub, drivers) = Hub::with_drivers(one_shard()).unwrap();
    let driven: Vec<_> = drivers.into_iter().map(|driver| smol::spawn(driver.drive())).collect();
    let listener = hub.listen("127.0.0.1:0", fanfare::ListenOptions::default()).unwrap();
    let mut clients: Vec<Client> =
        (0..20).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    let (begun, window) = (Instant::now(), Duration::from_secs(1));
    hub.publish(&topic("a"), Event::new("spread").with_window(window)).unwrap();
    wait_until("the first is served", || hub.metrics().delivered_events > 0);
    assert!(hub.metrics().delivered_events < 20 || begun.elapsed() > window);
    for client in &mut clients {
        assert_eq!(client.data(), "spread");
    }
    assert!(begun.elapsed() > window.mul_f64(0.9), "{:?}", begun.elapsed());
    wait_until("it is done", || hub.metrics().spread_deliveries == 0);
    close(&hub);
    driven.into_iter().for_each(|shard| smol::block_on(shard).unwrap());
}

#[test]
fn streams_are_as_they_would_be_without_and_nothing_waits_behind_the_event() {
    let (hub, listener) = serve(one_shard());
    let get = |query: &str| Client::get(listener.local_addr(), &format!("/events?{query}"));
    let (mut both, mut one) = (get("topic=a&topic=b"), get("topic=a"));
    let minutes = Duration::from_secs(300);
    hub.publish(&topic("a"), "before").unwrap();
    let id =
        hub.publish(&topic("a"), Event::new("spread").with_window(minutes)).unwrap().id().unwrap();
    let mut late = get("topic=a&last=1");
    assert_eq!(late.data(), "spread", "a client that asks for it does not wait");
    hub.publish(&topic("b"), "after").unwrap();
    assert_eq!([both.data(), both.data(), both.data()], ["before", "spread", "after"]);
    assert_eq!(one.data(), "before");
    // A client that goes while it waits, and comes back.
    let last = one.take_ids().pop().unwrap();
    drop(one);
    let mut again = get(&format!("topic=a&last-event-id={last}"));
    let message = again.next();
    assert_eq!((message.data, message.last_id), ("spread".to_owned(), id.to_string()));
    hub.publish(&topic("a"), "for all").unwrap();
    assert_eq!([late.data(), again.data(), both.data()], ["for all"; 3]);
    // What is spread is sent when the hub is closed.
    hub.publish(&topic("a"), Event::new("at last").with_window(minutes)).unwrap();
    close(&hub);
    for mut client in [late, again, both] {
        assert_eq!(client.data(), "at last");
        assert!(client.ends_cleanly());
    }
}

#[test]
fn what_cannot_be_spread_is_refused_and_waits_for_its_own_backlog() {
    let (hub, listener) = serve(one_shard().topic_backlog_bytes_max(100));
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    let (a, ms) = (topic("a"), Duration::from_millis);
    let too_long = Event::WINDOW_MAX + ms(1);
    let error = hub.publish(&a, Event::new("x").with_window(too_long)).unwrap_err();
    assert_eq!(error, PublishError::Invalid(EventError::WindowTooLong));
    assert!(error.to_string().contains("longer than 5 minutes"), "{error}");
    let large = "x".repeat(200);
    hub.publish(&a, Event::new(&*large).with_window(Event::WINDOW_MAX)).unwrap();
    assert_eq!(
        hub.publish(&a, Event::new("no space").with_window(ms(1))).unwrap_err(),
        PublishError::Full
    );
    let refused = hub.publish_wait(&a, Event::new("no space").with_window(ms(1)), ms(20));
    assert_eq!(refused.unwrap_err(), PublishError::Full);
    assert_eq!(
        hub.publish_wait(&a, Event::new("x").with_window(too_long), ms(20)).unwrap_err(),
        error
    );
    let full = hub.metrics().full_events;
    let waiting = std::thread::spawn({
        let (hub, a) = (hub.clone(), a.clone());
        move || {
            hub.publish_wait(
                &a,
                Event::new("waited").with_window(Duration::from_millis(1)),
                DEADLINE,
            )
        }
    });
    let also_waiting = smol::spawn({
        let (hub, a) = (hub.clone(), a.clone());
        async move {
            hub.publish_async(&a, Event::new("waited").with_window(Duration::from_millis(1))).await
        }
    });
    wait_until("both wait", || hub.metrics().full_events >= full + 2);
    hub.publish(&a, "the others have a backlog of their own").unwrap();
    waiting.join().unwrap().unwrap();
    smol::block_on(async {
        let late = async {
            Timer::after(DEADLINE).await;
            panic!("it still waits");
        };
        smol::future::or(also_waiting, late).await.unwrap();
    });
    let came: Vec<String> = (0..4).map(|_| client.data()).collect();
    assert_eq!(came[0], large);
    assert_eq!(came[2..], ["waited", "waited"]);
    hub.publish(&a, Event::new("at once").with_window(Duration::ZERO)).unwrap();
    assert_eq!(client.data(), "at once");
    close(&hub);
    assert_eq!(
        hub.publish(&a, Event::new("x").with_window(ms(1))).unwrap_err(),
        PublishError::Closed
    );
}
