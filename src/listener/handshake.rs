//! The handshake of a listener's clients: HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::authorize::{authorize, narrow, settle, unfit, Authorization, Settled, Wishes};
use super::content::{await_content, Arrival};
use super::error::ListenError;
use super::finished;
use super::options::{ListenOptions, Overload};
use super::proxies::Proxies;
use super::refusal::Refusal;
use super::routes::{Compiled, Matched, Routes};
use super::start::last_event_id;
use crate::authorizer::{Admission, StreamAsk, Verdict};
use crate::cluster::BEHIND_RETRY;
use crate::excerpt::Excerpt;
use crate::frame::Wire;
use crate::grant::Grant;
use crate::heartbeat::HeartbeatForm;
use crate::http::cors::CorsRules;
use crate::http::field::Fields;
use crate::http::host::{Host, Hosts};
use crate::http::query::Query;
use crate::http::request::{Head, Request};
use crate::http::response;
use crate::options::{jittered, OptionsError};
use crate::policy::Policy;
use crate::shard::{Awaited, Handshake, HandshakeStep, Peer, Shared, StreamRequest};

/// Answers requests for the shards, as a listener's options say.
pub(super) struct HttpHandshake {
    pub(super) options: ListenOptions,
    pub(super) cors: CorsRules,
    pub(super) hosts: Arc<Hosts>,
    pub(super) routes: Arc<Routes>,
    pub(super) proxies: Arc<Proxies>,
    retry: Duration,
    pub(super) policy: Policy,
    heartbeat_form: HeartbeatForm,
    pub(super) shared: Arc<Shared>,
}

/// What has entries that are checked one by one.
pub(super) struct Entries {
    cors: CorsRules,
    hosts: Hosts,
    routes: Routes,
    proxies: Proxies,
}

impl Entries {
    /// Those of options, the rest of which has been checked.
    pub(super) fn new(options: &ListenOptions) -> Result<Entries, OptionsError> {
        let of = |option| move |why: String| OptionsError { option, bounds: why.into() };
        let cors = CorsRules::new(&options.cors).map_err(of("cors"))?;
        Ok(Entries {
            routes: Routes::new(options, &cors)?,
            hosts: Hosts::new(&options.hosts).map_err(of("hosts"))?,
            proxies: Proxies::new(options)?,
            cors,
        })
    }
}

impl HttpHandshake {
    /// The handshake of a listener with these options, the rest of which has been checked.
    pub(super) fn new(
        options: ListenOptions,
        shared: Arc<Shared>,
    ) -> Result<HttpHandshake, ListenError> {
        let hub = &shared.options;
        let entries = Entries::new(&options).map_err(ListenError::Options)?;
        Ok(HttpHandshake {
            hosts: Arc::new(entries.hosts),
            routes: Arc::new(entries.routes),
            proxies: Arc::new(entries.proxies),
            cors: entries.cors,
            retry: hub.retry,
            policy: hub.policy,
            heartbeat_form: hub.heartbeat_form,
            options,
            shared,
        })
    }

    /// The same, on the listener's address; `None` is that of a Unix domain socket.
    pub(super) fn on(self, addr: Option<SocketAddr>) -> HttpHandshake {
        HttpHandshake { hosts: Arc::new(self.hosts.on(addr)), ..self }
    }
}

/// A request for a path that has streams.
struct Asked<'a> {
    request: &'a Request<'a>,
    matched: Matched<'a>,
    /// The bytes of its head.
    head_bytes: usize,
    /// What has come behind its head.
    behind: &'a [u8],
    /// The lines of CORS for its answer.
    cors: String,
    look: Look<'a>,
}

/// What is known of a request beside its head.
#[derive(Clone, Copy)]
struct Look<'a> {
    content: ContentSoFar<'a>,
    /// What the host has said of it.
    verdict: Option<&'a Verdict>,
    /// Who it is from.
    peer: &'a Peer,
    beyond_bounds: bool,
}

/// What has come of a request's content.
#[derive(Clone, Copy)]
enum ContentSoFar<'a> {
    /// What came behind the head, and perhaps more.
    Behind,
    /// All of it; this was kept.
    All(&'a [u8]),
}

impl Handshake for HttpHandshake {
    fn accepted(&self, addr: Option<SocketAddr>) -> Peer {
        self.proxies.accepted(addr)
    }

    fn step(&self, head: &[u8], peer: &Peer, beyond_bounds: bool) -> HandshakeStep {
        match peer.awaited {
            Awaited::Preface => {
                let refuse = |why: String| self.refuse("400 Bad Request", "", &why);
                let read = self.proxies.read_header(head, peer);
                read.unwrap_or_else(|why| HandshakeStep::Answer(refuse(why)))
            }
            Awaited::Request | Awaited::Nothing => {
                let content = ContentSoFar::Behind;
                self.look(head, Look { content, verdict: None, peer, beyond_bounds })
            }
        }
    }

