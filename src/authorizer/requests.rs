//! The receiver of the requests that the host is asked about.

use std::fmt;
use std::time::Duration;

use super::request::AuthorizationRequest;
use crate::bounded::Receiver;
#[cfg(feature = "capi")]
use crate::bounded::WeakReceiver;
use crate::receive;

/// The receiver of [`AuthorizationRequest`]s; [`Authorizer::ask`](crate::Authorizer::ask) makes it.
///
/// An iterator over it blocks for the next request, and ends when the authorizer is dropped with
/// all listeners that have it. It may be used from any thread. Clones share one queue: each request
/// goes to one of them. Requests whose connection waits no more are left out. When the last clone
/// is dropped, the requests in the queue are answered 503, and later ones are not put in it.
///
/// What a client is told that gets no stream, beside what the host says with
/// [`AuthorizationRequest::refuse`]:
///
/// - 403 when a topic that it asks for is not granted, or the grant has expired;
/// - 503 with `Retry-After: 5` when the host does not answer in time, has dropped the request, or
///   too many wait ([`AskOptions`](crate::AskOptions)).
///
/// # Examples
///
/// ```no_run
/// use fanfare::{Authorizer, Refusal};
///
/// let (_authorizer, requests) = Authorizer::ask(Default::default())?;
/// std::thread::spawn(move || {
///     for request in requests {
///         let _ = request.refuse(Refusal::new(403));
///     }
/// });
/// # Ok::<(), fanfare::OptionsError>(())
/// ```
#[derive(Clone)]
pub struct AuthorizationRequests {
    receiver: Receiver<AuthorizationRequest>,
}

impl AuthorizationRequests {
    pub(super) fn new(receiver: Receiver<AuthorizationRequest>) -> AuthorizationRequests {
        AuthorizationRequests { receiver }
    }

    /// How many are in the queue, with those that wait no more.
    pub(super) fn queued(&self) -> usize {
        self.receiver.len()
    }

    /// The next request, if there is one. Never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Authorizer;
    ///
    /// let (_authorizer, requests) = Authorizer::ask(Default::default())?;
    /// assert!(requests.try_next().is_none());
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    #[must_use]
    pub fn try_next(&self) -> Option<AuthorizationRequest> {
        loop {
            let request = self.receiver.try_recv().ok()?;
            if request.is_waiting() {
                return Some(request);
            }
        }
    }

    /// The next request, for which it waits at most `timeout`; `None` when none came in this time,
    /// or none will come any more. Blocks the calling thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::Authorizer;
    ///
    /// let (_authorizer, requests) = Authorizer::ask(Default::default())?;
    /// assert!(requests.wait(Duration::from_millis(1)).is_none());
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Option<AuthorizationRequest> {
        receive::within(timeout, self.next_async())
    }

    /// The next request, under any executor; `None` when none will come any more. Dropping the
    /// future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Authorizer;
    ///
    /// let (authorizer, requests) = Authorizer::ask(Default::default())?;
    /// drop(authorizer);
    /// assert!(futures_lite::future::block_on(requests.next_async()).is_none());
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    pub async fn next_async(&self) -> Option<AuthorizationRequest> {
        loop {
            let request = self.receiver.recv().await.ok()?;
            if request.is_waiting() {
                return Some(request);
            }
        }
    }

    /// Whether none waits in the queue, and none will come any more: the authorizer is dropped with
    /// all listeners that have it.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Authorizer;
    ///
    /// let (authorizer, requests) = Authorizer::ask(Default::default())?;
    /// assert!(!requests.is_ended());
    /// drop(authorizer);
    /// assert!(requests.is_ended());
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.receiver.is_closed() && self.receiver.is_empty()
    }
}

impl Iterator for AuthorizationRequests {
    type Item = AuthorizationRequest;

    fn next(&mut self) -> Option<AuthorizationRequest> {
        loop {
            let request = self.receiver.recv_blocking().ok()?;
            if request.is_waiting() {
                return Some(request);
            }
        }
    }
}

#[cfg(feature = "capi")]
impl AuthorizationRequests {
    /// What [`receive::end`](crate::receive::end) ends them by, and which does not keep them.
    pub(crate) fn ending(&self) -> WeakReceiver<AuthorizationRequest> {
        self.receiver.downgrade()
    }
}

impl Drop for AuthorizationRequests {
    /// The last one refuses what is in the queue, for which nobody is there any more.
    fn drop(&mut self) {
        if self.receiver.receiver_count() == 1 {
            self.receiver.close();
            while self.receiver.try_recv().is_ok() {}
        }
    }
}

impl fmt::Debug for AuthorizationRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.receiver.len();
        f.debug_struct("AuthorizationRequests").field("queued", &queued).finish_non_exhaustive()
    }
}
