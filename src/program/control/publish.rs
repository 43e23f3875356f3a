//! `POST /publish`: one event, with the content as its data; or many, a line of JSON each.

use std::time::Duration;

use fanfare::{Event, EventError, FlushError, Hub, PublishError, Published, Topic};
use hyper::header::{HeaderMap, CONTENT_TYPE};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{json, Value};
use smol::future;

use super::answer::{bad_request, clip, json, Answer, Refusal};
use super::body::Pieces;
use super::delivered::Delivered;
use super::patience::Patience;
use crate::program::lines::{Lines, TooLong};
use crate::program::query::Query;
use crate::program::units;

/// What lines of JSON are called; there is no registered type for them.
const NDJSON: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
/// What a line may have beside its data: topics, name, id and key.
const LINE_BYTES_MORE: usize = 128 << 10;
/// The most bytes of what is wrong with a line, which may repeat some of it.
const REASON_BYTES_MAX: usize = 120;
/// How many bytes JSON may take for one byte of data: `\u0001`.
const ESCAPE_BYTES: usize = 6;

/// Whether the content is events, a line each, rather than the data of one.
pub(super) fn is_ndjson(fields: &HeaderMap) -> bool {
    let content_type = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or("").trim();
    NDJSON.iter().any(|name| essence.eq_ignore_ascii_case(name))
}

/// Publishes one event, which the query describes, and answers its id.
pub(super) async fn one(
    hub: &Hub,
    query: &str,
    pieces: &mut Pieces,
    mut patience: Patience,
) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    let topics: Result<Vec<Topic>, _> = query.all("topic").map(Topic::new).collect();
    let topics = topics.map_err(bad_request)?;
    if topics.is_empty() {
        return Err(bad_request("say a topic, or several: /publish?topic=NAME&topic=NAME"));
    }
    // So that a mistake is told before the content is read.
    described(&query, &[])?;
    let data = pieces.all(hub.options().event_bytes_max).await?;
    let published = publish(hub, &topics, described(&query, &data)?, &mut patience).await?;
    let Id(id) = Id::of(query.first("id").map(str::to_owned), &published);
    Ok(json(StatusCode::OK, &settled(hub, &mut patience, json!({ "id": id })).await))
}

/// The event with this data that a query describes.
pub(super) fn described<'a>(query: &'a Query<'_>, data: &'a [u8]) -> Result<Event<'a>, Refusal> {
    let mut event = Event::from_utf8(data).map_err(invalid)?;
    if let Some(name) = query.first("event") {
        event = event.with_name(name);
    }
    if let Some(id) = query.first("id") {
        event = event.with_id(id);
    }
    if let Some(key) = query.first("key") {
        event = event.with_key(key);
    }
    if let Some(retry) = retry_of(query)? {
        event = event.with_retry(retry);
    }
    if let Some(text) = query.first("window") {
        event = event.with_window(window(text).map_err(bad_request)?);
    }
    Ok(event)
}

fn retry_of(query: &Query<'_>) -> Result<Option<Duration>, Refusal> {
    match query.first("retry").map(str::parse::<u64>).transpose() {
        Ok(ms) => Ok(ms.map(Duration::from_millis)),
        Err(_) => Err(bad_request("retry is a whole number of milliseconds")),
    }
}

/// Publishes an event a line, each as soon as it is there, and answers their ids. At the first line that
/// is not one, it stops.
pub(super) async fn many(
    hub: &Hub,
    pieces: &mut Pieces,
    mut patience: Patience,
) -> Result<Answer, Refusal> {
    let mut delivered = Delivered::default();
    let published = publish_lines(hub, pieces, &mut patience, &mut delivered).await;
    // What was published before a line that was refused is durable too when that is answered.
    delivered.is_durable = is_durable(hub, &mut patience).await;
    match published {
        Ok(()) => Ok(json(StatusCode::OK, &delivered)),
        Err(refusal) => Err(refusal.after(delivered)),
    }
}

