//! The bounded queue by which the host is asked, and the connections that wait for its answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_channel::TrySendError;

use super::request::{Asked, AuthorizationRequest};
use super::requests::AuthorizationRequests;
use super::verdict::{Replies, Reply, Wait};
use crate::bounded::{bounded, Sender, WeakReceiver};
use crate::options::chained::chained;
use crate::options::{within, OptionsError};

chained! {
    /// What bounds the requests that [`Authorizer::ask`](crate::Authorizer::ask) puts before the
    /// host.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::AskOptions;
    ///
    /// let options = AskOptions::default().waiting_max(10_000).timeout(Duration::from_secs(2));
    /// assert_eq!(options.check(), Ok(()));
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AskOptions {
        /// The most requests that wait for the host's answer at once, of all listeners with the
        /// authorizer: in the queue, or with the host. A request beyond them is answered 503, an
        /// `EventSource` as [`ListenOptions::overload`](crate::ListenOptions::overload) says; and
        /// counted in [`Metrics::failed_authorizations`](crate::Metrics). Each may take four
        /// times [`ListenOptions::head_bytes_max`](crate::ListenOptions::head_bytes_max), and
        /// [`ListenOptions::body_bytes_max`](crate::ListenOptions::body_bytes_max) on a route with
        /// `POST`. 1 to 65,536. Default: 1,024.
        pub waiting_max: usize,
        /// The longest time that a connection waits for the host's answer, 10 ms to 10 min; up to
        /// 0.2 s more may pass. Then it is answered 503 with `Retry-After: 5`, an `EventSource` as
        /// [`ListenOptions::overload`](crate::ListenOptions::overload) says; and counted in
        /// [`Metrics::failed_authorizations`](crate::Metrics). Default: 5 s.
        pub timeout: Duration,
    }
}

impl Default for AskOptions {
    fn default() -> AskOptions {
        AskOptions { waiting_max: 1_024, timeout: Duration::from_secs(5) }
    }
}

impl AskOptions {
    /// Checks every option against its bounds, as [`Authorizer::ask`](crate::Authorizer::ask) does.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::AskOptions;
    ///
    /// let error = AskOptions::default().waiting_max(0).check().unwrap_err();
    /// assert_eq!(error.option, "waiting_max");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let waiting = (1..=65_536).contains(&self.waiting_max);
        within(waiting, "waiting_max", "1 to 65,536")?;
        let times = Duration::from_millis(10)..=Duration::from_secs(600);
        within(times.contains(&self.timeout), "timeout", "10 ms to 10 min")
    }
}

/// The queue of requests to the host, and how many connections wait for answers.
pub(crate) struct AskQueue {
    sender: Sender<AuthorizationRequest>,
    /// The host's end.
    receiver: WeakReceiver<AuthorizationRequest>,
    waiting: AtomicUsize,
    options: AskOptions,
}

impl AskQueue {
    /// A queue with these options, which have been checked.
    pub(super) fn new(options: AskOptions) -> (AskQueue, AuthorizationRequests) {
        let (sender, receiver) = bounded(options.waiting_max);
        let (waiting, weak) = (AtomicUsize::new(0), receiver.downgrade());
        let queue = AskQueue { sender, receiver: weak, waiting, options };
        (queue, AuthorizationRequests::new(receiver))
    }

    /// Puts a request before the host; gives it back if that cannot be.
    fn send(&self, request: AuthorizationRequest) -> Option<AuthorizationRequest> {
        match self.sender.try_send(request) {
            Ok(()) => None,
            Err(TrySendError::Full(request)) => {
                self.leave_out_those_that_left();
                self.sender.try_send(request).err().map(TrySendError::into_inner)
            }
            Err(TrySendError::Closed(request)) => Some(request),
        }
    }

