//! Futures that serve shards and are dropped in the middle, under each executor: what their
//! clients, the other shards, publishers and the host see of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use fanfare::{
    DisconnectReason, DrainOptions, Event, EventId, Hub, InterestKind, InterestNotice,
    InterestNotices, ListenOptions, Listener, Metrics, NoticeKind, Notices, Options, PublishError,
    Topic,
};
use smol::future::{self, FutureExt as _};

use crate::support::driver::{Driven, Executor};
use crate::support::{one_shard, shards, wait_until, Client, DEADLINE};

const SHARDS: usize = 3;
/// No more than these may be there at once, so that what has ended must not count any more.
const CONNECTIONS_MAX: usize = 90;
/// The clients of each kind.
const READERS: usize = 24;
const LAGGARDS: usize = 6;
const COMING_BACK: usize = 6;
const SILENT: usize = 12;
/// More than sockets take.
const MUCH: usize = 1 << 20;

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// Bounds that let clients lag and replay for as long as a test takes.
fn options() -> Options {
    Options::default()
        .shards(SHARDS)
        .connections_max(CONNECTIONS_MAX)
        .lag_bytes_max(256 << 20)
        .lag_total_bytes_max(1 << 30)
        .lag_age_max(Duration::from_secs(600))
        .stall_time_max(Duration::ZERO)
        .event_bytes_max(2 * MUCH)
        .topic_backlog_bytes_max(64 << 20)
        .history_bytes_max(64 << 20)
        .history_total_bytes_max(256 << 20)
}

struct Fixture {
    hub: Hub,
    listener: Listener,
    driven: Vec<Driven>,
    notices: Notices,
}

