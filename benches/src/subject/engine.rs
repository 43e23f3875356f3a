//! The engine as a subject. Apart from this file only the scenarios without sockets use it.

use std::time::Duration;

use fanfare::{
    DisconnectReason, Event, GapReason, Hub, ListenOptions, Listener, Metrics, Options,
    PublishError, Topic,
};

use crate::clock::pin_to_core;
use crate::load::Load;
use crate::phases::{phases, Phase};
use crate::schedule::topic_name;
use crate::subject::publisher::{publish_all, Solo};
use crate::subject::{self, drivers, Done, SubjectArgs};
use crate::Error;

/// How long the publisher waits for the backlog before the run has failed.
const ROOM_TIMEOUT: Duration = Duration::from_secs(60);
/// More than a kept event takes beside its data, in bytes.
const EVENT_OVERHEAD: usize = 512;

/// Serves all topics from a hub, publishes when told to, and ends with stdin.
pub(crate) fn fanfare_subject(args: &SubjectArgs) -> Result<(), Error> {
    let mut engine = Engine::start(args)?;
    // The shards' threads run by now, and stay on the core that this process was started on.
    if let Some(core) = args.publisher_core {
        pin_to_core(core).map_err(|error| format!("--publisher-core {core}: {error}"))?;
    }
    let paths = ["/events?topic=all", "/events?topic=solo"];
    let mut phases = phases(&args.load).into_iter();
    subject::serve_commands(engine.listener.local_addr(), paths, || match phases.next() {
        Some(phase) => engine.publish(&phase),
        None => Err("everything was published".into()),
    })
}

/// The defaults, apart from what the load says; but where clients are cut off, a history that holds
/// all that is published.
fn options(load: &Load) -> Options {
    let Load { events, away, live, bytes, shards, lag_grace_percent, .. } = *load;
    let default = Options::default().shards(shards).lag_grace_percent(lag_grace_percent);
    if away == 0 {
        return default;
    }
    let all = (events + away + live) as usize;
    let history_bytes_max = (all * (bytes + EVENT_OVERHEAD)).max(default.history_bytes_max);
    let history_total_bytes_max = history_bytes_max.max(default.history_total_bytes_max);
    let history_events_max = all.max(default.history_events_max);
    default
        .history_events_max(history_events_max)
        .history_bytes_max(history_bytes_max)
        .history_total_bytes_max(history_total_bytes_max)
}

struct Engine {
    hub: Hub,
    listener: Listener,
    all: Topic,
    solo: Topic,
    /// Those that only some want.
    own: Vec<Topic>,
    /// What the hub had counted when the last phase with events began.
    before: Metrics,
}

impl Engine {
    fn start(args: &SubjectArgs) -> Result<Self, Error> {
        let hub = drivers::start(args.kind, options(&args.load))?;
        let listener = hub.listen(args.listen, ListenOptions::default())?;
        let own: Result<_, _> =
            (0..args.load.topics).map(|topic| Topic::new(&topic_name(topic))).collect();
        let (all, solo, before) = (Topic::new("all")?, Topic::new("solo")?, hub.metrics());
        Ok(Engine { hub, listener, all, solo, own: own?, before })
    }

    fn publish(&mut self, Phase { first, load }: &Phase) -> Result<Done, Error> {
        if load.events > 0 {
            self.before = self.hub.metrics();
        }
        let keys: Vec<String> = (0..load.keys).map(|key| format!("key-{key}")).collect();
        let mut keys = keys.iter().cycle();
        let mut done = publish_all(
            *first,
            load,
            |topic, data| match topic {
                Some(topic) => self.publish_wait(&self.own[topic], Event::new(data)),
                None => {
                    let event = Event::new(data);
                    let event = match keys.next() {
                        Some(key) => event.with_key(key),
                        None => event,
                    };
                    self.publish_wait(&self.all, event)
                }
            },
            |data| match self.hub.publish(&self.solo, data) {
                Ok(_) => Ok(Solo::Published),
                Err(PublishError::Full) => Ok(Solo::Refused),
                Err(error) => Err(error.to_string().into()),
            },
        )?;
        self.count(&mut done);
        Ok(done)
    }

    fn publish_wait(&self, topic: &Topic, event: Event<'_>) -> Result<(), Error> {
        match self.hub.publish_wait(topic, event, ROOM_TIMEOUT) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        }
    }

    /// Adds what the engine itself has counted since the phase began, or the one before if this one
    /// has no events.
    fn count(&self, done: &mut Done) {
        let (before, after) = (&self.before, self.hub.metrics());
        let solo_refused = done.more.get("solo_refused").copied().unwrap_or(0);
        let mut add = |name: &str, number| done.more.insert(name.to_owned(), number);
        add("batches", after.batches - before.batches);
        add("room_waits", (after.full_events - before.full_events).saturating_sub(solo_refused));
        add("held_batches", after.held_batches - before.held_batches);
        add("lagging", after.lagging_connections);
        add("lag_bytes", after.lag_bytes);
        add("dropped_events", after.dropped_events - before.dropped_events);
        add("conflated_events", after.conflated_events - before.conflated_events);
        add("replayed_events", after.replayed_events - before.replayed_events);
        add("gathered_parts", after.gathered_parts - before.gathered_parts);
        let gaps = |metrics: &Metrics| -> u64 {
            GapReason::all().map(|reason| metrics.gap_events(reason)).sum()
        };
        add("gap_events", gaps(&after) - gaps(before));
        for reason in DisconnectReason::all() {
            let ended = after.disconnects(reason) - before.disconnects(reason);
            add(&format!("disconnects_{reason}"), ended);
        }
    }
}