    fn after_content(
        &self,
        head: &[u8],
        content: &[u8],
        peer: &Peer,
        beyond_bounds: bool,
    ) -> HandshakeStep {
        let content = ContentSoFar::All(content);
        self.look(head, Look { content, verdict: None, peer, beyond_bounds })
    }

    fn after_verdict(
        &self,
        head: &[u8],
        verdict: &Verdict,
        peer: &Peer,
        beyond_bounds: bool,
    ) -> HandshakeStep {
        let content = ContentSoFar::All(&[]);
        self.look(head, Look { content, verdict: Some(verdict), peer, beyond_bounds })
    }

    fn too_slow(&self) -> Vec<u8> {
        let text =
            "the request's head, or its content, did not come in time; send it whole, and at \
                    once";
        self.refuse("408 Request Timeout", "", text)
    }

    fn fallback_is_full(&self) -> Vec<u8> {
        let text = "too many requests at once; come again";
        self.refuse("503 Service Unavailable", "Retry-After: 5\r\n", text)
    }

    fn head_time_max(&self) -> Duration {
        self.options.head_time_max
    }
}

impl HttpHandshake {
    /// Says what is to be done by what has come: at least the beginning of a request's head.
    fn look(&self, head: &[u8], look: Look<'_>) -> HandshakeStep {
        let (bytes_max, fields_max) = (self.options.head_bytes_max, self.options.head_fields_max);
        let too_large = |what: String| {
            let text = format!(
                "the request's head has more than {what}; send fewer header fields and a shorter \
                 target"
            );
            HandshakeStep::Answer(self.refuse("431 Request Header Fields Too Large", "", &text))
        };
        match Head::parse(head, fields_max) {
            Head::Partial if head.len() < bytes_max => HandshakeStep::More,
            Head::Partial => too_large(format!("{bytes_max} bytes (head_bytes_max)")),
            Head::Complete(_, bytes) if bytes > bytes_max => {
                too_large(format!("{bytes_max} bytes (head_bytes_max)"))
            }
            Head::TooManyFields => {
                too_large(format!("{fields_max} header fields (head_fields_max)"))
            }
            Head::Malformed(why) => HandshakeStep::Answer(self.refuse("400 Bad Request", "", why)),
            Head::Complete(request, _) if look.peer.awaited == Awaited::Request => {
                HandshakeStep::Peer { skip: 0, peer: self.proxies.client_of(&request, look.peer) }
            }
            Head::Complete(request, bytes) => {
                match (self.answer(&request, head.split_at(bytes), look), request.method) {
                    (HandshakeStep::Answer(answer), "HEAD") => {
                        HandshakeStep::Answer(response::head_of(answer))
                    }
                    (step, _) => step,
                }
            }
        }
    }

    /// An answer that is the same for pages of all origins.
    fn refuse(&self, status: &str, fields: &str, text: &str) -> Vec<u8> {
        response::refusal(status, &format!("{}{fields}", self.cors.vary()), text)
    }

    fn answer(
        &self,
        request: &Request<'_>,
        (head, behind): (&[u8], &[u8]),
        look: Look<'_>,
    ) -> HandshakeStep {
        if let (false, Host::Name(name)) = (self.hosts.has(request.host), request.host) {
            let text = format!(
                "this server is not known as {}; if it is to be, list the name in hosts (fanfare \
                 serve --host), or set any_host (C and other languages)",
                Excerpt::of(name)
            );
            return HandshakeStep::Answer(self.refuse("421 Misdirected Request", "", &text));
        }
        if self.routes.is_health(request.path) {
            return HandshakeStep::Answer(self.health(request.method));
        }
        let origin = request.field("origin");
        if self.routes.exchanges_at(request.path) {
            let (addr, beyond_bounds) = (look.peer.client, look.beyond_bounds);
            return HandshakeStep::Answer(self.exchange(request, addr, beyond_bounds));
        }
        let Some(matched) = self.routes.find(request.path) else {
            return match self.options.fallback {
                Some(_) => HandshakeStep::Unhandled,
                None => HandshakeStep::Answer(self.nothing(origin.as_deref())),
            };
        };
        let route = matched.route;
        if request.method == "OPTIONS" {
            let asked = request.values("access-control-request-headers");
            let cors = self.cors.preflight(origin.as_deref(), route.methods(), asked);
            return HandshakeStep::Answer(response::options(route.allow(), &cors));
        }
        let cors = self.cors.fields(origin.as_deref(), &route.exposing);
        let asked = Asked { request, matched, head_bytes: head.len(), behind, cors, look };
        match self.stream(&asked) {
            Ok(step) => step,
            Err(refusal) => {
                let names = route.headers.names().chain(refusal.names());
                let cors = self.cors.fields(origin.as_deref(), &self.cors.exposing(names));
                HandshakeStep::Answer(refusal.answer(&cors))
            }
        }
    }

