//! Which request gets which answer.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::SystemTime;

use fanfare::{Hub, Metrics};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, AUTHORIZATION, EXPECT};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::answer::{content_of, Answer, Refusal};
use super::auth::{Auth, Caller, Denied};
use super::body::Pieces;
use super::codings::{check_content_coding, check_transfer_coding};
use super::connections;
use super::finish;
use super::hosts::{authority_of, HostNames};
use super::metrics::{self, Counts};
use super::page;
use super::patience::{preferred_wait, Patience};
use super::pool::AuthState;
use super::publish;
use super::streams::{Streams, EVENTS};
use crate::program::seldom::Seldom;

/// The path that says whether the server is well. On the public listener the engine answers it.
pub(crate) const HEALTH: &str = "/healthz";

/// The paths that the server answers, whatever paths streams have.
pub(crate) const OWN_PATHS: [&str; 10] = [
    EVENTS,
    HEALTH,
    "/",
    page::STYLE_PATH,
    page::SCRIPT_PATH,
    "/metrics",
    "/publish",
    "/finish",
    "/connections",
    "/topics",
];

/// What a program of this machine is told that asks for another path.
const ALL_THERE_IS: &str = "there is nothing here; there are /events, the paths of --route, \
     /publish, /finish, /connections, /topics, /healthz, /metrics and, for programs of this \
     machine, /";

/// The most header fields of a request whose token is looked at before the request is served.
const FIELDS_MAX: usize = 128;

/// Clients can bring this about as often as they like.
static WRONG_TOKEN: Seldom = Seldom::new();

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) hosts: HostNames,
    pub(crate) streams: Streams,
    pub(crate) started: SystemTime,
    pub(crate) counts: Arc<Counts>,
}

impl Router {
    /// What is known of a connection's permission by what was read from it: nothing, or at least
    /// its request's head.
    pub(super) fn auth_state(&self, caller: Caller, read: &[u8]) -> AuthState {
        match self.auth.is_authorized(caller, &authorization_of(read)) {
            true => AuthState::Authorized,
            false if read.is_empty() => AuthState::Unknown,
            false => AuthState::Unauthorized,
        }
    }

