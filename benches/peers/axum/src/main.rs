//! Peer of the benchmark: axum's `Sse` response over tokio's broadcast channel.
//!
//! `Sse` with `KeepAlive::default()` and `TCP_NODELAY` through `tap_io`, as axum's documentation
//! shows them; one `broadcast` channel per topic, whose receivers become streams with
//! tokio-stream's `BroadcastStream`. The channel has no back-pressure: it drops what a receiver
//! that lags has not taken. So its documented capacity is set to hold the whole run, and nothing is
//! lost. An event is built once and cloned per client, as the channel does.
//!
//! With the argument `pull` the same server sends fanfare's streams as bodies instead
//! (`Hub::subscribe`), whose shard is a task of the same runtime: `benches/peers/pull.json`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::Router;
use fanfare::{EventStream, Hub, Options, StreamOptions};
use rustix::time::{clock_gettime, ClockId};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::Stream;

/// How many solo events may wait for their one client.
const SOLO_CAPACITY: usize = 4096;

#[derive(Clone)]
struct Settings {
    listen: String,
    events: u64,
    bytes: usize,
    rate: f64,
    solo_interval_ns: u64,
}

/// Where events are published to: a channel, or a topic of a hub.
#[derive(Clone)]
enum Topic {
    Channel(broadcast::Sender<Event>),
    Hub(Hub, fanfare::Topic),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_environment()?;
    let (router, to_all, solo) = match std::env::args().nth(1).as_deref() {
        Some("pull") => pull()?,
        _ => channels(&settings),
    };
    let listener = TcpListener::bind(&settings.listen).await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    std::thread::spawn(move || obey(&settings, &to_all, &solo));
    say(&format!("listening {address} /all /solo"));
    axum::serve(listener, router).await?;
    Ok(())
}

fn channels(settings: &Settings) -> (Router, Topic, Topic) {
    let to_all = broadcast::Sender::new((settings.events as usize).max(16));
    let solo = broadcast::Sender::new(SOLO_CAPACITY);
    let router = Router::new()
        .route("/all", get(follow).with_state(to_all.clone()))
        .route("/solo", get(follow).with_state(solo.clone()));
    (router, Topic::Channel(to_all), Topic::Channel(solo))
}

/// A hub with one shard. A client is waited for as long as it takes, since the channels lose
/// nothing either.
fn pull() -> Result<(Router, Topic, Topic), Box<dyn Error>> {
    let minute = Duration::from_secs(60);
    let options = Options::default().shards(1).lag_age_max(minute).lag_grace(minute);
    let (hub, drivers) = Hub::with_drivers(options.lag_grace_percent(100))?;
    drivers.into_iter().for_each(|driver| drop(tokio::spawn(driver.drive())));
    let [to_all, solo] = [fanfare::Topic::new("all")?, fanfare::Topic::new("solo")?];
    let router = Router::new()
        .route("/all", get(pulled).with_state((hub.clone(), to_all.clone())))
        .route("/solo", get(pulled).with_state((hub.clone(), solo.clone())));
    Ok((router, Topic::Hub(hub.clone(), to_all), Topic::Hub(hub, solo)))
}

async fn pulled(State((hub, topic)): State<(Hub, fanfare::Topic)>) -> impl IntoResponse {
    let stream = hub.subscribe([topic.into()], StreamOptions::default());
    let stream = stream.expect("there are fewer clients than a hub's bound");
    (AppendHeaders(EventStream::HEADERS), Body::from_stream(stream))
}

async fn follow(
    State(topic): State<broadcast::Sender<Event>>,
) -> Sse<impl Stream<Item = Result<Event, BroadcastStreamRecvError>>> {
    Sse::new(BroadcastStream::new(topic.subscribe())).keep_alive(KeepAlive::default())
}