    /// The answer for a path that has nothing.
    fn nothing(&self, origin: Option<&str>) -> Vec<u8> {
        let text = match &*self.options.path {
            "" => "there is nothing here; ask for a path that has streams".to_owned(),
            path => format!("there is nothing here; events are at {path}"),
        };
        response::refusal("404 Not Found", &self.cors.fields(origin, ""), &text)
    }

    /// The answer to a request for a path that has streams. It is looked at in an order in which
    /// nobody is asked about a request that is wrong or beyond the bounds, and nothing is said of a
    /// topic before the client may have it.
    fn stream(&self, asked: &Asked<'_>) -> Result<HandshakeStep, Refusal> {
        let Asked { request, matched, cors, .. } = asked;
        let route = matched.route;
        let counts = &self.shared.authorizations;
        let decided = asked.look.verdict.map(|verdict| settle(verdict, counts)).transpose()?;
        let is_post = is_post(request, route)?;
        if !request.accepts_event_stream() {
            return Err(Refusal::new(
                "406 Not Acceptable",
                "only text/event-stream is served here; accept that, or leave out Accept",
            ));
        }
        let query = Query::parse(request.query).map_err(Refusal::bad_request)?;
        if !route.query_topics && query.first("topic").is_some() {
            let text = "what this path's streams have is fixed; leave out topic";
            return Err(Refusal::new("403 Forbidden", text));
        }
        let mut wishes = self.wishes(request, matched, &query).map_err(Refusal::bad_request)?;
        let is_open = self.options.authorizer.is_open();
        let mut policy = None;
        if is_open {
            has_any(&wishes, route)?;
            policy = Some(self.policy(&query, &wishes.wanted)?);
        }
        let heartbeat_form = query.first("heartbeat").map(str::parse::<HeartbeatForm>).transpose();
        let heartbeat_form =
            heartbeat_form.map_err(Refusal::bad_request)?.unwrap_or(self.heartbeat_form);
        let envelope = self.envelope(&query)?;
        let mut fields = format!("{cors}{}", route.fields);
        let is_head = request.method == "HEAD";
        let allowed = match decided {
            None => None,
            Some(Settled::Allowed(admission)) => Some(admission),
            Some(Settled::Unanswered(text)) => {
                // A program sees by the status that it has to come again; an EventSource does not.
                let overload = match request.is_of_an_event_source() {
                    true => self.options.overload,
                    false => Overload::Unavailable,
                };
                return self.overloaded(overload, &fields, heartbeat_form, text);
            }
        };
        if asked.look.beyond_bounds && !(is_open && is_head) {
            let text = "too many connections; come again";
            return self.overloaded(self.options.overload, &fields, heartbeat_form, text);
        }
        let admission = match allowed {
            Some(admission) => Some(admission.clone()),
            None => {
                let content = match self.content(asked, is_post)? {
                    Arrival::Awaited(step) => return Ok(step),
                    Arrival::Complete(content) => content,
                };
                match self.authorize(asked, &query, &wishes, &content)? {
                    Authorization::Open => None,
                    Authorization::Granted(admission) => Some(admission),
                    Authorization::Ask(question) => {
                        return Ok(HandshakeStep::Ask { head_bytes: asked.head_bytes, question })
                    }
                }
            }
        };
        let Admission { grant, lease } = admission.unwrap_or_default();
        if !is_open {
            wishes = narrow(wishes, &grant, counts)?;
            self.check_wanted(&wishes.wanted).map_err(Refusal::bad_request)?;
            has_any(&wishes, route)?;
            if !grant.headers.is_empty() {
                fields = self.fields_with(asked, &grant)?;
            }
        }
        let policy = match grant.policy.or(policy) {
            Some(policy) => policy,
            None => self.policy(&query, &wishes.wanted)?,
        };
        let Wishes { wanted, resume, tag } = wishes;
        if self.shared.is_behind(&resume) {
            let retry = jittered(BEHIND_RETRY);
            let answer = response::come_again(&fields, heartbeat_form, retry);
            return Ok(HandshakeStep::Answer(answer));
        }
        if let Some(answer) = finished::answer(&self.shared, &wanted, &resume, cors) {
            return Ok(HandshakeStep::Answer(answer));
        }
        if is_head {
            return Ok(HandshakeStep::Answer(response::stream_head_only(&fields)));
        }
        let wire = if request.minor_version == 0 { Wire::Plain } else { Wire::Chunked };
        let retry = Some(self.retry).filter(|retry| !retry.is_zero()).map(jittered);
        let head = response::stream(wire, &fields);
        Ok(HandshakeStep::Join(Box::new(StreamRequest {
            head,
            wanted,
            wire,
            envelope,
            retry,
            resume,
            policy,
            heartbeat_form,
            tag,
            expires_at: grant.expires_at,
            lease,
        })))
    }

