//! Measures a cluster of two hubs in one process beside bare loops of the same Redis server, in turn, and so
//! in the same minutes:
//!
//! ```text
//! cargo run --release --manifest-path benches/cluster/Cargo.toml -- [SECONDS [REPEATS]]
//! ```
//!
//! - latency: 1,000 events a second, from `publish` at one hub to a client of the other, beside `XADD` to a
//!   blocking `XREAD`;
//! - throughput: as much as one publisher gets in, until the server has it, beside `XADD` with 16 and 256 in a
//!   pipeline.
//!
//! It starts `redis-server` on a free loopback port, without persistence. Each line is the median of the repeats,
//! with the least and the most beside it.

mod floor;
mod hubs;
mod server;

use std::time::Duration;

use server::Server;

/// Why it could not be measured.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of an event's data.
const BYTES: usize = 128;
/// Events of a second of the latency's runs.
const RATE: u64 = 1_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (seconds, repeats) = (number(3)?.clamp(1, 60), number(5)?.clamp(1, 50));
    let time = Duration::from_secs(seconds);
    let server = Server::start()?;
    let mut latencies = [Vec::new(), Vec::new()];
    let mut rates = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..repeats {
        latencies[0].push(floor::latency(&server, time)?);
        latencies[1].push(hubs::latency(&server, time)?);
        rates[0].push(floor::throughput(&server, time, 16)?);
        rates[1].push(floor::throughput(&server, time, 256)?);
        let (taken, delivered) = hubs::throughput(&server, time)?;
        rates[2].push(taken);
        rates[3].push(delivered);
    }
    for (name, runs) in
        ["XADD to XREAD", "publish to the other hub's client"].iter().zip(&latencies)
    {
        let of = |nth: fn(&(f64, f64)) -> f64| runs.iter().map(nth).collect();
        println!("latency, {RATE} events/s, {name}: p50 {} ms", spread(of(|run| run.0)));
        println!("latency, {RATE} events/s, {name}: p99 {} ms", spread(of(|run| run.1)));
    }
    let names = [
        "XADD, 16 in a pipeline",
        "XADD, 256 in a pipeline",
        "publish, until the server has it",
        "publish, until the other hub's client has it",
    ];
    for (name, runs) in names.iter().zip(rates) {
        println!("{BYTES} bytes, {name}: {} thousand events/s", spread(runs));
    }
    Ok(())
}

/// The median, with the least and the most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{:.2} [{least:.2}..{most:.2}]", values[values.len() / 2])
}

/// The 50th and the 99th of a hundred, in milliseconds.
fn percentiles(mut latencies: Vec<Duration>) -> Result<(f64, f64), Failure> {
    latencies.sort_unstable();
    let of = |percent: usize| latencies.get((latencies.len() * percent / 100).saturating_sub(1));
    let ms = |latency: Option<&Duration>| latency.map(|latency| latency.as_secs_f64() * 1e3);
    ms(of(50)).zip(ms(of(99))).ok_or_else(|| "nothing was delivered".into())
}
