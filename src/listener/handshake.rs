//! The handshake of a listener's clients: HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::ListenError;
use super::finished;
use super::options::{ListenOptions, Overload};
use super::refusal::Refusal;
use crate::excerpt::Excerpt;
use crate::frame::Wire;
use crate::heartbeat::HeartbeatForm;
use crate::http::cors::Origins;
use crate::http::host::{Host, Hosts};
use crate::http::query::Query;
use crate::http::request::{Head, Request};
use crate::http::response;
use crate::options::{jittered, OptionsError};
use crate::policy::Policy;
use crate::shard::{Handshake, HandshakeStep, Shared, StreamRequest};

/// Answers requests for the shards, as a listener's options say.
pub(super) struct HttpHandshake {
    pub(super) options: ListenOptions,
    origins: Origins,
    pub(super) hosts: Arc<Hosts>,
    retry: Duration,
    pub(super) policy: Policy,
    heartbeat_form: HeartbeatForm,
    shared: Arc<Shared>,
}

impl HttpHandshake {
    /// The handshake of a listener with these options, the rest of which has been checked.
    pub(super) fn new(
        options: ListenOptions,
        shared: Arc<Shared>,
    ) -> Result<HttpHandshake, ListenError> {
        let hub = &shared.options;
        let of = |option| {
            move |why: String| ListenError::Options(OptionsError { option, bounds: why.into() })
        };
        Ok(HttpHandshake {
            origins: Origins::new(&options.cors).map_err(of("cors"))?,
            hosts: Arc::new(Hosts::new(&options.hosts).map_err(of("hosts"))?),
            retry: hub.retry,
            policy: hub.policy,
            heartbeat_form: hub.heartbeat_form,
            options,
            shared,
        })
    }

    /// The same, on the listener's address.
    pub(super) fn on(self, addr: SocketAddr) -> HttpHandshake {
        HttpHandshake { hosts: Arc::new(self.hosts.on(addr)), ..self }
    }
}

impl Handshake for HttpHandshake {
    fn step(&self, head: &[u8], _addr: SocketAddr, beyond_bounds: bool) -> HandshakeStep {
        let (bytes_max, fields_max) = (self.options.head_bytes_max, self.options.head_fields_max);
        let too_large = |what: String| {
            let text = format!(
                "the request's head has more than {what}; send fewer header fields and a shorter \
                 target"
            );
            HandshakeStep::Answer(response::refusal(
                "431 Request Header Fields Too Large",
                "",
                &text,
            ))
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
            Head::Malformed(why) => {
                HandshakeStep::Answer(response::refusal("400 Bad Request", "", why))
            }
            Head::Complete(request, _) => {
                match (self.answer(&request, beyond_bounds), request.method) {
                    (HandshakeStep::Answer(answer), "HEAD") => {
                        HandshakeStep::Answer(response::head_of(answer))
                    }
                    (step, _) => step,
                }
            }
        }
    }

    fn too_slow(&self) -> Vec<u8> {
        let text = "the request's head did not come in time; send it whole, and at once";
        response::refusal("408 Request Timeout", "", text)
    }

    fn fallback_is_full(&self) -> Vec<u8> {
        let text = "too many requests at once; come again";
        response::refusal("503 Service Unavailable", "Retry-After: 5\r\n", text)
    }

    fn head_time_max(&self) -> Duration {
        self.options.head_time_max
    }
}

