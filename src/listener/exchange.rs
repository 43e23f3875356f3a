//! The path at which a client exchanges what it shows, such as a token, for a ticket.

use std::net::SocketAddr;
use std::time::SystemTime;

use super::authorize::denied;
use super::handshake::HttpHandshake;
use super::refusal::Refusal;
use crate::authorizer::{Form, StreamAsk};
use crate::http::query::Query;
use crate::http::request::Request;
use crate::http::response;

const ALLOW: &str = "Allow: POST, OPTIONS\r\n";

impl HttpHandshake {
    /// The whole answer to a request for that path. Content is not looked at.
    pub(super) fn exchange(
        &self,
        request: &Request<'_>,
        addr: Option<SocketAddr>,
        beyond_bounds: bool,
    ) -> Vec<u8> {
        let origin = request.field("origin");
        if request.method == "OPTIONS" {
            let asked = request.values("access-control-request-headers");
            let cors = self.cors.preflight(origin.as_deref(), "POST, OPTIONS", asked);
            return response::options(ALLOW, &cors);
        }
        let exchanged = self.exchanged(request, addr, beyond_bounds);
        let names = exchanged.as_ref().err().into_iter().flat_map(Refusal::names);
        let cors = self.cors.fields(origin.as_deref(), &self.cors.exposing(names));
        match &exchanged {
            Ok(json) => response::json(&cors, json),
            Err(refusal) => refusal.answer(&cors),
        }
    }

    fn exchanged(
        &self,
        request: &Request<'_>,
        addr: Option<SocketAddr>,
        beyond_bounds: bool,
    ) -> Result<String, Refusal> {
        if request.method != "POST" {
            let refusal = Refusal::new("405 Method Not Allowed", "use POST to get a ticket");
            return Err(Refusal { fields: ALLOW.into(), ..refusal });
        }
        if beyond_bounds {
            return Err(Refusal::unavailable("too many connections; come again"));
        }
        let query = Query::parse(request.query).map_err(Refusal::bad_request)?;
        let ask = StreamAsk {
            method: request.method,
            path: request.path,
            path_values: Vec::new(),
            query: request.query,
            query_fields: query.fields(),
            fields: request.all_fields(),
            addr,
            content: &[],
            subscriptions: &[],
            last_event_id: None,
        };
        let Form::AtOnce(decide) = self.options.authorizer.form() else {
            return Err(Refusal::new("404 Not Found", "there are no tickets here"));
        };
        let exchanged = decide.exchange(&ask, SystemTime::now());
        exchanged.map_err(|refusal| denied(&refusal, &self.shared.authorizations))
    }
}
