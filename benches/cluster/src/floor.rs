//! What the server does alone: bare loops of its commands.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use redis::Value;

use crate::server::Server;
use crate::{percentiles, Failure, BYTES, RATE};

/// From `XADD` to a blocking `XREAD` of another connection: p50 and p99 in milliseconds.
pub(crate) fn latency(server: &Server, time: Duration) -> Result<(f64, f64), Failure> {
    let mut adder = server.clear()?;
    let mut reader = server.connect()?;
    let events = RATE * time.as_secs();
    let start = Instant::now();
    let (arrived, arrivals) = mpsc::channel::<Vec<Duration>>();
    let reading = thread::spawn(move || -> Result<(), Failure> {
        let (mut last, mut latencies) = ("0-0".to_owned(), Vec::new());
        while (latencies.len() as u64) < events {
            let mut read = redis::cmd("XREAD");
            read.arg("BLOCK")
                .arg(5_000)
                .arg("COUNT")
                .arg(100)
                .arg("STREAMS")
                .arg("floor")
                .arg(&last);
            let streams: Vec<(String, Vec<(String, Vec<Vec<u8>>)>)> = read.query(&mut reader)?;
            let now = start.elapsed();
            for (_, entries) in streams {
                for (id, fields) in entries {
                    let sent = fields.get(1).and_then(|data| data.first_chunk::<8>());
                    let sent = sent.map(|bytes| Duration::from_nanos(u64::from_le_bytes(*bytes)));
                    latencies.push(now.saturating_sub(sent.ok_or("an entry without its time")?));
                    last = id;
                }
            }
        }
        arrived.send(latencies)?;
        Ok(())
    });
    for nth in 0..events {
        let due = start + Duration::from_micros(nth * 1_000_000 / RATE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut data = vec![b'x'; BYTES];
        data[..8].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
        redis::cmd("XADD").arg("floor").arg("*").arg("d").arg(data).exec(&mut adder)?;
    }
    reading.join().map_err(|_| "the reader has panicked")??;
    percentiles(arrivals.recv()?)
}

/// `XADD` with so many in a pipeline: thousand entries a second.
pub(crate) fn throughput(server: &Server, time: Duration, depth: usize) -> Result<f64, Failure> {
    let mut adder = server.clear()?;
    let (data, start, mut added) = (vec![b'x'; BYTES], Instant::now(), 0);
    while start.elapsed() < time {
        let mut pipeline = redis::pipe();
        for _ in 0..depth {
            let command = pipeline.cmd("XADD");
            command.arg("floor").arg("MAXLEN").arg("~").arg(1_000_000).arg("*").arg("d").arg(&data);
        }
        let _: Vec<Value> = pipeline.query(&mut adder)?;
        added += depth;
    }
    Ok(added as f64 / start.elapsed().as_secs_f64() / 1e3)
}
