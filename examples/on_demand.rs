//! Sensors that are read only while a client watches them.
//!
//! ```sh
//! cargo run --example on_demand
//! curl -N 'http://127.0.0.1:8080/events?topic=sensor/1'
//! curl -N 'http://127.0.0.1:8080/events?topic=sensor/%23'
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use fanfare::{Hub, InterestKind, ListenOptions, Options, Subscription, Topic};
use smol::{Task, Timer};

/// How long a sensor is still read when the last client has gone: longer than a reload takes.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::start(Options::default())?;
    let listener = hub.listen("127.0.0.1:8080", ListenOptions::default())?;
    println!("listening on http://{}", listener.local_addr());
    smol::block_on(read_what_is_watched(&hub))
}

async fn read_what_is_watched(hub: &Hub) -> Result<(), Box<dyn Error>> {
    let names = (1..=3).map(|nth| Topic::new(&format!("sensor/{nth}")));
    let sensors: Vec<Topic> = names.collect::<Result<_, _>>()?;
    let interest = hub.watch_interest(&Subscription::new("sensor/#")?, GRACE)?;
    let mut wanted: HashSet<Subscription> = HashSet::new();
    let mut readers: HashMap<&Topic, Task<()>> = HashMap::new();
    while let Some(notice) = interest.next_async().await {
        match notice.kind {
            InterestKind::Subscribed => wanted.insert(notice.subscription),
            _ => wanted.remove(&notice.subscription),
        };
        // A client's filter may be for several sensors, and a sensor be wanted by several filters.
        for sensor in &sensors {
            if !wanted.iter().any(|subscription| subscription.matches(sensor)) {
                if readers.remove(sensor).is_some() {
                    println!("{sensor} rests");
                }
            } else if !readers.contains_key(sensor) {
                println!("{sensor} is read");
                readers.insert(sensor, smol::spawn(read(hub.clone(), sensor.clone())));
            }
        }
    }
    Ok(())
}

/// Reads a sensor until the task is dropped, or the hub is closed.
async fn read(hub: Hub, sensor: Topic) {
    let mut random = fastrand::Rng::new();
    while hub.publish_async(&sensor, random.u32(200..250).to_string()).await.is_ok() {
        Timer::after(Duration::from_secs(1)).await;
    }
}
