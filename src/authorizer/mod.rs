//! Who decides whether a client gets the stream that it asks for: nobody, the engine by itself, or
//! the host, which is asked.
//!
//! No host's code runs on the engine's threads. A form that decides at once is the engine's own
//! ([`Decide`]). The host is asked through a bounded queue, and the connection waits for its
//! answer, which comes to the shard as a [`Verdict`].

mod ask;
mod decide;
mod refusal;
mod request;
mod requests;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;
use std::sync::Arc;

pub use self::ask::AskOptions;
pub(crate) use self::ask::{AskQueue, Question, Waiting};
pub(crate) use self::decide::{Admission, Decide, Lease, StreamAsk};
#[cfg(feature = "tickets")]
pub(crate) use self::decide::{EndStream, StreamLease};
pub use self::refusal::Refusal;
pub(crate) use self::request::Asked;
pub use self::request::{AnswerError, AuthorizationRequest};
pub use self::requests::AuthorizationRequests;
#[cfg(feature = "capi")]
pub(crate) use self::verdict::InTime;
pub(crate) use self::verdict::{Replies, Verdict};
use crate::options::OptionsError;

/// Decides on each request for a stream: who gets one, of which topics, and until when.
/// [`ListenOptions::authorizer`](crate::ListenOptions::authorizer) takes it. Clones are the same
/// authorizer, so that several listeners may share its bounds.
///
/// # Examples
///
/// ```
/// use fanfare::{Authorizer, ListenOptions};
///
/// let open = ListenOptions::default();
/// assert!(open.authorizer.is_open());
/// let (authorizer, _requests) = Authorizer::ask(Default::default())?;
/// assert!(!open.authorizer(authorizer).authorizer.is_open());
/// # Ok::<(), fanfare::OptionsError>(())
/// ```
#[derive(Clone, Default)]
pub struct Authorizer {
    form: Form,
}

/// How an authorizer comes to its decisions.
#[derive(Clone, Default)]
pub(crate) enum Form {
    /// Every client gets what it asks for.
    #[default]
    Open,
    /// The engine decides by itself.
    AtOnce(Arc<dyn Decide>),
    /// The host is asked.
    Ask(Arc<AskQueue>),
}

impl Authorizer {
    /// Gives every client the stream that it asks for. This is the default.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(fanfare::Authorizer::allow_all().is_open());
    /// ```
    #[must_use]
    pub fn allow_all() -> Authorizer {
        Authorizer::default()
    }

    /// Asks the host: each request for a stream is put in a bounded queue, whose receiver this
    /// returns, and its connection waits until the host has answered it. Never blocks.
    ///
    /// What is refused is told in [`AuthorizationRequests`]; what bounds the waiting, in
    /// [`AskOptions`].
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AskOptions, Authorizer, Grant, Hub, ListenOptions, Options};
    /// use fanfare::{Refusal, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let (authorizer, requests) = Authorizer::ask(AskOptions::default())?;
    /// let options = ListenOptions::default().authorizer(authorizer);
    /// let listener = hub.listen("127.0.0.1:0", options)?;
    /// std::thread::spawn(move || {
    ///     for request in requests {
    ///         let user = request.cookie("user").map(str::to_owned);
    ///         let answered = match user.map(|user| Subscription::new(&format!("user/{user}"))) {
    ///             Some(Ok(own)) => request.allow(Grant::new([own])),
    ///             _ => request.refuse(Refusal::new(403).text("log in first")),
    ///         };
    ///         answered.expect("a grant of one topic fits");
    ///     }
    /// });
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask(options: AskOptions) -> Result<(Authorizer, AuthorizationRequests), OptionsError> {
        options.check()?;
        let (queue, requests) = AskQueue::new(options);
        Ok((Authorizer { form: Form::Ask(Arc::new(queue)) }, requests))
    }

    /// One that decides at once, on the shards' threads, without a host.
    #[cfg_attr(not(feature = "tickets"), allow(dead_code))]
    pub(crate) fn at_once(decide: impl Decide + 'static) -> Authorizer {
        Authorizer { form: Form::AtOnce(Arc::new(decide)) }
    }

    /// Whether it gives every client the stream that it asks for.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Authorizer;
    ///
    /// assert!(Authorizer::default().is_open());
    /// ```
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.form, Form::Open)
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// The path at which a client may exchange what it shows for a ticket.
    pub(crate) fn exchange_path(&self) -> Option<&str> {
        match &self.form {
            Form::AtOnce(decide) => decide.exchange_path(),
            Form::Open | Form::Ask(_) => None,
        }
    }

    /// Whether its decisions depend on a request's content, which is kept for it then.
    pub(crate) fn reads_content(&self) -> bool {
        match &self.form {
            Form::Open => false,
            Form::AtOnce(decide) => decide.reads_content(),
            Form::Ask(_) => true,
        }
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.form {
            Form::Open => "allow all",
            Form::AtOnce(_) => "at once",
            Form::Ask(_) => "ask",
        };
        f.debug_struct("Authorizer").field("form", &form).finish_non_exhaustive()
    }
}
