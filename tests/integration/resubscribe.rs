//! Topics of live connections that are changed, over real sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare::{
    AdminError, ConnectionFilter, ConnectionId, ConnectionState, DisconnectReason, Hub, NoticeKind,
    Subscription, Topic,
};

use crate::support::{close, one_shard, serve, shards, wait_until, Client, DEADLINE};

fn publish(hub: &Hub, name: &str, data: &str) {
    hub.publish_wait(&Topic::new(name).unwrap(), data, DEADLINE).unwrap();
}

fn subscriptions(names: &[&str]) -> Vec<Subscription> {
    names.iter().map(|name| Subscription::new(name).unwrap()).collect()
}

/// Gives a connection other topics, which it is to be there for, as soon as it has taken enough of
/// what it is to get before.
fn change(hub: &Hub, id: ConnectionId, names: &[&str]) {
    let wanted = subscriptions(names);
    wait_until("topics are changed", || match hub.set_subscriptions(id, &wanted) {
        Err(AdminError::CatchingUp) => false,
        changed => {
            assert_eq!(changed, Ok(true));
            true
        }
    });
}

fn only_id(hub: &Hub) -> ConnectionId {
    let all = hub.connections(&ConnectionFilter::default()).unwrap();
    let [one] = &all[..] else { panic!("{all:?}") };
    one.id
}

/// What is left when its clients are gone.
fn check_nothing_is_left(hub: &Hub) {
    wait_until("nothing is left", || {
        let metrics = hub.metrics();
        metrics.connections == 0 && metrics.lagging_connections == 0 && metrics.lag_bytes == 0
    });
    assert_eq!(hub.subscription_counts(10), Ok(Vec::new()));
    wait_until("the backlog is released", || hub.metrics().backlog_bytes == 0);
}

/// Ends a flood when it goes, and after a panic all streams, so that no thread waits for ever.
struct EndsFlood<'a> {
    hub: &'a Hub,
    is_over: &'a AtomicBool,
}

impl Drop for EndsFlood<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            close(self.hub);
        }
    }
}

