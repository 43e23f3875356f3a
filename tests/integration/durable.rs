//! Hubs that are started anew with the folder of an earlier one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fanfare::{
    Durability, Event, FlushError, GapReason, Hub, JournalError, Listener, Options, PublishError,
    StartError, Subscription, Topic, TopicOptions,
};

use crate::support::{self, Client};

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-durable-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn options(&self) -> Options {
        support::shards(2).data_dir(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn publish(hub: &Hub, name: &str, data: &str) -> String {
    let wait = Duration::from_secs(60);
    let published = hub.publish_wait(&topic(name), data, wait).unwrap();
    assert!(published.is_durable(), "a publisher that waits is answered then");
    published.id().unwrap().to_string()
}

fn events(listener: &Listener, query: &str) -> Client {
    Client::get(listener.local_addr(), &format!("/events?{query}"))
}

#[test]
fn a_client_comes_back_to_a_hub_that_was_started_anew_and_misses_nothing() {
    for durability in Durability::all() {
        let folder = Folder::new();
        let options = folder.options().durability(durability);
        let (hub, listener) = support::serve(options.clone());
        let mut client = events(&listener, "topic=news");
        let first = publish(&hub, "news", "one");
        assert_eq!(client.next().last_id, first);
        let second = publish(&hub, "news", "two");
        publish(&hub, "other", "another");
        let third = publish(&hub, "news", "three");
        support::close(&hub);
        drop((hub, listener));

        let (hub, listener) = support::serve(options.clone());
        let mut client = events(&listener, &format!("topic=news&last-event-id={first}"));
        for (data, id) in [("two", &second), ("three", &third)] {
            let message = client.next();
            assert_eq!((&*message.data, &message.last_id), (data, id), "the same ids");
        }
        let fourth = publish(&hub, "news", "four");
        assert_eq!(client.next().last_id, fourth);
        // One that had all of it, also by the id of a heartbeat, is told nothing.
        let mut late = events(&listener, &format!("topic=news&last-event-id={third}"));
        assert_eq!(late.data(), "four");
        let told: u64 = GapReason::all().map(|reason| hub.metrics().gap_events(reason)).sum();
        assert_eq!(told, 0);
        support::close(&hub);
    }
}

#[test]
fn finished_topics_and_rules_are_there_after_a_restart() {
    let folder = Folder::new();
    let (hub, listener) = support::serve(folder.options());
    let runs = Subscription::new("run/#").unwrap();
    hub.set_rule(&runs, TopicOptions::default().history_events_max(2)).unwrap();
    for n in 0..5 {
        hub.publish(&topic("run/7"), format!("step {n}")).unwrap();
    }
    let end = hub.finish(&topic("run/7"), Some(Event::new("done"))).unwrap().id().unwrap();
    support::close(&hub);
    drop((hub, listener));

    let (hub, listener) = support::serve(folder.options());
    assert_eq!(
        (hub.rules()[0].subscription.clone(), hub.rules()[0].kept_events),
        (runs.clone(), 2)
    );
    let refused = hub.publish(&topic("run/7"), "more").unwrap_err();
    assert_eq!(refused, PublishError::Finished { topic: topic("run/7") });
    let mut client = events(&listener, "topic=run/7&start=earliest");
    assert_eq!((client.data(), client.data()), ("step 4".to_owned(), "done".to_owned()));
    assert!(client.ends_cleanly());
    assert_eq!(events(&listener, &format!("topic=run/7&last-event-id={end}")).status(), 204);
    assert!(hub.remove_rule(&runs));
    support::close(&hub);
    drop((hub, listener));

    let (hub, _listener) = support::serve(folder.options());
    assert_eq!(hub.rules(), [], "it was removed for good");
    support::close(&hub);
}

#[test]
fn what_was_forgotten_before_a_restart_is_told_behind_it() {
    let folder = Folder::new();
    let options = folder.options().history_events_max(3);
    let (hub, listener) = support::serve(options.clone());
    let ids: Vec<String> = (0..8).map(|n| publish(&hub, "news", &n.to_string())).collect();
    support::close(&hub);
    drop((hub, listener));

    let (hub, listener) = support::serve(options);
    let mut client = events(&listener, &format!("topic=news&last-event-id={}", ids[0]));
    let gap = client.next();
    assert_eq!(gap.name, "fanfare-gap");
    assert!(gap.data.contains(r#""reason":"expired","missed":null"#), "{}", gap.data);
    assert_eq!(client.data(), "5");
    support::close(&hub);
}

#[test]
fn a_folder_has_one_hub_at_a_time_and_one_without_a_journal_says_so() {
    let folder = Folder::new();
    let hub = support::start(folder.options());
    match Hub::start(folder.options()) {
        Err(StartError::Journal(error @ JournalError::InUse { .. })) => {
            assert!(error.to_string().contains("give this hub a folder of its own"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(hub.flush(Duration::from_secs(60)), Ok(()));
    support::close(&hub);
    drop(hub);
    let hub = support::start(folder.options());
    assert_eq!(smol::block_on(hub.flush_async()), Ok(()));
    support::close(&hub);

    let hub = support::start(support::one_shard());
    assert!(!hub.publish(&topic("news"), "hello").unwrap().is_durable());
    assert_eq!(hub.flush(Duration::ZERO), Err(FlushError::NoJournal));
    support::close(&hub);

    let missing = folder.0.join("no").join("such").join("folder");
    match Hub::start(support::one_shard().data_dir(missing)) {
        Err(StartError::Journal(error)) => {
            assert!(error.to_string().contains("make the folder that it is to be in"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_journal_is_counted() {
    let folder = Folder::new();
    let hub = support::start(folder.options().durability(Durability::Always));
    publish(&hub, "news", "hello");
    let metrics = hub.metrics();
    assert!(metrics.journal_records >= 1 && metrics.journal_syncs >= 1, "{metrics:?}");
    assert!(metrics.journal_disk_bytes > 0, "{metrics:?}");
    assert_eq!((metrics.journal_failing, metrics.journal_errors), (0, 0));
    support::close(&hub);
}
