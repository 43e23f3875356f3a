//! Event streams with axum.

use std::error::Error;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use fanfare::{EventStream, Hub, StreamOptions, Subscription};
use fanfare_frameworks::{hub, serve, Settings};
use hyper_util::service::TowerToHyperService;

async fn events(State(hub): State<Hub>, Path(topic): Path<String>, head: HeaderMap) -> Response {
    let Ok(wanted) = Subscription::new(&topic) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let last_id = head.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let options = StreamOptions::default().last_event_id(last_id.unwrap_or_default());
    match hub.subscribe([wanted], options) {
        Ok(stream) if stream.is_complete() => StatusCode::NO_CONTENT.into_response(),
        Ok(stream) => {
            (AppendHeaders(EventStream::HEADERS), Body::from_stream(stream)).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = axum::Router::new().route("/events/{*topic}", get(events)).with_state(hub()?);
    serve(Settings::from_arguments()?, TowerToHyperService::new(router)).await
}
