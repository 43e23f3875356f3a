//! Whether a request for a stream is allowed, and what its client gets then of what it asks for.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::SystemTime;

use super::refusal::Refusal;
use crate::authorizer::{self, Admission, Asked, Authorizer, Form, Question, StreamAsk, Verdict};
use crate::filter::Subscription;
use crate::grant::Grant;
use crate::resume::Resume;
use crate::seldom::Seldom;
use crate::shard::Authorizations;

/// A form that decides wrongly does so for each request.
static UNFIT: Seldom = Seldom::new();

/// What a request asks for.
pub(super) struct Wishes {
    /// The topics and filters that its stream is subscribed to.
    pub(super) wanted: Vec<Subscription>,
    /// Where its stream begins.
    pub(super) resume: Resume,
    /// What its client calls itself.
    pub(super) tag: Option<Arc<str>>,
}

/// What an authorizer says of a request.
pub(super) enum Authorization {
    /// The client gets what it asks for.
    Open,
    /// It gets what is within a grant.
    Granted(Admission),
    /// The host is to be asked.
    Ask(Box<Question>),
}

/// Asks an authorizer about a request.
pub(super) fn authorize(
    authorizer: &Authorizer,
    ask: &StreamAsk<'_>,
    counts: &Authorizations,
) -> Result<Authorization, Refusal> {
    match authorizer.form() {
        Form::Open => Ok(Authorization::Open),
        Form::AtOnce(decide) => match decide.decide(ask, SystemTime::now()) {
            Ok(admission) => Ok(Authorization::Granted(admission)),
            Err(refusal) => Err(denied(&refusal, counts)),
        },
        Form::Ask(queue) => {
            Ok(Authorization::Ask(Box::new(Question::new(queue, Asked::from(ask)))))
        }
    }
}

/// What is settled of a request about which the host was asked.
pub(super) enum Settled<'v> {
    /// What the host has allowed.
    Allowed(&'v Admission),
    /// The host has not answered: what its client is told, which is to come again.
    Unanswered(&'static str),
}

/// What the host has said, or why the client gets no stream.
pub(super) fn settle<'v>(
    verdict: &'v Verdict,
    counts: &Authorizations,
) -> Result<Settled<'v>, Refusal> {
    let failed = |text| {
        counts.failed.fetch_add(1, Ordering::Relaxed);
        Ok(Settled::Unanswered(text))
    };
    match verdict {
        Verdict::Allow(admission) => Ok(Settled::Allowed(admission)),
        Verdict::Refuse(refusal) => Err(denied(refusal, counts)),
        Verdict::Unanswered => failed("nobody has authorized this request in time; come again"),
        Verdict::TooMany => failed("too many requests wait to be authorized; come again"),
    }
}

/// Makes a client's wishes those that a grant allows.
pub(super) fn narrow(
    wishes: Wishes,
    grant: &Grant,
    counts: &Authorizations,
) -> Result<Wishes, Refusal> {
    let denied = |text| {
        counts.denied.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::new("403 Forbidden", text))
    };
    if grant.expires_at.is_some_and(|expires_at| expires_at <= SystemTime::now()) {
        return denied("what this client was granted has expired; get a new grant");
    }
    if !wishes.wanted.iter().all(|asked| grant.covers(asked)) {
        return denied("not all of the topics that were asked for are granted; ask for fewer");
    }
    let Wishes { wanted, resume, tag } = wishes;
    Ok(Wishes {
        wanted: match wanted.is_empty() {
            true => grant.subscriptions.clone(),
            false => wanted,
        },
        resume: match (resume, grant.start) {
            (Resume::Start(_), Some(start)) => Resume::Start(start),
            // Nor does a client choose where it begins with an id that is gone.
            (Resume::After(id) | Resume::AfterOr(id, _), Some(start)) => Resume::AfterOr(id, start),
            (resume, _) => resume,
        },
        tag: grant.tag.clone().or(tag),
    })
}

/// The refusal for a grant that a client cannot be served with.
pub(super) fn unfit(why: &str) -> Refusal {
    UNFIT.log(|more| {
        log::error!("a stream is refused since its grant or refusal is wrong: {why}{more}");
    });
    let text = "this server has decided wrongly about this request; tell its operator";
    Refusal::new("500 Internal Server Error", text)
}

/// An authorizer's refusal, as it is sent.
pub(super) fn denied(refusal: &authorizer::Refusal, counts: &Authorizations) -> Refusal {
    counts.denied.fetch_add(1, Ordering::Relaxed);
    match refusal.check().and_then(|()| refusal.fields()) {
        Ok(fields) => Refusal {
            status: refusal.status_line().into(),
            fields: fields.lines().into(),
            text: refusal.text.clone(),
        },
        Err(error) => unfit(&error.to_string()),
    }
}