async fn publish_lines(
    hub: &Hub,
    pieces: &mut Pieces,
    patience: &mut Patience,
    delivered: &mut Delivered,
) -> Result<(), Refusal> {
    let mut lines = Lines::new(hub.options().event_bytes_max * ESCAPE_BYTES + LINE_BYTES_MORE);
    while let Some(piece) = pieces.next().await? {
        let mut rest = &piece[..];
        loop {
            let (number, done) = match lines.take(&mut rest) {
                Ok(None) => break,
                Ok(Some((number, line))) => (number, publish_line(hub, line, patience).await),
                Err(TooLong(number)) => (number, Err(too_long())),
            };
            if let Some(Id(id)) = done.map_err(|no| no.at_line(number))? {
                delivered.add(id);
            }
        }
        // Others of the control side have their turn, even if this client is never waited for.
        future::yield_now().await;
    }
    if let Some((number, line)) = lines.last() {
        let done = publish_line(hub, line, patience).await;
        if let Some(Id(id)) = done.map_err(|no| no.at_line(number))? {
            delivered.add(id);
        }
    }
    Ok(())
}

/// The id that clients see of an event, or that of the end of a topic, if it is known.
#[derive(Debug, PartialEq, Eq)]
struct Id(Option<String>);

impl Id {
    fn of(own: Option<String>, published: &Published) -> Id {
        Id(own.or_else(|| Some(published.id()?.to_string())))
    }
}

/// A line, which is an event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Either this or `topics`.
    topic: Option<String>,
    topics: Option<Vec<String>>,
    data: Option<String>,
    event: Option<String>,
    id: Option<String>,
    key: Option<String>,
    /// In milliseconds.
    retry: Option<u64>,
    /// Whether the topic is finished: with the event as its last one, if the line has anything of
    /// an event.
    #[serde(default)]
    finish: bool,
    window: Option<Window>,
}

/// A time over which an event is spread.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "window is a number of milliseconds, or a time as \"10s\"")]
enum Window {
    Ms(u64),
    Text(String),
}

impl Window {
    fn time(&self) -> Result<Duration, String> {
        match self {
            Window::Ms(ms) => Ok(Duration::from_millis(*ms)),
            Window::Text(text) => window(text),
        }
    }
}

/// A time over which an event is spread, with its unit or in milliseconds.
fn window(text: &str) -> Result<Duration, String> {
    let ms = text.parse().map(Duration::from_millis);
    ms.or_else(|_| units::duration(text))
        .map_err(|how| format!("window: {how}, or in milliseconds"))
}

impl Line {
    fn has_event(&self) -> bool {
        let Line { data, event, id, key, retry, window, .. } = self;
        let is_any = [data, event, id, key].into_iter().any(Option::is_some);
        is_any || retry.is_some() || window.is_some()
    }

    fn topics(&self) -> Result<Vec<Topic>, Refusal> {
        let names = match (&self.topic, &self.topics) {
            (Some(topic), None) => std::slice::from_ref(topic),
            (None, Some(topics)) if !topics.is_empty() => &**topics,
            (Some(_), Some(_)) => return Err(bad_request("say topic or topics, not both")),
            _ => {
                return Err(bad_request("say a topic, \"topic\":..., or several, \"topics\":[...]"))
            }
        };
        names.iter().map(|name| Topic::new(name).map_err(bad_request)).collect()
    }

    fn into_event(self) -> Result<Event<'static>, Refusal> {
        let mut event = self.data.map_or_else(Event::empty, Event::new);
        if let Some(name) = self.event {
            event = event.with_name(name);
        }
        if let Some(id) = self.id {
            event = event.with_id(id);
        }
        if let Some(key) = self.key {
            event = event.with_key(key);
        }
        if let Some(ms) = self.retry {
            event = event.with_retry(Duration::from_millis(ms));
        }
        if let Some(window) = self.window {
            event = event.with_window(window.time().map_err(bad_request)?);
        }
        Ok(event)
    }
}

