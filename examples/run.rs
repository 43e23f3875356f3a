//! Resumable runs of a language model, which here is a stub that streams words.
//!
//! A page asks for a run with `POST /runs/ID/events` and reads its answer. The run begins with its
//! first reader. When the page is reloaded it asks again, and is sent the run from its start. The
//! stream ends when the run does. A run that nobody reads for ten seconds is stopped.
//!
//! `cargo run --example run`, then open the address that it prints.

use std::collections::hash_map::{Entry, HashMap};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::{
    Event, Hub, InterestKind, ListenOptions, Options, PublishError, Route, StartAt, Subscription,
    Topic, TopicOptions, UnhandledRequest,
};

type Stops = Arc<Mutex<HashMap<Topic, Arc<AtomicBool>>>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::start(Options::default())?;
    let runs = Subscription::new("run/#")?;
    // A run is kept whole while it lasts, and for ten minutes after its end.
    let kept = TopicOptions::default()
        .history_events_max(10_000)
        .history_bytes_max(4 << 20)
        .history_age_max(Duration::from_secs(60 * 60))
        .finished_age_max(Duration::from_secs(10 * 60));
    hub.set_rule(&runs, kept)?;
    let interest = hub.watch_interest(&runs, Duration::from_secs(10))?;

    let (fallback, requests) = fanfare::fallback(64);
    let route = Route::new("/runs/{id}/events").subscriptions(["run/{id}"]).post(true);
    let options =
        ListenOptions::default().routes([route]).start(StartAt::Earliest).fallback(fallback);
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = hub.listen(&*addr, options)?;
    println!("http://{}/", listener.local_addr());

    let stops = Stops::default();
    let asked = stops.clone();
    std::thread::spawn(move || requests.for_each(|request| drop(answer(request, &asked))));

    for notice in interest {
        let Subscription::Topic(topic) = notice.subscription else { continue };
        match notice.kind {
            InterestKind::Subscribed => begin(&hub, topic, &stops),
            // A reload comes back sooner than this.
            InterestKind::Unsubscribed => stop(&topic, &stops),
            _ => {}
        }
    }
    Ok(())
}

/// Begins a run, unless it has begun before.
fn begin(hub: &Hub, topic: Topic, stops: &Stops) {
    let is_stopped = Arc::new(AtomicBool::new(false));
    match stops.lock().unwrap().entry(topic.clone()) {
        // The flag of a run that goes on is the one that its thread looks at.
        Entry::Occupied(_) => return,
        Entry::Vacant(entry) => entry.insert(is_stopped.clone()),
    };
    let (hub, stops) = (hub.clone(), stops.clone());
    std::thread::spawn(move || {
        if let Err(error) = run(&hub, &topic, &is_stopped) {
            eprintln!("{topic}: {error}");
        }
        stops.lock().unwrap().remove(&topic);
    });
}

/// Publishes the words of a run, and ends it.
fn run(hub: &Hub, topic: &Topic, is_stopped: &AtomicBool) -> Result<(), PublishError> {
    let words = "A page may be reloaded in the middle of an answer and misses nothing of it. ";
    let words = words.split_inclusive(' ').cycle().take(2_000);
    for word in words {
        if is_stopped.load(Ordering::Relaxed) {
            hub.finish(topic, Some(Event::new("stopped").with_name("end")))?;
            return Ok(());
        }
        hub.publish_wait(topic, word, Duration::from_secs(10))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    hub.finish(topic, Some(Event::new("complete").with_name("end")))?;
    Ok(())
}

/// Stops a run that was begun: its thread then ends it.
fn stop(topic: &Topic, stops: &Stops) {
    if let Some(is_stopped) = stops.lock().unwrap().get(topic) {
        is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Answers what is not a stream: the page, and `POST /runs/ID/stop`, with which a user stops a run.
/// That a stream was closed is no such wish: a reload closes it as well.
fn answer(mut request: UnhandledRequest, stops: &Stops) -> std::io::Result<()> {
    let head = String::from_utf8_lossy(&request.read).into_owned();
    let mut words = head.split_whitespace();
    let answer = match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => respond("200 OK", "text/html; charset=utf-8", PAGE),
        (Some("POST"), Some(path)) if path.starts_with("/runs/") && path.ends_with("/stop") => {
            let id = path["/runs/".len()..].trim_end_matches("/stop");
            if let Ok(topic) = Topic::new(&format!("run/{id}")) {
                stop(&topic, stops);
            }
            respond("202 Accepted", "text/plain", "")
        }
        _ => respond("404 Not Found", "text/plain", "there is nothing here\n"),
    };
    request.stream.set_nonblocking(false)?;
    request.stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    request.stream.write_all(answer.as_bytes())
}

fn respond(status: &str, content_type: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{content}"
    )
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>A run</title>
<p><button id="stop">Stop</button> <button id="new">New run</button> <span id="state"></span></p>
<p id="text"></p>
<script type="module">
const id = sessionStorage.run ??= crypto.randomUUID();
const [text, state] = ['text', 'state'].map((name) => document.getElementById(name));
document.getElementById('stop').onclick = () => fetch(`/runs/${id}/stop`, { method: 'POST' });
document.getElementById('new').onclick = () => { delete sessionStorage.run; location.reload(); };

const answer = await fetch(`/runs/${id}/events`, { method: 'POST', body: 'the prompt' });
let rest = '';
for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
  const blocks = (rest + chunk).split('\n\n');
  rest = blocks.pop();
  for (const block of blocks) {
    const field = (name) => block.split('\n').filter((line) => line.startsWith(`${name}: `))
      .map((line) => line.slice(name.length + 2)).join('\n');
    if (field('event') === 'end') state.textContent = field('data');
    else text.append(field('data'));
  }
}
</script>
"#;
