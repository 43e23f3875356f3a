//! Two hubs that are a cluster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fanfare::{ClusterOptions, EventStream, Hub, Options, PublishError, StreamOptions, Topic};

use crate::server::Server;
use crate::{percentiles, Failure, BYTES, RATE};

fn hub(server: &Server) -> Result<Hub, Failure> {
    let cluster = ClusterOptions::new(&server.url);
    // The one client is waited for: it is measured as well.
    let options = Options::default().shards(1).cluster(cluster);
    let options = options.lag_age_max(Duration::from_secs(60)).lag_grace(Duration::from_secs(60));
    Ok(Hub::start(options.lag_grace_percent(100))?)
}

struct Pair {
    publisher: Hub,
    _other: Hub,
    client: EventStream,
    topic: Topic,
}

impl Pair {
    fn start(server: &Server) -> Result<Pair, Failure> {
        server.clear()?;
        let (publisher, other) = (hub(server)?, hub(server)?);
        let topic = Topic::new("bench")?;
        let client = other.subscribe([topic.clone().into()], StreamOptions::default())?;
        Ok(Pair { publisher, _other: other, client, topic })
    }
}

/// Reads `data: ` lines until there were so many, which may be known later, and says what each was.
fn read(
    mut client: EventStream,
    events: &AtomicU64,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut found, mut still) = (0, Instant::now());
    while found < events.load(Ordering::Acquire) {
        let Some(batch) = client.wait(Duration::from_millis(20)) else {
            if still.elapsed() > Duration::from_secs(20) {
                return Err(format!("only {found} events came").into());
            }
            continue;
        };
        still = Instant::now();
        for line in batch?.split(|&byte| byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                each(data)?;
                found += 1;
            }
        }
    }
    Ok(())
}

/// From `publish` to a client of the other hub: p50 and p99 in milliseconds.
pub(crate) fn latency(server: &Server, time: Duration) -> Result<(f64, f64), Failure> {
    let Pair { publisher, _other, client, topic } = Pair::start(server)?;
    let (events, start) = (RATE * time.as_secs(), Instant::now());
    let reading = thread::spawn(move || {
        let mut latencies = Vec::new();
        read(client, &AtomicU64::new(events), |data| {
            let sent = std::str::from_utf8(data)?.trim_start_matches('x').parse()?;
            latencies.push(start.elapsed().saturating_sub(Duration::from_nanos(sent)));
            Ok(())
        })
        .map(|()| latencies)
    });
    for nth in 0..events {
        let due = start + Duration::from_micros(nth * 1_000_000 / RATE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        publisher.publish(&topic, format!("{:x>BYTES$}", start.elapsed().as_nanos()))?;
    }
    percentiles(reading.join().map_err(|_| "the client has panicked")??)
}

/// Thousand events a second: until the server has them, and until the other hub's client has.
pub(crate) fn throughput(server: &Server, time: Duration) -> Result<(f64, f64), Failure> {
    let Pair { publisher, _other, client, topic } = Pair::start(server)?;
    let all = Arc::new(AtomicU64::new(u64::MAX));
    let (data, start, mut published) = ("x".repeat(BYTES), Instant::now(), 0);
    let events = all.clone();
    let reading =
        thread::spawn(move || read(client, &events, |_| Ok(())).map(|()| start.elapsed()));
    while start.elapsed() < time {
        match publisher.publish(&topic, &*data) {
            Ok(_) => published += 1,
            Err(PublishError::Full) => {
                publisher.publish_wait(&topic, &*data, Duration::from_secs(20))?;
                published += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    publisher.flush(Duration::from_secs(20))?;
    let taken = start.elapsed();
    all.store(published, Ordering::Release);
    let delivered = reading.join().map_err(|_| "the client has panicked")??;
    let rate = |time: Duration| published as f64 / time.as_secs_f64() / 1e3;
    Ok((rate(taken), rate(delivered)))
}