/// Publishes a line's event, or finishes its topic; a blank line is neither.
async fn publish_line(
    hub: &Hub,
    line: &[u8],
    patience: &mut Patience,
) -> Result<Option<Id>, Refusal> {
    match line.trim_ascii_start().first() {
        None => return Ok(None),
        Some(b'{') => {}
        // An array of as many elements would do for serde.
        Some(_) => return Err(bad_request("an event is a JSON object, {\"topic\":...}")),
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| bad_request(reason(&error)))?;
    let (topics, own) = (line.topics()?, line.id.clone());
    let published = match (line.finish, &topics[..]) {
        (false, topics) => publish(hub, topics, line.into_event()?, patience).await?,
        (true, [topic]) => {
            let last = line.has_event().then(|| line.into_event()).transpose()?;
            finish(hub, topic, last, patience).await?
        }
        (true, _) => {
            return Err(bad_request("topics are finished one by one; say one, \"topic\":..."));
        }
    };
    Ok(Some(Id::of(own, &published)))
}

/// What is wrong with a line, without the number of the line, which would always be 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
    format!("{} at column {}", clip(what.to_owned(), REASON_BYTES_MAX), error.column())
}

/// Waits until what was published is durable. `None` if the hub has no journal, and `Some(false)` when that
/// takes too long: the events are published all the same.
async fn is_durable(hub: &Hub, patience: &mut Patience) -> Option<bool> {
    match patience.wait_for(hub.flush_async()).await {
        Some(Ok(())) => Some(true),
        Some(Err(FlushError::NoJournal)) => None,
        Some(Err(_)) | None => Some(false),
    }
}

/// An answer to a publisher, when what was published is durable, or with a field that says that it is not.
pub(super) async fn settled(hub: &Hub, patience: &mut Patience, mut answer: Value) -> Value {
    if is_durable(hub, patience).await == Some(false) {
        answer["durable"] = false.into();
    }
    answer
}

/// Publishes an event to a topic or several, waiting a while if a backlog is full.
async fn publish(
    hub: &Hub,
    topics: &[Topic],
    event: Event<'_>,
    patience: &mut Patience,
) -> Result<Published, Refusal> {
    // A node of a cluster knows an event's id a moment later.
    if hub.options().cluster.is_some() {
        return patience.wait(hub.publish_to_async(topics, event)).await.map_err(refusal);
    }
    match hub.publish_to(topics, &event) {
        Err(PublishError::Full) => {}
        result => return result.map_err(refusal),
    }
    patience.wait(hub.publish_to_async(topics, event)).await.map_err(refusal)
}

/// Finishes a topic, waiting a while if the backlog is full.
pub(super) async fn finish(
    hub: &Hub,
    topic: &Topic,
    last: Option<Event<'_>>,
    patience: &mut Patience,
) -> Result<Published, Refusal> {
    if hub.options().cluster.is_some() {
        return patience.wait(hub.finish_async(topic, last)).await.map_err(refusal);
    }
    match hub.finish(topic, last.clone()) {
        Err(PublishError::Full) => {}
        result => return result.map_err(refusal),
    }
    patience.wait(hub.finish_async(topic, last)).await.map_err(refusal)
}

fn refusal(error: PublishError) -> Refusal {
    match error {
        PublishError::Invalid(error) => invalid(error),
        PublishError::Finished { .. } => {
            Refusal::new(StatusCode::CONFLICT, error).coded("finished")
        }
        PublishError::NoTopic | PublishError::TooManyTopics { .. } => bad_request(error),
        PublishError::Full => {
            let error = "too much waits to be sent; try again later";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).coded("full")
        }
        PublishError::Closed => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).coded("closed")
        }
        PublishError::Unreachable => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).coded("unreachable")
        }
        PublishError::Unwritable => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).coded("unwritable")
        }
        other => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, other),
    }
}

fn invalid(error: EventError) -> Refusal {
    match error {
        EventError::TooLarge { .. } => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error),
        _ => bad_request(error),
    }
}

fn too_long() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the line is longer than any event may be")
}

#[cfg(test)]
mod tests {
    use fanfare::Options;
    use hyper::header::HeaderValue;

    use super::*;

    fn publish_now(hub: &Hub, line: &str) -> Result<Option<Id>, Refusal> {
        let mut patience = Patience::of(&HeaderMap::new(), false);
        future::block_on(publish_line(hub, line.as_bytes(), &mut patience))
    }