impl HttpHandshake {
    fn answer(&self, request: &Request<'_>, beyond_bounds: bool) -> HandshakeStep {
        if let (false, Host::Name(name)) = (self.hosts.has(request.host), request.host) {
            let text = format!(
                "this server is not known as {}; if it is to be, list the name in hosts (fanfare \
                 serve --host), or set any_host (C and other languages)",
                Excerpt::of(name)
            );
            return HandshakeStep::Answer(response::refusal("421 Misdirected Request", "", &text));
        }
        if self.options.health_path.as_deref() == Some(request.path) {
            return HandshakeStep::Answer(self.health(request.method));
        }
        if request.path != self.options.path {
            let text = format!("there is nothing here; events are at {}", self.options.path);
            return match self.options.fallback {
                Some(_) => HandshakeStep::Unhandled,
                None => HandshakeStep::Answer(response::refusal("404 Not Found", "", &text)),
            };
        }
        let cors = self.origins.fields(request.field("origin").as_deref());
        match self.stream(request, &cors, beyond_bounds) {
            Ok(step) => step,
            Err(Refusal { status, fields, text }) => {
                HandshakeStep::Answer(response::refusal(status, &format!("{cors}{fields}"), &text))
            }
        }
    }

    /// The answer to a request for the path of streams.
    fn stream(
        &self,
        request: &Request<'_>,
        cors: &str,
        beyond_bounds: bool,
    ) -> Result<HandshakeStep, Refusal> {
        match request.method {
            "GET" | "HEAD" => {}
            "OPTIONS" => return Ok(HandshakeStep::Answer(response::options(cors))),
            _ => {
                let (fields, text) =
                    ("Allow: GET, HEAD, OPTIONS\r\n", "use GET to read events".to_owned());
                return Err(Refusal { status: "405 Method Not Allowed", fields, text });
            }
        }
        if request.has_content() {
            return Err(Refusal::new(
                "413 Content Too Large",
                "a request for events has no content; send it without",
            ));
        }
        if !request.accepts_event_stream() {
            return Err(Refusal::new(
                "406 Not Acceptable",
                "only text/event-stream is served here; accept that, or leave out Accept",
            ));
        }
        let query = Query::parse(request.query).map_err(Refusal::bad_request)?;
        let (wanted, resume, tag) = self.wishes(request, &query).map_err(Refusal::bad_request)?;
        let policy = self.policy(&query)?;
        let heartbeat_form = query.first("heartbeat").map(str::parse::<HeartbeatForm>).transpose();
        let heartbeat_form =
            heartbeat_form.map_err(Refusal::bad_request)?.unwrap_or(self.heartbeat_form);
        let envelope = self.envelope(&query)?;
        if let Some(answer) = finished::answer(&self.shared, &wanted, &resume, cors) {
            return Ok(HandshakeStep::Answer(answer));
        }
        if request.method == "HEAD" {
            return Ok(HandshakeStep::Answer(response::stream_head_only(cors)));
        }
        if beyond_bounds {
            return self.overloaded(cors, heartbeat_form);
        }
        let wire = if request.minor_version == 0 { Wire::Plain } else { Wire::Chunked };
        let retry = Some(self.retry).filter(|retry| !retry.is_zero()).map(jittered);
        let head = response::stream(wire, cors);
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
        })))
    }

    /// The answer when the bounds on connections are reached.
    fn overloaded(&self, cors: &str, form: HeartbeatForm) -> Result<HandshakeStep, Refusal> {
        match self.options.overload {
            Overload::ComeAgain => {
                let retry = jittered(self.retry.max(Duration::from_secs(1)) * 5);
                Ok(HandshakeStep::Answer(response::come_again(cors, form, retry)))
            }
            Overload::Unavailable => Err(Refusal {
                status: "503 Service Unavailable",
                fields: "Retry-After: 5\r\n",
                text: "too many connections; come again".to_owned(),
            }),
        }
    }

    /// Whether all shards live.
    fn health(&self, method: &str) -> Vec<u8> {
        match method {
            "GET" | "HEAD" if self.shared.links.iter().all(|link| link.is_alive()) => {
                response::refusal("200 OK", "", "ok")
            }
            "GET" | "HEAD" => {
                response::refusal("503 Service Unavailable", "", "a shard has ended; start anew")
            }
            _ => response::refusal("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "use GET"),
        }
    }
}