/// Speaks the protocol until standard input ends, and ends the process then.
fn obey(settings: &Settings, to_all: &Topic, solo: &Topic) {
    let is_publishing = Arc::new(AtomicBool::new(false));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line.trim() != "go" {
            eprintln!("unknown command {line:?}");
            std::process::exit(2);
        }
        is_publishing.store(true, Ordering::SeqCst);
        let (settings, to_all, solo) = (settings.clone(), to_all.clone(), solo.clone());
        let seen = is_publishing.clone();
        std::thread::spawn(move || {
            say(&publish_all(&settings, &to_all, &solo));
            seen.store(false, Ordering::SeqCst);
        });
    }
    std::process::exit(if is_publishing.load(Ordering::SeqCst) { 3 } else { 0 });
}

fn publish_all(settings: &Settings, to_all: &Topic, solo: &Topic) -> String {
    let begun_ns = clock_ns(ClockId::Monotonic);
    let cpu_ns = clock_ns(ClockId::ProcessCPUTime);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let beside = (settings.solo_interval_ns > 0)
            .then(|| scope.spawn(|| publish_solos(settings, solo, &is_over)));
        for number in 0..settings.events {
            if settings.rate > 0.0 {
                sleep_until(begun_ns + (number as f64 * 1e9 / settings.rate) as u64);
            }
            publish(settings, to_all, number, clock_ns(ClockId::Monotonic));
        }
        let elapsed_ns = clock_ns(ClockId::Monotonic) - begun_ns;
        let cpu_ns = clock_ns(ClockId::ProcessCPUTime) - cpu_ns;
        is_over.store(true, Ordering::Relaxed);
        let beside = beside.map_or_else(String::new, |thread| thread.join().unwrap_or_default());
        format!("done {} {elapsed_ns} {cpu_ns}{beside}", settings.events)
    })
}

fn publish_solos(settings: &Settings, topic: &Topic, is_over: &AtomicBool) -> String {
    let mut late_ns = Vec::new();
    let mut due_ns = clock_ns(ClockId::Monotonic) + settings.solo_interval_ns;
    loop {
        sleep_until(due_ns);
        if is_over.load(Ordering::Relaxed) {
            late_ns.sort_unstable();
            let p99 = late_ns.get(late_ns.len() * 99 / 100).copied().unwrap_or(0);
            return format!(" solo={} solo_late_p99_ns={p99}", late_ns.len());
        }
        late_ns.push(clock_ns(ClockId::Monotonic).saturating_sub(due_ns));
        publish(settings, topic, late_ns.len() as u64 - 1, due_ns);
        due_ns += settings.solo_interval_ns;
    }
}

fn publish(settings: &Settings, topic: &Topic, number: u64, stamp_ns: u64) {
    let mut data = format!("{number} {stamp_ns} ");
    data.extend(std::iter::repeat_n('x', settings.bytes.saturating_sub(data.len())));
    match topic {
        // `send` fails when there is no receiver, which is no failure here.
        Topic::Channel(topic) => {
            let _ = topic.send(Event::default().id(number.to_string()).data(data));
        }
        Topic::Hub(hub, topic) => {
            if let Err(error) = hub.publish_wait(topic, data, Duration::MAX) {
                eprintln!("{error}");
                std::process::exit(4);
            }
        }
    }
}

impl Settings {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let get = |name: &str| {
            let name = format!("FANFARE_BENCH_{name}");
            std::env::var(&name).map_err(|error| format!("{name}: {error}"))
        };
        Ok(Self {
            listen: get("LISTEN")?,
            events: get("EVENTS")?.parse()?,
            bytes: get("BYTES")?.parse()?,
            rate: get("RATE")?.parse()?,
            solo_interval_ns: get("SOLO_INTERVAL_MS")?.parse::<u64>()? * 1_000_000,
        })
    }
}

fn sleep_until(due_ns: u64) {
    let now_ns = clock_ns(ClockId::Monotonic);
    if due_ns > now_ns {
        std::thread::sleep(Duration::from_nanos(due_ns - now_ns));
    }
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // These clocks never show a negative time.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // There is no reader any more: standard input has ended as well.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