    fn refused(text: &str) -> String {
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        let refusal = publish_now(&hub, text).unwrap_err();
        assert_eq!(hub.metrics().published_events, 0);
        format!("{refusal:?}")
    }

    #[test]
    fn a_line_is_an_event_and_a_blank_one_is_none() {
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        for (text, expected) in [
            (r#"{"topic":"a","data":"b"}"#, 1),
            ("{\"topic\":\"a\",\"data\":\"b\"}\r", 1),
            (r#"{"topic":"a","data":"","event":"e","id":"i","key":"k","retry":5}"#, 1),
            (r#"{"topic":"a","id":"only an id"}"#, 1),
            (r#"{"topic":"a","data":"b","event":null}"#, 1),
            (r#"{"topic":"a","data":"b","window":5}"#, 1),
            (r#"{"topic":"a","data":"b","window":"300000"}"#, 1),
            (r#"{"topic":"a","data":"b","window":"5m"}"#, 1),
            (r#"{"topics":["a","b","a"],"data":"b"}"#, 1),
            (r#"{"topics":["a","b"],"data":"b","window":"5m"}"#, 1),
            (r#"{"topic":null,"topics":["a"],"data":"b"}"#, 1),
            ("", 0),
            (" \r", 0),
        ] {
            let published = publish_now(&hub, text).unwrap();
            assert_eq!(published.map_or(0, |_| 1), expected, "{text}");
        }
        assert_eq!(hub.metrics().published_events, 11);
    }

    #[test]
    fn a_line_that_is_no_event_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"data":"b"}"#, "say a topic, \\\"topic\\\":..., or several"),
            (r#"{"topics":[],"data":"b"}"#, "say a topic, \\\"topic\\\":..., or several"),
            (r#"{"topic":"a","topics":["b"],"data":"b"}"#, "say topic or topics, not both"),
            (r#"{"topics":["a","b+"],"data":"b"}"#, "the topic holds '+'"),
            (r#"{"topics":"a","data":"b"}"#, "expected a sequence at column 13"),
            (r#"{"topic":"a","data":1}"#, "expected a string at column 21"),
            (r#"{"topic":"a","data":"b","dat":"c"}"#, "unknown field `dat`"),
            (r#"{"topic":"a"}"#, "the event is empty"),
            (r#"{"topic":"","data":"b"}"#, "the topic is empty"),
            (r#"{"topic":"a","data":"b","event":"x\ny"}"#, "which no client would get back"),
            (r#"{"topic":"a","data":"b"} x"#, "trailing characters at column 26"),
            (r#"{"topics":["a","b"],"finish":true}"#, "topics are finished one by one"),
            (r#"{"topics":["a","b"],"data":"b","window":"6m"}"#, "longer than 5 minutes"),
            (r#"{"topic":"a","data":"b","window":-1}"#, "window is a number of milliseconds"),
            (r#"{"topic":"a","data":"b","window":"soon"}"#, "window: write it as 500ms, 15s"),
            (r#"{"topic":"a","data":"b","window":"6m"}"#, "longer than 5 minutes"),
            ("nonsense", "an event is a JSON object"),
            (r#"["a","b",null,null,null,null]"#, "an event is a JSON object"),
        ] {
            let refusal = refused(text);
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
        let topics: Vec<String> = (0..=Event::TOPICS_MAX).map(|n| format!("\"{n}\"")).collect();
        let refusal = refused(&format!("{{\"topics\":[{}],\"data\":\"b\"}}", topics.join(",")));
        assert!(refusal.contains("the event has 65 topics; publish it to 64 at most"), "{refusal}");
    }

    #[test]
    fn only_its_content_type_makes_content_lines() {
        for (value, expected) in [
            ("application/x-ndjson", true),
            ("Application/X-NDJSON; charset=utf-8", true),
            ("application/ndjson", true),
            ("application/jsonl;charset=utf-8", true),
            ("application/json-lines", false),
            ("application/json", false),
            ("text/plain; x=application/x-ndjson", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_ndjson(&fields), expected, "{value}");
        }
        assert!(!is_ndjson(&HeaderMap::new()));
    }
}
