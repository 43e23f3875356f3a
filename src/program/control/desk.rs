//! Which request gets which answer.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare::Hub;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, AUTHORIZATION, EXPECT};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::answer::{content_of, Answer, Refusal};
use super::body::Pieces;
use super::connections;
use super::crowd::{Counts, Standing};
use super::hosts::{authority_of, Hosts};
use super::metrics;
use super::permit::{Caller, Denied, Permit};
use super::publish;

/// The path of event streams, which the engine serves and not the control side.
pub(crate) const EVENTS: &str = "/events";

/// The path that says whether the server is well. On the public listener the engine answers it.
pub(crate) const HEALTH: &str = "/healthz";

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

/// The most header fields that a request may have and be known by its token before it is served.
const FIELDS_MAX: usize = 128;

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) hub: Hub,
    pub(crate) permit: Permit,
    pub(crate) hosts: Hosts,
    pub(crate) started: SystemTime,
    pub(crate) counts: Arc<Counts>,
}

impl Desk {
    /// What is known of a connection by what was read from it, which is nothing or at least its
    /// request's head.
    pub(super) fn standing(&self, caller: Caller, read: &[u8]) -> Standing {
        match self.permit.is_known(caller, &authorization_of(read)) {
            true => Standing::Permitted,
            false if read.is_empty() => Standing::Unknown,
            false => Standing::Stranger,
        }
    }

    /// The host that a request is for, which has to be this server.
    pub(super) fn authority<'a>(
        &self,
        head: &'a Parts,
        caller: Caller,
    ) -> Result<Option<&'a str>, Refusal> {
        let authority = authority_of(head)?;
        if caller.entrance.checks_host {
            self.hosts.check(authority)?;
        }
        Ok(authority)
    }

    /// Answers a request, and may hand back content that nobody has read.
    pub(super) async fn answer(
        &self,
        head: &Parts,
        authority: Result<Option<&str>, Refusal>,
        body: Incoming,
        caller: Caller,
    ) -> (Answer, Option<Pieces>) {
        let mut pieces = Pieces::new(body);
        let refusal = match self.answer_to(head, authority, &mut pieces, caller).await {
            Ok(answer) => return (answer, None),
            Err(refusal) => refusal,
        };
        log::debug!("{:?}: {} {}: {refusal:?}", caller.peer, head.method, head.uri.path());
        // A client that waits for `100 Continue` has not sent the content, and need not.
        let late = refusal.status == StatusCode::REQUEST_TIMEOUT;
        let unread = (!late && !head.headers.contains_key(EXPECT)).then_some(pieces);
        (refusal.into(), unread)
    }

    async fn answer_to(
        &self,
        head: &Parts,
        authority: Result<Option<&str>, Refusal>,
        pieces: &mut Pieces,
        caller: Caller,
    ) -> Result<Answer, Refusal> {
        let authority = authority?;
        let get = matches!(head.method, Method::GET | Method::HEAD);
        let path = head.uri.path();
        let may_read = || self.permit.to_read(caller, &head.headers).map_err(Refusal::denied);
        let may_act =
            || self.permit.to_act(caller, &head.headers, authority).map_err(Refusal::denied);
        match path {
            HEALTH if get => health(&self.hub),
            HEALTH => Err(Refusal::method("GET, HEAD")),
            "/" if caller.entrance.is_local && get => Ok(page(&self.hub.options().gap_event)),
            "/" if caller.entrance.is_local => Err(Refusal::method("GET, HEAD")),
            "/metrics" | "/publish" | "/connections" | "/topics" if !self.is_here(caller) => {
                Err(Refusal::denied(Denied::NotHere))
            }
            "/metrics" if get => {
                may_read()?;
                let text = metrics::text(&self.hub.metrics(), &self.counts, self.started);
                Ok(content_of(metrics::CONTENT_TYPE, text))
            }
            "/metrics" => Err(Refusal::method("GET, HEAD")),
            "/publish" if head.method == Method::POST => {
                may_act()?;
                self.publish(head, pieces).await
            }
            "/publish" => Err(Refusal::method("POST")),
            "/connections" if get || matches!(head.method, Method::PUT | Method::DELETE) => {
                may_act()?;
                self.connections(head).await
            }
            "/connections" => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
            "/topics" if get => {
                may_act()?;
                connections::topics(&self.hub, head.uri.query().unwrap_or("")).await
            }
            "/topics" => Err(Refusal::method("GET, HEAD")),
            _ => Err(self.nothing(path, caller)),
        }
    }

    /// Whether anything but streams is served to a caller: the others need not know that it is.
    fn is_here(&self, caller: Caller) -> bool {
        caller.entrance.is_local || self.permit.has_token()
    }

    fn nothing(&self, path: &str, caller: Caller) -> Refusal {
        let error = match (path, self.is_here(caller)) {
            (EVENTS, _) => {
                "a Unix socket has no event streams; they are at the address of --listen"
            }
            (_, true) => {
                "there is nothing here; there are /events, /publish, /connections, /topics, \
                 /healthz, /metrics and, for programs of this machine, /"
            }
            (_, false) => "there is nothing here; there are /events and /healthz",
        };
        Refusal::new(StatusCode::NOT_FOUND, error)
    }

    async fn publish(&self, head: &Parts, pieces: &mut Pieces) -> Result<Answer, Refusal> {
        match publish::is_ndjson(&head.headers) {
            true => publish::many(&self.hub, pieces).await,
            false => publish::one(&self.hub, head.uri.query().unwrap_or(""), pieces).await,
        }
    }

    /// Lists connections, gives one other topics, or ends some.
    async fn connections(&self, head: &Parts) -> Result<Answer, Refusal> {
        let query = head.uri.query().unwrap_or("");
        match head.method {
            Method::PUT => connections::change(&self.hub, query).await,
            Method::DELETE => connections::disconnect(&self.hub, query).await,
            _ => connections::list(&self.hub, query).await,
        }
    }
}

/// Whether all shards serve. One that has failed serves nobody, until the program is restarted.
fn health(hub: &Hub) -> Result<Answer, Refusal> {
    let (living, all) = (hub.metrics().living_shards, hub.options().shards);
    match living == all as u64 {
        true => Ok(content_of("text/plain; charset=utf-8", "ok\n")),
        false => {
            let error = format!("{living} of {all} shards serve; restart the server");
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error))
        }
    }
}

/// The fields of a request's head that may show a token.
fn authorization_of(read: &[u8]) -> HeaderMap {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let mut found = HeaderMap::new();
    if request.parse(read).is_ok_and(|status| status.is_complete()) {
        let named =
            |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        for field in request.headers.iter().filter(named) {
            found.extend(HeaderValue::from_bytes(field.value).map(|value| (AUTHORIZATION, value)));
        }
    }
    found
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
        assert_eq!(health(&hub).unwrap().status(), StatusCode::OK);
        drop(drivers.pop());
        assert_eq!(health(&hub).unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