    /// The host that a request is for, which has to be this server.
    pub(super) fn authority<'a>(
        &self,
        head: &'a Parts,
        caller: Caller,
    ) -> Result<Option<&'a str>, Refusal> {
        let authority = authority_of(head)?;
        if caller.rules.checks_host {
            self.hosts.check(authority)?;
        }
        Ok(authority)
    }

    /// Answers a request, and may hand back content that is not read yet.
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
        check_transfer_coding(&head.headers)?;
        let get = matches!(head.method, Method::GET | Method::HEAD);
        let path = head.uri.path();
        let may_read =
            || self.auth.check_read(caller, &head.headers).map_err(|no| self.deny(caller, no));
        let may_act = || {
            self.auth
                .check_act(caller, &head.headers, authority)
                .map_err(|no| self.deny(caller, no))
        };
        match path {
            HEALTH if get => health(&self.hub),
            HEALTH => Err(Refusal::method("GET, HEAD")),
            "/" | page::STYLE_PATH | page::SCRIPT_PATH if caller.rules.is_local => match path {
                _ if !get => Err(Refusal::method("GET, HEAD")),
                "/" => Ok(page::page(&self.hub.options().gap_event)),
                page::STYLE_PATH => Ok(page::style()),
                _ => Ok(page::script()),
            },
            "/metrics" | "/publish" | "/finish" | "/connections" | "/topics"
                if !self.serves_more(caller) =>
            {
                Err(Refusal::denied(Denied::NotServed))
            }
            "/metrics" if get => {
                may_read()?;
                let (metrics, rules) = (self.hub.metrics(), self.hub.rules());
                let text = metrics::text(&metrics, &rules, &self.counts, self.started);
                Ok(content_of(Metrics::PROMETHEUS_CONTENT_TYPE, text))
            }
            "/metrics" => Err(Refusal::method("GET, HEAD")),
            "/publish" if head.method == Method::POST => {
                may_act()?;
                self.publish(head, pieces).await
            }
            "/finish" if head.method == Method::POST => {
                may_act()?;
                self.finish(head, pieces).await
            }
            "/publish" | "/finish" => Err(Refusal::method("POST")),
            "/connections" if get || matches!(head.method, Method::PUT | Method::DELETE) => {
                may_act()?;
                self.connections(head).await
            }
            "/connections" => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
            "/topics" if get => {
                may_act()?;
                let wait = preferred_wait(&head.headers);
                connections::topics(&self.hub, head.uri.query().unwrap_or(""), wait).await
            }
            "/topics" => Err(Refusal::method("GET, HEAD")),
            _ => Err(self.nothing(caller)),
        }
    }

    /// Refuses a request, and counts and logs a wrong token.
    fn deny(&self, caller: Caller, denied: Denied) -> Refusal {
        if denied == Denied::TokenWrong {
            self.counts.wrong_tokens.fetch_add(1, Ordering::Relaxed);
            WRONG_TOKEN.log(|more| {
                let peer = caller
                    .peer
                    .map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_string());
                log::warn!("a request from {peer} showed a wrong token{more}");
            });
        }
        Refusal::denied(denied)
    }

    /// Whether anything but streams is served to a caller. If not, the caller need not know that
    /// there is more.
    fn serves_more(&self, caller: Caller) -> bool {
        caller.rules.is_local || self.auth.has_token()
    }

    fn nothing(&self, caller: Caller) -> Refusal {
        let error = match self.serves_more(caller) {
            true => ALL_THERE_IS,
            false => "there is nothing here; there are /events, the paths of --route, and /healthz",
        };
        Refusal::new(StatusCode::NOT_FOUND, error)
    }

    async fn publish(&self, head: &Parts, pieces: &mut Pieces) -> Result<Answer, Refusal> {
        check_content_coding(&head.headers)?;
        let query = head.uri.query().unwrap_or("");
        match publish::is_ndjson(&head.headers) {
            true => {
                let patience = Patience::of(&head.headers, pieces.is_open_ended());
                publish::many(&self.hub, pieces, patience).await
            }
            false => {
                let patience = Patience::of(&head.headers, false);
                publish::one(&self.hub, query, pieces, patience).await
            }
        }
    }

    async fn finish(&self, head: &Parts, pieces: &mut Pieces) -> Result<Answer, Refusal> {
        check_content_coding(&head.headers)?;
        if publish::is_ndjson(&head.headers) {
            let error =
                "lines are for /publish; there \"finish\":true in a line finishes its topic";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let patience = Patience::of(&head.headers, false);
        finish::one(&self.hub, head.uri.query().unwrap_or(""), pieces, patience).await
    }

    /// Lists connections, gives one other topics, or ends some.
    async fn connections(&self, head: &Parts) -> Result<Answer, Refusal> {
        let query = head.uri.query().unwrap_or("");
        match head.method {
            Method::PUT => connections::change(&self.hub, query).await,
            Method::DELETE => connections::disconnect(&self.hub, query).await,
            _ => connections::list(&self.hub, query, preferred_wait(&head.headers)).await,
        }
    }
}

/// Whether all shards serve. One that has failed serves no client until the program is restarted.
fn health(hub: &Hub) -> Result<Answer, Refusal> {
    let (metrics, all) = (hub.metrics(), hub.options().shards);
    let failed = |error: String| Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error));
    match metrics.living_shards {
        living if living < all as u64 => {
            failed(format!("{living} of {all} shards serve; restart the server"))
        }
        _ if metrics.journal_failing > 0 => {
            let why = hub.journal_trouble().unwrap_or_else(|| "it was a moment ago".to_owned());
            failed(format!("the journal cannot be written: {why}"))
        }
        _ if metrics.cluster_failing > 0 => {
            let why = hub.cluster_trouble().unwrap_or_else(|| "it was a moment ago".to_owned());
            failed(format!("the cluster does not serve: {why}"))
        }
        _ => Ok(content_of("text/plain; charset=utf-8", "ok\n")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::Options;

    #[test]
    fn every_path_that_is_told_of_is_kept_from_routes() {
        let told: Vec<_> =
            ALL_THERE_IS.split([' ', ',']).filter(|word| word.starts_with('/')).collect();
        assert_eq!(told.len(), OWN_PATHS.len() - 2, "all but the page's files: {told:?}");
        assert!(told.iter().all(|path| OWN_PATHS.contains(path)), "{told:?}");
    }

    #[test]
    fn it_is_well_as_long_as_all_shards_serve() {
        let (hub, mut drivers) = Hub::with_drivers(Options::default().shards(2)).unwrap();
        assert_eq!(health(&hub).unwrap().status(), StatusCode::OK);
        drop(drivers.pop());
        assert_eq!(health(&hub).unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
