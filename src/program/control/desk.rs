//! Which request gets which answer.

use std::net::SocketAddr;
use std::time::SystemTime;

use fanfare::Hub;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, EXPECT};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};

use super::answer::{content_of, Answer, Refusal};
use super::body::Pieces;
use super::connections;
use super::metrics;
use super::permit::Permit;
use super::publish;

/// The path of event streams, which the engine serves and not the control side.
pub(crate) const EVENTS: &str = "/events";

const PAGE: &str = include_str!("../page.html");
/// Where the page holds that event's name.
const PAGE_GAP_EVENT: &str = "name=\"gap-event\" content=\"fanfare-gap\"";
/// The page has no outside assets, and may talk to nobody but its own server.
const PAGE_FIELDS: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) hub: Hub,
    pub(crate) permit: Permit,
    pub(crate) started: SystemTime,
}

impl Desk {
    /// Answers a request, and may hand back content that nobody has read.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> (Answer, Option<Pieces>) {
        let (head, body) = request.into_parts();
        let get = matches!(head.method, Method::GET | Method::HEAD);
        let answer = match head.uri.path() {
            "/" if get => Ok(page(&self.hub.options().gap_event)),
            "/healthz" if get => Ok(health(&self.hub)),
            "/metrics" if get => {
                let text = metrics::text(&self.hub.metrics(), self.started);
                Ok(content_of(metrics::CONTENT_TYPE, text))
            }
            "/publish" if head.method == Method::POST => {
                let query = head.uri.query().unwrap_or("");
                return self.publish(peer, query, &head.headers, body).await;
            }
            "/connections" if get || matches!(head.method, Method::PUT | Method::DELETE) => {
                self.connections(&head, peer).await
            }
            "/topics" if get => self.connections(&head, peer).await,
            "/publish" => Err(Refusal::method("POST")),
            "/connections" => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
            "/topics" => Err(Refusal::method("GET, HEAD")),
            "/" | "/healthz" | "/metrics" => Err(Refusal::method("GET, HEAD")),
            _ => {
                let error = "there is nothing here; there are /events, /publish, /connections, \
                             /topics, /healthz, /metrics and /";
                Err(Refusal::new(StatusCode::NOT_FOUND, error))
            }
        };
        (answer.unwrap_or_else(Answer::from), None)
    }

    /// What says who is there, gives connections other topics and ends them: for those who may
    /// publish.
    async fn connections(&self, head: &Parts, peer: SocketAddr) -> Result<Answer, Refusal> {
        self.permit.check(peer.ip(), &head.headers).map_err(Refusal::denied)?;
        let query = head.uri.query().unwrap_or("");
        match (head.uri.path(), &head.method) {
            ("/connections", &Method::PUT) => connections::change(&self.hub, query).await,
            ("/connections", &Method::DELETE) => connections::disconnect(&self.hub, query).await,
            ("/connections", _) => connections::list(&self.hub, query).await,
            _ => connections::topics(&self.hub, query).await,
        }
    }

    async fn publish(
        &self,
        peer: SocketAddr,
        query: &str,
        fields: &HeaderMap,
        body: Incoming,
    ) -> (Answer, Option<Pieces>) {
        let mut pieces = Pieces::new(body);
        let answer = match self.permit.check(peer.ip(), fields) {
            Err(denied) => Err(Refusal::denied(denied)),
            Ok(()) if publish::is_ndjson(fields) => publish::many(&self.hub, &mut pieces).await,
            Ok(()) => publish::one(&self.hub, query, &mut pieces).await,
        };
        match answer {
            Ok(answer) => (answer, None),
            Err(refusal) => {
                log::debug!("{peer} may not publish, or not this: {refusal:?}");
                // Who waits for `100 Continue` has not sent the content, and needs not to.
                let late = refusal.status == StatusCode::REQUEST_TIMEOUT;
                let unread = (!late && !fields.contains_key(EXPECT)).then_some(pieces);
                (refusal.into(), unread)
            }
        }
    }
}

/// Whether all shards serve. One that has failed serves nobody, until the program is restarted.
fn health(hub: &Hub) -> Answer {
    let (living, all) = (hub.metrics().living_shards, hub.options().shards);
    match living == all as u64 {
        true => content_of("text/plain; charset=utf-8", "ok\n"),
        false => {
            let error = format!("{living} of {all} shards serve; restart the server");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).into()
        }
    }
}

/// The page, which has to know what the event is called that tells it of missing ones.
fn page(gap_event: &str) -> Answer {
    let name = gap_event.replace('&', "&amp;").replace('"', "&quot;");
    let page = PAGE.replacen(PAGE_GAP_EVENT, &format!("name=\"gap-event\" content=\"{name}\""), 1);
    let mut answer = content_of("text/html; charset=utf-8", page);
    for (name, value) in PAGE_FIELDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::Options;

    #[test]
    fn it_is_well_as_long_as_all_shards_serve() {
        let (hub, mut drivers) =
            Hub::with_drivers(Options { shards: 2, ..Options::default() }).unwrap();
        assert_eq!(health(&hub).status(), StatusCode::OK);
        drop(drivers.pop());
        assert_eq!(health(&hub).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