impl Fixture {
    fn start(executor: Executor, options: Options) -> Fixture {
        let (hub, drivers) = Hub::with_drivers(options).unwrap();
        let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
        let notices = hub.notices(10_000);
        Fixture { driven: executor.drive(drivers), hub, listener, notices }
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn get(&self, query: &str) -> Client {
        Client::get(self.addr(), &format!("/events?{query}"))
    }

    fn publish(&self, name: &str, data: &str) -> EventId {
        self.hub.publish_wait(&topic(name), data, DEADLINE).unwrap().id().unwrap()
    }

    /// Clients that take nothing of what they are to be sent, live or out of the history.
    fn stopped(&self) -> Vec<Client> {
        let data = "x".repeat(MUCH);
        let first = self.publish("past", "0");
        for _ in 0..20 {
            self.publish("past", &data);
        }
        let lag = |nth| {
            let laggard = self.get(&format!("topic=lag/{nth}"));
            for _ in 0..10 {
                self.publish(&format!("lag/{nth}"), &data);
            }
            laggard
        };
        let mut stopped: Vec<Client> = (0..LAGGARDS).map(lag).collect();
        let come_back = || self.get(&format!("topic=past&last-event-id={first}"));
        stopped.extend((0..COMING_BACK).map(|_| come_back()));
        wait_until("they take nothing more", || {
            let Metrics { lagging_connections, replaying_connections, .. } = self.hub.metrics();
            lagging_connections + replaying_connections == (LAGGARDS + COMING_BACK) as u64
        });
        stopped
    }

    /// Connections that never say what they want.
    fn silent(&self) -> Vec<TcpStream> {
        let connect = |nth| {
            let mut stream = TcpStream::connect(self.addr()).unwrap();
            if nth % 2 == 0 {
                stream.write_all(b"GET /events?topic=a HT").unwrap();
            }
            stream
        };
        let silent = (0..SILENT).map(connect).collect();
        wait_until("they are accepted", || self.hub.metrics().pending_connections == SILENT as u64);
        silent
    }

    /// The streams whose end the host was told of, all of them for the reason that it has closed
    /// them.
    fn told_of_ends(&self) -> u64 {
        let mut count = 0;
        while let Some(notice) = self.notices.try_next() {
            if let NoticeKind::Disconnected { reason, .. } = notice.kind {
                assert_eq!(reason, DisconnectReason::Closed);
                count += 1;
            }
        }
        count
    }
}

/// The streams that have ended, all of them for the reason that the host has closed them.
fn closed(metrics: &Metrics) -> u64 {
    let others = DisconnectReason::all().filter(|&reason| reason != DisconnectReason::Closed);
    assert_eq!(others.map(|reason| metrics.disconnects(reason)).sum::<u64>(), 0);
    metrics.disconnects(DisconnectReason::Closed)
}

/// What a host is told of, which is all of one kind.
fn told_of_interest(interest: &InterestNotices, kind: InterestKind) -> BTreeSet<String> {
    let name = |notice: InterestNotice| {
        assert_eq!(notice.kind, kind);
        notice.subscription.to_string()
    };
    std::iter::from_fn(|| interest.try_next()).map(name).collect()
}

/// Publishes to a topic until it is told to stop: no more than readers may lag by that get no CPU
/// for minutes.
fn flood(hub: &Hub, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (hub, stop) = (hub.clone(), stop.clone());
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..5 {
                hub.publish_wait(&topic("flood"), "x".repeat(100), DEADLINE).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Reads until an event comes; false when the stream ends before. One that ends whole has been
/// ended with its body.
fn gets(client: &mut Client, name: &str) -> bool {
    loop {
        match client.next_if_any() {
            Some(message) if message.name == name => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

#[test]
fn futures_that_are_dropped_in_the_middle_give_all_back_and_the_other_shards_serve_on() {
    for executor in Executor::OF_FUTURES {
        println!("{executor:?}");
        let mut fixture = Fixture::start(executor, options());
        let hub = fixture.hub.clone();
        let interest = hub.watch_interest(&"#".parse().unwrap(), Duration::ZERO).unwrap();
        let stopped = fixture.stopped();
        let mut readers: Vec<Client> =
            (0..READERS).map(|_| fixture.get("topic=a&topic=flood")).collect();
        let silent = fixture.silent();
        let minutes = Duration::from_secs(300);
        hub.publish(&topic("a"), Event::new("spread").with_window(minutes)).unwrap();
        assert_eq!(hub.metrics().connections as usize, READERS + stopped.len());

        let wanted = told_of_interest(&interest, InterestKind::Subscribed);
        assert_eq!(wanted.len(), LAGGARDS + 3);

        let stop = Arc::new(AtomicBool::new(false));
        let flooding = flood(&hub, &stop);
        let (mut told, mut late) = (0, Vec::new());
        while let Some(driven) = fixture.driven.pop() {
            let before = hub.metrics();
            driven.cancel();
            let after = hub.metrics();
            let left = fixture.driven.len();
            assert_eq!(after.living_shards as usize, left);
            let ended = before.connections - after.connections;
            assert!(ended > 0, "{before:?}");
            assert_eq!(closed(&after) - closed(&before), ended);
            told += ended;
            assert_eq!(fixture.told_of_ends(), ended);
            // Those that are left are served.
            let name = format!("with {left}");
            hub.publish_wait(&topic("a"), Event::new("").with_name(&name), DEADLINE).unwrap();
            let served = |client: &mut Client| gets(client, &name);
            readers.retain_mut(served);
            late.retain_mut(served);
            if left == 0 {
                assert!(readers.is_empty() && late.is_empty());
                continue;
            }
            // As many as may be there, which also needs those that said nothing.
            while hub.metrics().connections + hub.metrics().pending_connections
                < CONNECTIONS_MAX as u64
            {
                let client = fixture.get("topic=a");
                assert_eq!(client.status(), 200);
                late.push(client);
            }
        }
        wait_until("nothing is left", || {
            let metrics = hub.metrics();
            let left = [
                metrics.connections,
                metrics.pending_connections,
                metrics.lagging_connections,
                metrics.replaying_connections,
                metrics.spread_deliveries,
                metrics.subscriptions,
                metrics.topics,
                metrics.lag_bytes,
                metrics.backlog_bytes,
            ];
            left == [0; 9]
        });
        assert_eq!(closed(&hub.metrics()), told);
        // The flood goes on without a shard that takes it.
        let published = hub.metrics().published_events;
        wait_until("more is published", || hub.metrics().published_events > published + 1_000);
        stop.store(true, Ordering::Relaxed);
        flooding.join().unwrap();
        // What a client would wait for never comes, and it is told so.
        wait_until("no client is accepted", || TcpStream::connect(fixture.addr()).is_err());
        drop((stopped, silent));
        assert_eq!(told_of_interest(&interest, InterestKind::Unsubscribed), wanted);
        assert!(interest.is_ended());
        hub.close();
        future::block_on(hub.close_async());
        assert_eq!(fixture.notices.wait(DEADLINE), None);
    }
}

#[test]
fn a_listener_answers_while_shards_come_to_their_ends_one_after_another() {
    for executor in Executor::OF_FUTURES {
        println!("{executor:?}");
        let mut fixture = Fixture::start(executor, shards(8));
        let stop = Arc::new(AtomicBool::new(false));
        let addr = fixture.addr();
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    let mut answered = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // One that a dropped shard has accepted already is closed without an
                        // answer.
                        answered += usize::from(is_answered(addr));
                    }
                    answered
                })
            })
            .collect();
        let accepted = |hub: &Hub| hub.metrics().accepted_connections;
        while fixture.driven.len() > 1 {
            let before = accepted(&fixture.hub);
            wait_until("clients come", || accepted(&fixture.hub) > before + 20);
            fixture.driven.pop().unwrap().cancel();
        }
        stop.store(true, Ordering::Relaxed);
        let answered: usize = asking.into_iter().map(|asking| asking.join().unwrap()).sum();
        assert!(answered > 20, "{answered}");
        fixture.hub.close();
        fixture.driven.pop().unwrap().wait();
    }
}

/// Whether a client's request is answered, and not cut off.
fn is_answered(addr: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    match std::io::Read::read(&mut stream, &mut [0; 64]) {
        Ok(bytes) => bytes > 0,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "nothing came in time");
            false
        }
    }
}

