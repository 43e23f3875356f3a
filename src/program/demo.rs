//! `fanfare demo`: serves, and publishes this machine's readings, so that there is something to
//! see.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use fanfare::{Event, Hub, PublishError, Topic};
use serde_json::{json, Value};

use super::outcome::Outcome;
use super::readings::{self, CpuTimes, Traffic};
use super::seldom::Seldom;
use super::serve::{ServeArgs, Server};
use super::signals::Ending;

/// Serve, and publish this machine's readings: load, cpu, memory, network.
///
/// load and memory are plain events, once a second; cpu (four a second) and network (two a
/// second) have their topic's name. Ctrl-C ends it.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// One turn of the readings; the others are every second or fourth turn.
const TURN: Duration = Duration::from_millis(250);

static MISSING: Seldom = Seldom::new();
static UNPUBLISHED: Seldom = Seldom::new();

pub(crate) fn run(args: &DemoArgs) -> Outcome {
    let ending = Ending::expect()?;
    let server = Server::start(&args.serve)?;
    let mut publisher = Publisher::new(server.hub().clone())?;
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new().name("fanfare-readings".to_owned());
    let thread = thread.spawn(move || publisher.run(&stopped))?;
    let page = server.page().map(|page| format!("open {page} in a browser\n")).unwrap_or_default();
    let read = server.how_to_read("topic=cpu&topic=load");
    server.announce(&format!("{page}or: {read}\nCtrl-C ends it\n"))?;
    ending.wait();
    drop(stop);
    if thread.join().is_err() {
        log::error!("the thread of the readings has panicked");
    }
    server.stop();
    Ok(ExitCode::SUCCESS)
}

/// Reads this machine's counters and publishes them.
struct Publisher {
    hub: Hub,
    load: Topic,
    cpu: Topic,
    memory: Topic,
    network: Topic,
    cpu_times: CpuTimes,
    traffic: (Instant, Traffic),
}

impl Publisher {
    fn new(hub: Hub) -> Result<Publisher, Box<dyn std::error::Error>> {
        let no_readings = |error| format!("this machine has no readings for the demo: {error}");
        Ok(Publisher {
            hub,
            load: Topic::new("load")?,
            cpu: Topic::new("cpu")?,
            memory: Topic::new("memory")?,
            network: Topic::new("network")?,
            cpu_times: readings::cpu_times().map_err(no_readings)?,
            traffic: (Instant::now(), readings::traffic().map_err(no_readings)?),
        })
    }

    /// Publishes until the other end of the channel is gone.
    fn run(&mut self, stopped: &Receiver<()>) {
        let mut next = Instant::now();
        for turn in 0_u64.. {
            // A suspended machine does not make up for what it has missed.
            next = (next + TURN).max(Instant::now());
            let pause = next.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            if let Err(error) = self.turn(turn) {
                MISSING.log(|more| log::warn!("a reading is missing: {error}{more}"));
            }
        }
    }

    fn turn(&mut self, turn: u64) -> io::Result<()> {
        self.publish_cpu()?;
        if turn.is_multiple_of(2) {
            self.publish_network()?;
        }
        if turn.is_multiple_of(4) {
            let [one, five, fifteen] = readings::load()?;
            let at = unix_ms();
            let load = json!({ "at": at, "one": one, "five": five, "fifteen": fifteen });
            self.publish(&self.load, &load, None);
            let memory = readings::memory()?;
            let (used, total) = (memory.used_bytes, memory.total_bytes);
            let memory = json!({ "at": at, "used_bytes": used, "total_bytes": total });
            self.publish(&self.memory, &memory, None);
        }
        Ok(())
    }

    fn publish_cpu(&mut self) -> io::Result<()> {
        let now = readings::cpu_times()?;
        let busy = now.busy_since(&self.cpu_times);
        self.cpu_times = now;
        if let Some(busy) = busy {
            let reading = json!({ "at": unix_ms(), "busy": busy });
            self.publish(&self.cpu, &reading, Some("cpu"));
        }
        Ok(())
    }

    fn publish_network(&mut self) -> io::Result<()> {
        let now = (Instant::now(), readings::traffic()?);
        let before = std::mem::replace(&mut self.traffic, now);
        let seconds = (self.traffic.0 - before.0).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds).round();
        let reading = json!({
            "at": unix_ms(),
            "received_bytes_per_s": rate(self.traffic.1.received_bytes, before.1.received_bytes),
            "sent_bytes_per_s": rate(self.traffic.1.sent_bytes, before.1.sent_bytes),
        });
        self.publish(&self.network, &reading, Some("network"));
        Ok(())
    }

    fn publish(&self, topic: &Topic, reading: &Value, name: Option<&'static str>) {
        let mut event = Event::new(reading.to_string());
        if let Some(name) = name {
            event = event.with_name(name);
        }
        match self.hub.publish(topic, event) {
            // A reading that has to wait is out of date.
            Ok(_) | Err(PublishError::Full) => {}
            Err(error) => {
                UNPUBLISHED.log(|more| log::warn!("a reading was not published: {error}{more}"));
            }
        }
    }
}

fn unix_ms() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
