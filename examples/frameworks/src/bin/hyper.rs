//! Event streams with hyper alone.

use std::convert::Infallible;
use std::error::Error;

use fanfare::{Disconnected, EventStream, Hub, StreamOptions, Subscription};
use fanfare_frameworks::{hub, serve, Settings};
use futures_util::TryStreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

type Body = BoxBody<Bytes, Disconnected>;

fn events(hub: &Hub, request: &Request<Incoming>) -> Response<Body> {
    let topic = request.uri().path().strip_prefix("/events/").unwrap_or_default();
    let last_id = request.headers().get("last-event-id");
    let last_id = last_id.map(|id| String::from_utf8_lossy(id.as_bytes())).unwrap_or_default();
    let options = StreamOptions::default().last_event_id(last_id);
    let Ok(wanted) = Subscription::new(topic) else { return empty(400) };
    match hub.subscribe([wanted], options) {
        Ok(stream) if stream.is_complete() => empty(204),
        Ok(stream) => {
            let mut response = Response::new(StreamBody::new(stream.map_ok(Frame::data)).boxed());
            for (name, value) in EventStream::HEADERS {
                response.headers_mut().insert(name, value.parse().expect("it is a field's value"));
            }
            response
        }
        Err(_) => empty(503),
    }
}

fn empty(status: u16) -> Response<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed();
    let response = Response::builder().status(status).body(body);
    response.expect("there is no header field that is wrong")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = hub()?;
    let service = service_fn(move |request: Request<Incoming>| {
        let response = events(&hub, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    serve(Settings::from_arguments()?, service).await
}
