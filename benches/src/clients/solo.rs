//! The one client that gets messages beside a broadcast, on a thread of its own. On the load
//! client's thread it would wait until thousands of sockets before it are read, and that wait is
//! the benchmark's, not the server's.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clients::client::{Client, Share};
use crate::clients::connect::Target;
use crate::clients::follower::{Class, Expected};
use crate::clients::harvest::Harvest;
use crate::clock::now_ns;
use crate::Error;

const TURN: Duration = Duration::from_millis(20);

/// Follows one stream beside the load client.
pub(crate) struct Solo {
    thread: JoinHandle<Result<Harvest, String>>,
    published: mpsc::Sender<Published>,
}

/// What is told when everything was published: how many events, and how long to wait for them.
type Published = (u64, Duration);

impl Solo {
    /// Connects, and returns once the stream has begun.
    ///
    /// # Errors
    ///
    /// When the server does not answer with a stream.
    pub(crate) fn connect(target: Target, expected: Expected) -> Result<Self, Error> {
        let (published, told) = mpsc::channel();
        let (streams, connected) = mpsc::channel();
        let follow = move || follow(&target, expected, &streams, &told).map_err(|e| e.to_string());
        let thread = std::thread::Builder::new().name("bench-solo".to_owned()).spawn(follow)?;
        match connected.recv() {
            Ok(()) => Ok(Self { thread, published }),
            Err(mpsc::RecvError) => Err(match ended(thread) {
                Err(error) => error,
                Ok(_) => "the solo client ended before its stream began".into(),
            }),
        }
    }

    /// Waits at most `patience` for what is missing of `published` events, and returns what came.
    ///
    /// # Errors
    ///
    /// When the stream broke, or what came was not an event stream.
    pub(crate) fn finish(self, published: u64, patience: Duration) -> Result<Harvest, Error> {
        // Fails when the thread has ended, and then the thread says why.
        let _ = self.published.send((published, patience));
        ended(self.thread)
    }
}

fn ended(thread: JoinHandle<Result<Harvest, String>>) -> Result<Harvest, Error> {
    let harvest = thread.join().map_err(|_| "the solo client panicked")?;
    harvest.map_err(|error| format!("the solo client: {error}").into())
}

fn follow(
    target: &Target,
    expected: Expected,
    streams: &mpsc::Sender<()>,
    told: &mpsc::Receiver<Published>,
) -> Result<Harvest, Error> {
    let mut client = Client::new()?;
    let class = client.add_class(Class::new(expected));
    let share = Share { target: target.clone(), class, count: 1 };
    client.connect_all(vec![share], 1, &mut |_| Ok(()))?;
    streams.send(())?;
    let mut end_ns = None;
    loop {
        client.pump(TURN)?;
        match told.try_recv() {
            Ok((published, patience)) => {
                client.class_mut(class).expected.events = Some(published);
                end_ns = Some(now_ns() + patience.as_nanos() as u64);
            }
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) if end_ns.is_none() => {
                return Err("the run has ended without it".into());
            }
            Err(mpsc::TryRecvError::Disconnected) => {}
        }
        if client.closed() > 0 {
            return Err("the server closed its connection".into());
        }
        let came = client.class(class).totals.delivered;
        let all_came = client.class(class).expected.events.is_some_and(|events| came >= events);
        if end_ns.is_some_and(|end_ns| all_came || now_ns() > end_ns) {
            // What is missing now is found here.
            client.finish();
            return Ok(client.harvest(class));
        }
    }
}
