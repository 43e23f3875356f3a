//! The engine as a subject. This file is the only one of the benchmark that knows it.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare::{Hub, ListenOptions, Listener, Options, Topic};

use super::subject::{self, SubjectArgs};
use super::Error;

/// How long the publisher waits for room before the run has failed.
const ROOM_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves both topics from a hub, publishes when told to, and ends with stdin.
pub(super) fn fanfare_subject(args: &SubjectArgs) -> Result<(), Error> {
    let engine = Engine::start(args)?;
    let (all, solo) = (Topic::new("all")?, Topic::new("solo")?);
    let paths = ["/events?topic=all", "/events?topic=solo"];
    subject::serve_commands(engine.address(), paths, || {
        let batches = engine.hub.metrics().batches;
        let mut done = subject::publish_all(
            args,
            |data| engine.publish(&all, data),
            |data| engine.publish(&solo, data),
        )?;
        done.more.insert("batches".to_owned(), engine.hub.metrics().batches - batches);
        Ok(done)
    })
}

struct Engine {
    hub: Hub,
    listener: Listener,
}

impl Engine {
    /// One shard, since a subject has one core.
    fn start(args: &SubjectArgs) -> Result<Self, Error> {
        let hub = Hub::start(Options { shards: 1, ..Options::default() })?;
        let listener = hub.listen(args.listen, ListenOptions::default())?;
        Ok(Engine { hub, listener })
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn publish(&self, topic: &Topic, data: &str) -> Result<(), Error> {
        match self.hub.publish_wait(topic, data, ROOM_TIMEOUT) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}
