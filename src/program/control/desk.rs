//! Which request gets which answer.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare::Hub;
use hyper::body::Incoming;
use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, AUTHORIZATION, CONTENT_ENCODING, EXPECT, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::answer::{content_of, Answer, Refusal};
use super::body::Pieces;
use super::connections;
use super::crowd::{Counts, Standing};
use super::hosts::{authority_of, Hosts};
use super::metrics;
use super::page;
use super::permit::{Caller, Denied, Permit};
use super::publish;

/// The path of event streams, which the engine serves and not the control side.
pub(crate) const EVENTS: &str = "/events";

/// The path that says whether the server is well. On the public listener the engine answers it.
pub(crate) const HEALTH: &str = "/healthz";

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
        check_transfer_coding(&head.headers)?;
        let get = matches!(head.method, Method::GET | Method::HEAD);
        let path = head.uri.path();
        let may_read = || self.permit.to_read(caller, &head.headers).map_err(Refusal::denied);
        let may_act =
            || self.permit.to_act(caller, &head.headers, authority).map_err(Refusal::denied);
        match path {
            HEALTH if get => health(&self.hub),
            HEALTH => Err(Refusal::method("GET, HEAD")),
            "/" | page::STYLE_PATH | page::SCRIPT_PATH if caller.entrance.is_local => match path {
                _ if !get => Err(Refusal::method("GET, HEAD")),
                "/" => Ok(page::page(&self.hub.options().gap_event)),
                page::STYLE_PATH => Ok(page::style()),
                _ => Ok(page::script()),
            },
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
        check_content_coding(&head.headers)?;
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

/// Refuses content that would be published as the bytes of some compressed form.
fn check_content_coding(fields: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = codings(fields, &CONTENT_ENCODING);
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Err(Refusal::content_coding(coding)),
        None => Ok(()),
    }
}

/// Refuses transfer codings beside chunked, which hyper undoes, and which has to be the last
/// (RFC 9112, section 6.1).
fn check_transfer_coding(fields: &HeaderMap) -> Result<(), Refusal> {
    let (mut chunked, mut others) = codings(fields, &TRANSFER_ENCODING)
        .partition::<Vec<_>, _>(|coding| coding.eq_ignore_ascii_case("chunked"));
    match (chunked.pop(), chunked.pop(), others.pop()) {
        (_, _, Some(coding)) => {
            let error =
                format!("only chunked is undone here of the transfer codings, not {coding}");
            Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, error))
        }
        (_, Some(_), None) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "the content is chunked more than once"))
        }
        (_, None, None) => Ok(()),
    }
}

/// The codings that fields of a name list. What is no text is no coding that anyone knows.
fn codings<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = fields.get_all(name).into_iter();
    let listed = values.flat_map(|value| value.to_str().unwrap_or("unknown").split(','));
    listed.map(str::trim).filter(|coding| !coding.is_empty())
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
    fn it_is_well_as_long_as_all_shards_serve() {
        let (hub, mut drivers) = Hub::with_drivers(Options::default().shards(2)).unwrap();
        assert_eq!(health(&hub).unwrap().status(), StatusCode::OK);
        drop(drivers.pop());
        assert_eq!(health(&hub).unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
