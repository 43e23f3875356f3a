//! What a request asks for: its subscriptions, where its stream begins, its tag and its policy.

use std::sync::Arc;

use super::authorize::Wishes;
use super::handshake::HttpHandshake;
use super::options::ListenOptions;
use super::refusal::Refusal;
use super::routes::{is_wide, Matched};
use super::start::{gap_start, last_event_id, start};
use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::http::query::Query;
use crate::http::request::Request;
use crate::policy::Policy;
use crate::resume::Resume;

impl HttpHandshake {
    /// Reads what a request asks for in its query, such as `topic=a&topic=b/%23&tag=c`, and its
    /// `Last-Event-ID`.
    pub(super) fn wishes(
        &self,
        request: &Request<'_>,
        matched: &Matched<'_>,
        query: &Query<'_>,
    ) -> Result<Wishes, String> {
        let wanted = self.wanted(matched, query)?;
        Ok(Wishes { wanted, resume: self.resume(request, query)?, tag: tag(query)? })
    }

    /// The topics and filters of the path and of the query, of which there may be none.
    fn wanted(
        &self,
        matched: &Matched<'_>,
        query: &Query<'_>,
    ) -> Result<Vec<Subscription>, String> {
        let asked = query
            .all("topic")
            .take(self.options.subscriptions_per_connection_max + 1)
            .map(Subscription::new);
        let asked: Vec<_> = asked.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let mut wanted = matched.subscriptions()?;
        wanted.extend(asked);
        self.check_wanted(&wanted)?;
        Ok(wanted)
    }

    /// Checks that topics and filters are not more than one connection may have.
    pub(super) fn check_wanted(&self, wanted: &[Subscription]) -> Result<(), String> {
        let wide = wanted.iter().filter(|what| is_wide(what));
        let (wide, wide_max) = (wide.count(), self.options.wide_filters_max);
        match wanted.len() {
            _ if wide > wide_max => Err(format!(
                "{wide_max} filters that begin with a wildcard are the most for a connection; ask \
                 for fewer"
            )),
            count if count > self.options.subscriptions_per_connection_max => Err(format!(
                "{} topics and filters are the most for a connection; ask for fewer",
                self.options.subscriptions_per_connection_max
            )),
            _ => Ok(()),
        }
    }

    /// What of the past a client is sent: everything after the id that it had last, which an
    /// `EventSource` sends in a header field and other clients may send in the query; or else what
    /// it asks to begin with.
    fn resume(&self, request: &Request<'_>, query: &Query<'_>) -> Result<Resume, String> {
        let gap_start = gap_start(query)?.or(self.options.gap_start);
        match last_event_id(request, query).as_deref() {
            None => Ok(Resume::Start(start(query)?.unwrap_or(self.options.start))),
            Some(id) => Ok(Resume::last_event_id(id, gap_start)),
        }
    }

    /// The envelope that a query asks for, `envelope=json`, or else the listener's.
    pub(super) fn envelope(&self, query: &Query<'_>) -> Result<Envelope, Refusal> {
        let mut names = query.all("envelope");
        match (names.next(), names.next()) {
            (None, _) => Ok(self.options.envelope),
            (Some(name), None) => name.parse::<Envelope>().map_err(Refusal::bad_request),
            (Some(_), Some(_)) => Err(Refusal::bad_request(
                "a stream has one envelope; send one alone, or leave it out",
            )),
        }
    }

    /// The policy that a query asks for, `policy=conflate`, or else that of the rules of what it
    /// wants, or the hub's.
    pub(super) fn policy(
        &self,
        query: &Query<'_>,
        wanted: &[Subscription],
    ) -> Result<Policy, Refusal> {
        let own = self.shared.order.policy_of(wanted).unwrap_or(self.policy);
        let Some(name) = query.first("policy") else { return Ok(own) };
        let policy: Policy = name.parse::<Policy>().map_err(Refusal::bad_request)?;
        let may_choose = self.options.policies.as_deref().unwrap_or(own.no_laxer());
        if may_choose.contains(&policy) {
            return Ok(policy);
        }
        let names: Vec<_> = may_choose.iter().map(|policy| policy.as_str()).collect();
        let why = match &*names {
            [] => "a client may choose no policy here; leave out policy".to_owned(),
            names => format!(
                "this policy may not be chosen here; choose one of {}, or leave out policy",
                names.join(", ")
            ),
        };
        Err(Refusal::new("403 Forbidden", why))
    }
}

/// The client's tag.
fn tag(query: &Query<'_>) -> Result<Option<Arc<str>>, String> {
    let mut tags = query.all("tag");
    let Some(tag) = tags.next() else { return Ok(None) };
    if tags.next().is_some() {
        return Err("one tag is the most for a connection; send one alone".to_owned());
    }
    let fits = (1..=ListenOptions::TAG_BYTES_MAX).contains(&tag.len());
    match fits && !tag.contains(char::is_control) {
        true => Ok(Some(tag.into())),
        false => Err(format!(
            "a tag has 1 to {} bytes and no control characters; choose another, or leave it out",
            ListenOptions::TAG_BYTES_MAX
        )),
    }
}
