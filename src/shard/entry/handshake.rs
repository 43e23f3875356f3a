//! The handshake: the seam between a shard, which knows no HTTP, and the protocol that its clients
//! speak; and the acceptor, a listening socket with its protocol.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::authorizer::{Lease, Question, Refusal, Verdict};
use crate::envelope::Envelope;
use crate::fallback::Fallback;
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;
use crate::resume::Resume;
#[cfg(any(test, feature = "internals"))]
use crate::resume::StartAt;
use crate::shard::connection::peer::Peer;
use crate::sys::ListenSocket;
#[cfg(any(test, feature = "internals"))]
use crate::topic::Topic;

/// The protocol of an acceptor's clients: it reads requests, and writes the answers to them.
pub(crate) trait Handshake: Send + Sync {
    /// Who a connection is from that was accepted from this address.
    fn accepted(&self, addr: Option<SocketAddr>) -> Peer;

    /// Looks at all that a client has sent so far. `beyond_bounds` says that the bounds on
    /// connections are reached.
    fn step(&self, head: &[u8], peer: &Peer, beyond_bounds: bool) -> HandshakeStep;

    /// Looks again at a request's head, whose content was waited for and has come; the content is
    /// there if it is kept.
    fn after_content(
        &self,
        head: &[u8],
        content: &[u8],
        peer: &Peer,
        beyond_bounds: bool,
    ) -> HandshakeStep;

    /// Looks again at the head of a request about which the host was asked. It is not asked again.
    fn after_verdict(
        &self,
        head: &[u8],
        verdict: &Verdict,
        peer: &Peer,
        beyond_bounds: bool,
    ) -> HandshakeStep;

    /// The answer to a client that has not sent its request in time.
    fn too_slow(&self) -> Vec<u8>;

    /// The answer to a request that is not for events, when the fallback is full.
    fn fallback_is_full(&self) -> Vec<u8>;

    /// How long a client may take for its request: the head, and the content if there is any.
    fn head_time_max(&self) -> Duration;
}

/// What the shard has to do next with a connection.
pub(crate) enum HandshakeStep {
    /// Its request's head is not complete.
    More,
    /// More is known of whom it is from. The protocol is asked again with that, and with what comes
    /// behind the first `skip` bytes.
    Peer { skip: usize, peer: Peer },
    /// Its request's content is not complete, which begins behind `head_bytes` bytes. What is there
    /// of it has been given to `content` already. The client is sent `interim` first.
    Content { head_bytes: usize, content: Box<dyn Content>, interim: &'static [u8] },
    /// The host is asked whether it may become an event stream; the head of its request has
    /// `head_bytes` bytes.
    Ask { head_bytes: usize, question: Box<Question> },
    /// The connection becomes an event stream.
    Join(Box<StreamRequest>),
    /// The client is sent an answer, and then the connection is closed.
    Answer(Vec<u8>),
    /// The request is not for events: the fallback, another part of the program, answers it.
    Unhandled,
}

/// The content of a request that is waited for.
pub(crate) trait Content: Send {
    /// Takes more of it. What comes behind its end is not asked for.
    fn take(&mut self, bytes: &[u8]) -> ContentStep;

    /// What of it was kept.
    fn into_kept(self: Box<Self>) -> Vec<u8>;
}

/// What the shard has to do next with a connection whose request's content is waited for.
pub(crate) enum ContentStep {
    /// There is more to come.
    More,
    /// All of it is here: the protocol looks at the head again.
    Complete,
    /// The client is sent an answer, and then the connection is closed.
    Answer(Vec<u8>),
}

/// A request for an event stream.
pub(crate) struct StreamRequest {
    /// The response's head.
    pub(crate) head: Vec<u8>,
    /// The topics and filters that the client subscribes to, at least one.
    pub(crate) wanted: Vec<Subscription>,
    pub(crate) wire: Wire,
    /// What the events of the stream are in.
    pub(crate) envelope: Envelope,
    /// The reconnection time that the client is told.
    pub(crate) retry: Option<Duration>,
    /// What of the past the client is sent first.
    pub(crate) resume: Resume,
    /// What happens to the connection when it lags too far.
    pub(crate) policy: Policy,
    /// The form of the stream's heartbeats, and of its first block.
    pub(crate) heartbeat_form: HeartbeatForm,
    /// What the client calls itself.
    pub(crate) tag: Option<Arc<str>>,
    /// When the stream ends, whatever happens meanwhile.
    pub(crate) expires_at: Option<SystemTime>,
    /// Is dropped when the stream has ended.
    pub(crate) lease: Option<Lease>,
}

impl StreamRequest {
    /// Uses up what the stream needs, right before it begins.
    pub(crate) fn take_lease(&self) -> Result<(), Refusal> {
        self.lease.as_ref().map_or(Ok(()), |lease| lease.take(SystemTime::now()))
    }
}

#[cfg(any(test, feature = "internals"))]
impl StreamRequest {
    /// A request for what is published to topics from now on, and nothing else.
    pub(crate) fn new(head: Vec<u8>, topics: Vec<Topic>, wire: Wire) -> StreamRequest {
        let (resume, policy) = (Resume::Start(StartAt::Now), Policy::default());
        let wanted = topics.into_iter().map(Subscription::Topic).collect();
        let heartbeat_form = HeartbeatForm::default();
        StreamRequest {
            head,
            wanted,
            wire,
            envelope: Envelope::None,
            retry: None,
            resume,
            policy,
            heartbeat_form,
            tag: None,
            expires_at: None,
            lease: None,
        }
    }
}

/// A listening socket and its protocol. All shards share it, and a shard that is idle accepts.
pub(crate) struct Acceptor {
    pub(crate) socket: ListenSocket,
    pub(crate) handshake: Box<dyn Handshake>,
    /// Gets the connections with requests that are not for events.
    pub(crate) fallback: Option<Fallback>,
    closed: AtomicBool,
}

impl Acceptor {
    pub(crate) fn new(
        socket: ListenSocket,
        handshake: Box<dyn Handshake>,
        fallback: Option<Fallback>,
    ) -> Acceptor {
        Acceptor { socket, handshake, fallback, closed: AtomicBool::new(false) }
    }

    /// Ends the listening at once, also while shards still refer to the acceptor.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.socket.shutdown();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
