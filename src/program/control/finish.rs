//! `POST /finish`: a topic's end, with the content and the query as its last event if there is one.

use fanfare::{Hub, Topic};
use hyper::StatusCode;
use serde_json::json;

use super::answer::{bad_request, json, Answer, Refusal};
use super::body::Pieces;
use super::patience::Patience;
use super::publish::{described, finish, settled};
use crate::program::query::Query;

/// The fields of the query that make a last event, even if there is no content.
const OF_AN_EVENT: [&str; 4] = ["event", "id", "key", "retry"];

/// Finishes a topic, and answers the id of its last event, or else that of its end.
pub(super) async fn one(
    hub: &Hub,
    query: &str,
    pieces: &mut Pieces,
    mut patience: Patience,
) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    let topic = {
        let mut topics = query.all("topic");
        match (topics.next(), topics.next()) {
            (Some(topic), None) => Topic::new(topic).map_err(bad_request)?,
            _ => return Err(bad_request("say one topic: /finish?topic=NAME")),
        }
    };
    let data = pieces.all(hub.options().event_bytes_max).await?;
    let event = described(&query, &data)?;
    // Such an event is refused.
    let is_spread = !event.window().is_zero();
    let is_described = OF_AN_EVENT.into_iter().any(|name| query.first(name).is_some());
    let has_last = !data.is_empty() || is_described || is_spread;
    let finished = finish(hub, &topic, has_last.then_some(event), &mut patience).await?;
    let own = query.first("id").map(str::to_owned);
    let id = own.or_else(|| Some(finished.id()?.to_string()));
    Ok(json(StatusCode::OK, &settled(hub, &mut patience, json!({ "id": id })).await))
}