#[test]
fn publishers_that_wait_are_let_go_when_the_last_future_is_dropped() {
    let (hub, mut drivers) = Hub::with_drivers(one_shard()).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let mut drive = Box::pin(drivers.pop().unwrap().drive());
    let addr = listener.local_addr();
    let connecting = smol::unblock(move || Client::get(addr, "/events?topic=a"));
    let ended = async {
        drive.as_mut().await.unwrap();
        panic!("the shard ends by itself")
    };
    let mut client = future::block_on(connecting.or(ended));
    // From here on it is not polled, so that nothing is sent.
    let publish = || hub.publish(&topic("a"), "x".repeat(100_000));
    wait_until("the topic is full", || publish().is_err());
    assert_eq!(publish().unwrap_err(), PublishError::Full);
    let refused = hub.metrics().full_events;
    let blocked = std::thread::spawn({
        let hub = hub.clone();
        move || hub.publish_wait(&topic("a"), "blocked", DEADLINE).map(drop)
    });
    let pending = std::thread::spawn({
        let hub = hub.clone();
        move || future::block_on(hub.publish_async(&topic("a"), "pending")).map(drop)
    });
    wait_until("both wait", || hub.metrics().full_events >= refused + 2);
    drop(drive);
    assert_eq!(blocked.join().unwrap(), Ok(()));
    assert_eq!(pending.join().unwrap(), Ok(()));
    assert_eq!(hub.metrics().backlog_bytes, 0);
    // What was not sent is not lost: it comes back with the last id that it had.
    assert!(client.ends_cleanly());
}

#[test]
fn what_was_never_polled_can_be_dropped_as_well() {
    for executor in Executor::OF_FUTURES {
        println!("{executor:?}");
        let (hub, mut drivers) = Hub::with_drivers(shards(3)).unwrap();
        let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
        drop(drivers.pop());
        drop(drivers.pop().unwrap().drive());
        assert_eq!(hub.metrics().living_shards, 1);
        let driven = executor.drive(drivers);
        let mut clients: Vec<Client> =
            (0..20).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
        hub.publish(&topic("a"), "x").unwrap();
        assert!(clients.iter_mut().all(|client| client.data() == "x"));
        let options = DrainOptions::default().window(Duration::ZERO);
        let drained = future::block_on(hub.drain_async(options));
        assert_eq!((drained.told, drained.cut), (20, 0));
        driven.into_iter().for_each(Driven::wait);
    }
}

#[test]
fn a_listener_of_a_hub_without_shards_refuses_clients_and_none_can_be_opened() {
    let (hub, drivers) = Hub::with_drivers(shards(2)).unwrap();
    // No shard has taken it when the last one is dropped.
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let addr = listener.local_addr();
    drop(drivers);
    let refused = TcpStream::connect(addr).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let error = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap_err();
    assert!(matches!(error, fanfare::ListenError::Closed), "{error}");
    future::block_on(hub.close_async());
}

#[test]
fn an_executor_that_is_shut_down_ends_the_shards_that_it_drives() {
    let (hub, drivers) = Hub::with_drivers(shards(2)).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = drivers.into_iter().map(|driver| runtime.spawn(driver.drive())).collect();
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
    drop(runtime);
    assert!(client.ends_cleanly());
    assert!(tasks.iter().all(tokio::task::JoinHandle::is_finished));
    assert_eq!((hub.metrics().living_shards, closed(&hub.metrics())), (0, 1));
    future::block_on(hub.close_async());
}

#[test]
fn a_future_is_served_wherever_and_with_whatever_else_it_is_polled() {
    let (hub, mut drivers) = Hub::with_drivers(one_shard()).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let mut drive = Box::pin(drivers.pop().unwrap().drive());
    // Until it has nothing to do and waits, with the waker of a thread that will not poll it again.
    for _ in 0..10 {
        assert!(future::block_on(future::poll_once(&mut drive)).is_none());
    }
    let (asking, addr) = (hub.clone(), listener.local_addr());
    let client = std::thread::spawn(move || {
        let mut client = Client::get(addr, "/events?topic=a");
        for number in 0..200 {
            asking.publish(&topic("a"), number.to_string()).unwrap();
            assert_eq!(client.data(), number.to_string());
        }
        asking.close();
        client.ends_cleanly()
    });
    // Beside a future that has the task polled all the time.
    let busy = async {
        loop {
            future::yield_now().await;
        }
    };
    future::block_on(drive.or(busy)).unwrap();
    assert!(client.join().unwrap());
}

#[test]
fn a_dropped_future_leaves_nothing_of_its_task_behind() {
    let (hub, mut drivers) = Hub::with_drivers(one_shard()).unwrap();
    let mut drive = Box::pin(drivers.pop().unwrap().drive());
    let counting = Arc::new(Counting);
    let waker = std::task::Waker::from(counting.clone());
    let mut context = std::task::Context::from_waker(&waker);
    for _ in 0..10 {
        assert!(std::future::Future::poll(drive.as_mut(), &mut context).is_pending());
    }
    assert!(Arc::strong_count(&counting) > 2, "it waits");
    drop(drive);
    wait_until("no waker is kept", || Arc::strong_count(&counting) == 2);
    drop(hub);
}

/// A task that is never woken.
struct Counting;

impl std::task::Wake for Counting {
    fn wake(self: Arc<Counting>) {}
}