/// Changes a client's topics many times while two publishers flood the topic that stays. Around
/// each change an event is published to the topics that come and go.
fn change_during_a_flood(sets: [&[&str]; 2]) {
    const CHANGES: usize = 200;
    let (hub, listener) = serve(shards(2));
    let mut client = Client::get(listener.local_addr(), "/events?topic=keep/x&topic=old/x");
    // Others have audiences of the same topics, or keep them from being unknown at times.
    let others = ["/events?topic=keep/x&topic=new/x", "/events?topic=new/x"];
    let mut others: Vec<Client> =
        others.map(|path| Client::get(listener.local_addr(), path)).into();
    let every = ConnectionFilter::default();
    let addr = client.socket().local_addr().unwrap();
    let all = hub.connections(&every).unwrap();
    let id = all.iter().find(|info| info.addr == Some(addr)).unwrap().id;
    let is_over = AtomicBool::new(false);
    let names = [["old/x", "new/x"], ["new/x", "old/x"]];
    let streams = std::thread::scope(|scope| {
        let flood: Vec<_> = (0..2)
            .map(|publisher| {
                let (hub, is_over) = (&hub, &is_over);
                scope.spawn(move || {
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        publish(hub, "keep/x", &format!("keep {publisher} {count}"));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let clients = std::iter::once(&mut client).chain(&mut others);
        let readers: Vec<_> = clients
            .map(|client| {
                scope.spawn(move || {
                    let next = std::iter::from_fn(|| Some(client.next()));
                    next.take_while(|message| message.data != "end").collect::<Vec<_>>()
                })
            })
            .collect();
        let flooding = EndsFlood { hub: &hub, is_over: &is_over };
        for nth in 0..CHANGES {
            let [lost, won] = names[nth % 2];
            publish(&hub, lost, &format!("mine before {nth}"));
            publish(&hub, won, &format!("not mine before {nth}"));
            change(&hub, id, sets[nth % 2]);
            publish(&hub, won, &format!("mine after {nth}"));
            publish(&hub, lost, &format!("not mine after {nth}"));
        }
        drop(flooding);
        let counts: Vec<u64> = flood.into_iter().map(|flood| flood.join().unwrap()).collect();
        ["keep/x", "new/x"].iter().for_each(|name| publish(&hub, name, "end"));
        let streams: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        for (publisher, &count) in counts.iter().enumerate() {
            let mark = format!("keep {publisher} ");
            let got = streams[0].iter().filter_map(|message| message.data.strip_prefix(&mark));
            let got: Vec<u64> = got.map(|nth| nth.parse().unwrap()).collect();
            let wrong = got.iter().zip(0..).find(|&(&got, nth)| got != nth);
            assert_eq!((got.len() as u64, wrong), (count, None), "lost, doubled or moved");
            assert!(count > CHANGES as u64 / 10, "it was no flood");
        }
        streams
    });
    let all = streams[0].iter().map(|message| &*message.data);
    let mut rest = all.filter(|data| !data.starts_with("keep"));
    for nth in 0..CHANGES {
        assert_eq!(rest.next(), Some(&*format!("mine before {nth}")));
        assert_eq!(rest.next(), Some(&*format!("mine after {nth}")));
    }
    assert_eq!(rest.next(), None);
    for stream in &streams {
        let number = |message: &crate::support::sse::Message| {
            message.last_id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap()
        };
        assert!(stream.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])));
    }
    let metrics = hub.metrics();
    assert!(DisconnectReason::all().all(|reason| metrics.disconnects(reason) == 0));
    drop((client, others));
    check_nothing_is_left(&hub);
}

#[test]
fn a_change_during_a_flood_loses_and_doubles_nothing_of_the_topic_that_stays() {
    change_during_a_flood([&["keep/x", "new/x"], &["keep/x", "old/x"]]);
}

#[test]
fn the_same_holds_when_topics_stay_come_and_go_by_filters() {
    change_during_a_flood([&["keep/#", "new/+"], &["old/#", "keep/+", "keep/x"]]);
}

#[test]
fn a_laggard_gets_what_waited_for_it_and_then_the_new_topics() {
    let options =
        one_shard().lag_bytes_max(64 << 20).lag_grace(Duration::ZERO).history_bytes_max(64 << 20);
    let (hub, listener) = serve(options);
    let mut client = Client::get(listener.local_addr(), "/events?topic=a&topic=b");
    let id = only_id(&hub);
    let data = "x".repeat(1_000_000);
    let mut sent = 0;
    let mut flood = |name: &str| {
        for _ in 0..10 {
            publish(&hub, name, &format!("{name} {sent} {data}"));
            sent += 1;
        }
    };
    flood("a");
    flood("b");
    let is_lagging = || {
        let info = hub.connections(&ConnectionFilter::default()).unwrap().pop().unwrap();
        (info.state == ConnectionState::Lagging).then_some(info)
    };
    wait_until("it lags", || is_lagging().is_some_and(|info| info.events + info.lag_events == 20));
    change(&hub, id, &["b", "c"]);
    flood("a");
    flood("b");
    flood("c");
    let info = is_lagging().expect("it takes nothing");
    let mut topics = info.subscriptions.clone();
    topics.sort();
    assert_eq!(topics, subscriptions(&["b", "c"]));
    wait_until("what waits is counted", || {
        is_lagging().is_some_and(|info| info.events + info.lag_events == 40)
    });
    for nth in (0..20).chain(30..50) {
        let name = ["a", "b", "a", "b", "c"][nth / 10];
        let got = client.data();
        assert!(got.starts_with(&format!("{name} {nth} ")) && got.len() > data.len());
    }
    publish(&hub, "a", "not for it");
    publish(&hub, "b", "live");
    assert_eq!(client.data(), "live");
    let metrics = hub.metrics();
    assert_eq!((metrics.lagging_connections, metrics.lag_bytes), (0, 0));
    drop(client);
    check_nothing_is_left(&hub);
}

#[test]
fn a_replaying_client_gets_what_it_missed_before_it_can_have_other_topics() {
    let (hub, listener) = serve(one_shard().history_bytes_max(64 << 20));
    let data = "x".repeat(1 << 20);
    (0..30).for_each(|_| publish(&hub, "a", &data));
    let mut client = Client::get(listener.local_addr(), "/events?topic=a&last=30");
    let id = only_id(&hub);
    let wanted = subscriptions(&["b"]);
    assert_eq!(hub.set_subscriptions(id, &wanted), Err(AdminError::CatchingUp));
    assert_eq!(hub.subscribers(&Topic::new("b").unwrap()), Ok(0));
    (0..30).for_each(|_| assert_eq!(client.data().len(), data.len()));
    wait_until("it has everything", || hub.set_subscriptions(id, &wanted) == Ok(true));
    publish(&hub, "a", "not for it");
    publish(&hub, "b", "for it");
    assert_eq!(client.data(), "for it");

    // Its URL is what it was.
    let last = hub.publish(&Topic::new("b").unwrap(), "last").unwrap().id().unwrap();
    let path = format!("/events?topic=a&last-event-id={last}");
    drop(client);
    publish(&hub, "b", "not any more");
    publish(&hub, "a", "since then");
    assert_eq!(Client::get(listener.local_addr(), &path).data(), "since then");
}

#[test]
fn a_stale_id_changes_no_client_and_the_bounds_are_told() {
    let (hub, listener) = serve(one_shard());
    let notices = hub.notices(10);
    let first = Client::get(listener.local_addr(), "/events?topic=a");
    let id = only_id(&hub);
    drop(first);
    wait_until("it has gone", || hub.metrics().connections == 0);
    let mut second = Client::get(listener.local_addr(), "/events?topic=a");
    let second_id = only_id(&hub);
    for stale in [0, 1, id.to_u64(), second_id.to_u64() | 0xff << 24, u64::MAX] {
        let stale = ConnectionId::from_u64(stale);
        assert_eq!(hub.set_subscriptions(stale, &subscriptions(&["b"])), Ok(false), "{stale}");
    }
    assert_eq!(hub.subscribers(&Topic::new("b").unwrap()), Ok(0));

    let most = AdminError::SUBSCRIPTIONS_AT_ONCE_MAX;
    let mut many: Vec<Subscription> =
        (0..=most).map(|nth| Subscription::new(&format!("many/{nth}")).unwrap()).collect();
    assert_eq!(hub.set_subscriptions(second_id, &[]), Err(AdminError::NoSubscription));
    assert_eq!(hub.set_subscriptions(second_id, &many), Err(AdminError::TooManySubscriptions));
    assert!(AdminError::TooManySubscriptions.to_string().contains(&most.to_string()));
    many.pop();
    // On a busy machine this may take longer than an answer is waited for, and is done all the
    // same.
    let changed = hub.set_subscriptions(second_id, &many);
    assert!(matches!(changed, Ok(true) | Err(AdminError::TooLate)), "{changed:?}");
    wait_until("it has them", || hub.metrics().topics == most as u64);
    publish(&hub, "a", "not for it");
    publish(&hub, "many/65535", "for it");
    assert_eq!(second.data(), "for it");
    let changed = hub.set_subscriptions(second_id, &subscriptions(&["a", "a"]));
    assert!(matches!(changed, Ok(true) | Err(AdminError::TooLate)), "{changed:?}");
    wait_until("it has one alone", || hub.metrics().topics == 1);
    drop(second);
    check_nothing_is_left(&hub);

    let topics: Vec<_> = notices
        .into_iter()
        .take(4)
        .filter_map(|notice| match notice.kind {
            NoticeKind::Disconnected { .. } => Some(notice.subscriptions),
            _ => None,
        })
        .collect();
    assert_eq!(topics, [subscriptions(&["a"]), subscriptions(&["a"])]);
    close(&hub);
    assert_eq!(hub.set_subscriptions(second_id, &subscriptions(&["b"])), Ok(false));
}