    /// A request's content.
    fn content(&self, asked: &Asked<'_>, is_post: bool) -> Result<Arrival, Refusal> {
        match asked.look.content {
            ContentSoFar::All(content) => Ok(Arrival::Complete(content.to_vec())),
            ContentSoFar::Behind if !is_post => Ok(Arrival::Complete(Vec::new())),
            ContentSoFar::Behind => {
                let keeps = self.options.authorizer.reads_content();
                let bounds = (self.options.body_bytes_max, keeps);
                await_content(asked.request, (asked.head_bytes, asked.behind), bounds, &asked.cors)
            }
        }
    }

    /// What the authorizer says of a request.
    fn authorize(
        &self,
        asked: &Asked<'_>,
        query: &Query<'_>,
        wishes: &Wishes,
        content: &[u8],
    ) -> Result<Authorization, Refusal> {
        let Asked { request, matched, look, .. } = asked;
        if self.options.authorizer.is_open() {
            return Ok(Authorization::Open);
        }
        let last_event_id = last_event_id(request, query);
        let ask = StreamAsk {
            method: request.method,
            path: request.path,
            path_values: matched.named_values().map_err(Refusal::bad_request)?,
            query: request.query,
            query_fields: query.fields(),
            fields: request.all_fields(),
            addr: look.peer.client,
            content,
            subscriptions: &wishes.wanted,
            last_event_id: last_event_id.as_deref(),
        };
        authorize(&self.options.authorizer, &ask, &self.shared.authorizations)
    }

    /// The host's lines in the head of a stream's answer, and those of CORS, with what a grant
    /// adds.
    fn fields_with(&self, asked: &Asked<'_>, grant: &Grant) -> Result<String, Refusal> {
        let fields = Fields::new(&grant.headers, &asked.matched.route.headers);
        let fields = fields.map_err(|why| unfit(&why))?;
        let origin = asked.request.field("origin");
        let cors = self.cors.fields(origin.as_deref(), &self.cors.exposing(fields.names()));
        Ok(format!("{cors}{}", fields.lines()))
    }

    /// The answer to a client that cannot be served now, and is to come again.
    fn overloaded(
        &self,
        overload: Overload,
        fields: &str,
        form: HeartbeatForm,
        text: &str,
    ) -> Result<HandshakeStep, Refusal> {
        match overload {
            Overload::ComeAgain => {
                let retry = jittered(self.retry.max(Duration::from_secs(1)) * 5);
                Ok(HandshakeStep::Answer(response::come_again(fields, form, retry)))
            }
            Overload::Unavailable => Err(Refusal::unavailable(text)),
        }
    }

    /// Whether all shards live, and the journal is written if there is one.
    fn health(&self, method: &str) -> Vec<u8> {
        match method {
            "GET" | "HEAD" if !self.shared.links.iter().all(|link| link.is_alive()) => {
                self.refuse("503 Service Unavailable", "", "a shard has ended; start anew")
            }
            "GET" | "HEAD" if self.shared.order.has_trouble() => {
                let text = "the journal cannot be written; look at the log";
                self.refuse("503 Service Unavailable", "", text)
            }
            "GET" | "HEAD" => self.refuse("200 OK", "", "ok"),
            _ => self.refuse("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "use GET"),
        }
    }
}

/// Whether a request opens a stream with `POST`, which may have content.
fn is_post(request: &Request<'_>, route: &Compiled) -> Result<bool, Refusal> {
    match request.method {
        "POST" if route.post => Ok(true),
        "GET" | "HEAD" if request.has_content() => Err(Refusal::new(
            "413 Content Too Large",
            "a request for events has no content; send it without",
        )),
        "GET" | "HEAD" => Ok(false),
        _ => {
            let text = match route.post {
                true => "use GET or POST to read events",
                false => "use GET to read events",
            };
            let refusal = Refusal::new("405 Method Not Allowed", text);
            Err(Refusal { fields: route.allow().into(), ..refusal })
        }
    }
}

/// Checks that a client is to get anything.
fn has_any(wishes: &Wishes, route: &Compiled) -> Result<(), Refusal> {
    match wishes.wanted.is_empty() {
        true => Err(Refusal::bad_request(format!("say what you want: {}?topic=NAME", route.path))),
        false => Ok(()),
    }
}