    /// Takes requests out of the queue that wait no more: a host that receives slowly has not seen
    /// yet that their clients are gone. The others keep their order.
    fn leave_out_those_that_left(&self) {
        // If the host drops its end at this moment, this one refuses the rest.
        let Some(receiver) = self.receiver.upgrade().map(AuthorizationRequests::new) else {
            return;
        };
        for _ in 0..receiver.queued() {
            let Some(request) = receiver.try_next() else { return };
            // There is room: it has just been taken out.
            let _ = self.sender.try_send(request);
        }
    }
}

/// A request that is to be put before the host.
pub(crate) struct Question {
    queue: Arc<AskQueue>,
    asked: Asked,
}

impl Question {
    pub(crate) fn new(queue: &Arc<AskQueue>, asked: Asked) -> Question {
        Question { queue: queue.clone(), asked }
    }

    /// Puts the request before the host, whose answer goes to the connection that has a key.
    /// `None` if as many wait as may, or nobody receives requests any more.
    pub(crate) fn put(self, replies: Arc<dyn Replies>, key: u64) -> Option<Waiting> {
        let Question { queue, asked } = self;
        let before = queue.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting { queue, wait: Arc::default(), unasked_bytes: 0 };
        if before >= waiting.queue.options.waiting_max {
            return None;
        }
        let reply = Reply { wait: waiting.wait.clone(), replies, key };
        match waiting.queue.send(AuthorizationRequest::new(asked, reply)) {
            None => Some(waiting),
            Some(refused) => {
                // The request is dropped behind that, and tells nobody.
                waiting.wait.leave();
                drop(refused);
                None
            }
        }
    }
}

/// A connection's place among those that wait for the host. It is free again when this is dropped.
pub(crate) struct Waiting {
    queue: Arc<AskQueue>,
    wait: Arc<Wait>,
    /// What the client has sent meanwhile.
    pub(crate) unasked_bytes: usize,
}

impl Waiting {
    /// How long it may wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.queue.options.timeout
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.wait.leave();
        self.queue.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::authorizer::Verdict;
    use crate::options::tests::hold;
    use crate::{Grant, Refusal};

    #[test]
    fn the_options_of_asking_are_those_of_the_table() {
        hold("Asking the host", |options| options, AskOptions::check);
    }

    /// What a shard was told, and how many answers were late.
    #[derive(Default)]
    struct Told {
        verdicts: Mutex<Vec<(u64, &'static str)>>,
        late: AtomicUsize,
    }

    impl Replies for Told {
        fn reply(&self, key: u64, verdict: Verdict) {
            let name = match verdict {
                Verdict::Allow(_) => "allow",
                Verdict::Refuse(_) => "refuse",
                Verdict::Unanswered => "unanswered",
                Verdict::TooMany => "too many",
            };
            self.verdicts.lock().unwrap().push((key, name));
        }

        fn count_late(&self) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Told {
        fn take(&self) -> Vec<(u64, &'static str)> {
            std::mem::take(&mut self.verdicts.lock().unwrap())
        }
    }

    fn queue(waiting_max: usize) -> (Arc<AskQueue>, AuthorizationRequests, Arc<Told>) {
        let options = AskOptions::default().waiting_max(waiting_max);
        let (queue, requests) = AskQueue::new(options);
        (Arc::new(queue), requests, Arc::default())
    }

    fn put(queue: &Arc<AskQueue>, told: &Arc<Told>, key: u64) -> Option<Waiting> {
        Question::new(queue, Asked::default()).put(told.clone(), key)
    }

    #[test]
    fn every_request_gets_one_answer_whatever_the_host_does_with_it() {
        let (queue, requests, told) = queue(8);
        let waiting: Vec<_> = (1..=4).map(|key| put(&queue, &told, key).unwrap()).collect();
        let next = || requests.try_next().unwrap();
        next().allow(Grant::default()).unwrap();
        next().refuse(Refusal::new(403)).unwrap();
        drop(next());
        // An answer that does not fit gives the request back, which is still waited for.
        let error = next().refuse(Refusal::new(200)).unwrap_err();
        assert!(error.to_string().contains("204, or 300 to 599"), "{error}");
        let request = error.into_request();
        assert!(request.is_waiting());
        let error = request.allow(Grant::default().tag("")).unwrap_err();
        assert_eq!(error.error().option, "tag");
        let three = [(1, "allow"), (2, "refuse"), (3, "unanswered")];
        assert_eq!(told.take(), three);
        drop(error);
        assert_eq!(told.take(), [(4, "unanswered")]);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 4);
        drop(waiting);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
        assert_eq!(told.late.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_late_and_goes_nowhere() {
        let (queue, requests, told) = queue(8);
        let waiting = put(&queue, &told, 1).unwrap();
        let request = requests.try_next().unwrap();
        drop(waiting);
        assert!(!request.is_waiting());
        request.allow(Grant::default()).unwrap();
        assert_eq!((told.take(), told.late.load(Ordering::SeqCst)), (vec![], 1));
        // One that the host drops then is no answer.
        let waiting = put(&queue, &told, 2).unwrap();
        let request = requests.try_next().unwrap();
        drop(waiting);
        drop(request);
        assert_eq!((told.take(), told.late.load(Ordering::SeqCst)), (vec![], 1));
    }

    #[test]
    fn requests_that_nobody_waits_for_are_not_received() {
        let (queue, requests, told) = queue(8);
        let mut waiting: Vec<_> = (1..=3).map(|key| put(&queue, &told, key)).collect();
        waiting[0] = None;
        waiting[2] = None;
        requests.try_next().unwrap().refuse(Refusal::new(403)).unwrap();
        assert_eq!(told.take(), [(2, "refuse")]);
        assert!(requests.try_next().is_none());
        assert!(requests.wait(Duration::from_millis(1)).is_none());
    }

    #[test]
    fn requests_whose_clients_have_left_keep_no_place_in_a_full_queue() {
        let (queue, requests, told) = queue(4);
        let mut waiting: Vec<_> = (1..=4).map(|key| put(&queue, &told, key)).collect();
        waiting[1] = None;
        waiting[3] = None;
        let more = [put(&queue, &told, 5), put(&queue, &told, 6)];
        assert!(more.iter().all(Option::is_some) && put(&queue, &told, 7).is_none());
        while let Some(request) = requests.try_next() {
            request.allow(Grant::default()).unwrap();
        }
        assert_eq!(told.take(), [1, 3, 5, 6].map(|key| (key, "allow")));
        // It does not keep the queue open for a host that has gone.
        drop((waiting, more));
        let last = [put(&queue, &told, 8), put(&queue, &told, 9)];
        drop(requests);
        assert_eq!(told.take(), [(8, "unanswered"), (9, "unanswered")]);
        assert!(last.iter().all(Option::is_some) && put(&queue, &told, 10).is_none());
    }

    #[test]
    fn no_more_wait_than_may() {
        let (queue, requests, told) = queue(2);
        let first = put(&queue, &told, 1).unwrap();
        let _second = put(&queue, &told, 2).unwrap();
        assert!(put(&queue, &told, 3).is_none());
        let held = requests.try_next().unwrap();
        assert!(put(&queue, &told, 4).is_none(), "it waits still, though it was received");
        drop(first);
        assert!(put(&queue, &told, 5).is_some());
        drop(held);
        assert_eq!(told.take(), []);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn without_a_receiver_nobody_waits() {
        let (queue, requests, told) = queue(2);
        let waiting = put(&queue, &told, 1).unwrap();
        let clone = requests.clone();
        drop(requests);
        assert_eq!(told.take(), []);
        drop(clone);
        assert_eq!(told.take(), [(1, "unanswered")]);
        assert!(put(&queue, &told, 2).is_none());
        drop(waiting);
        assert_eq!((told.take(), queue.waiting.load(Ordering::SeqCst)), (vec![], 0));
    }

    #[test]
    fn requests_end_with_their_authorizer() {
        let (queue, requests, told) = queue(2);
        let _waiting = put(&queue, &told, 1).unwrap();
        assert!(!requests.is_ended());
        drop((queue, _waiting));
        assert!(requests.clone().next().is_none() && requests.is_ended());
    }
}
