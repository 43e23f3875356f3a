//! How clients come in: the seam between a shard, which knows no HTTP, and the protocol that its
//! clients speak.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::filter::Subscription;
use crate::frame::Wire;
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;
use crate::resume::Resume;
#[cfg(any(test, feature = "internals"))]
use crate::resume::StartAt;
use crate::sys::ListenSocket;
#[cfg(any(test, feature = "internals"))]
use crate::topic::Topic;

/// What a shard asks of a protocol.
pub(crate) trait Greeter: Send + Sync {
    /// Looks at all that a client has sent so far. `crowded` says that the bounds on connections
    /// are reached.
    fn greet(&self, head: &[u8], addr: SocketAddr, crowded: bool) -> Greeting;

    /// The answer to a client whose request does not come in time.
    fn too_slow(&self) -> Vec<u8>;

    /// The answer to a client who wants something else than events, when too many do.
    fn no_room_elsewhere(&self) -> Vec<u8>;

    /// How long a client may take for its request's head.
    fn head_time_max(&self) -> Duration;
}

/// What is to be done with a client.
pub(crate) enum Greeting {
    /// Its request's head is not complete.
    More,
    /// It becomes an event stream.
    Join(Box<Guest>),
    /// It is sent an answer, and then the connection is closed.
    Answer(Vec<u8>),
    /// It wants something else than events: another part of the program answers.
    Elsewhere,
}

/// A client that is to get events.
pub(crate) struct Guest {
    /// The response's head.
    pub(crate) head: Vec<u8>,
    /// What it wants, at least one.
    pub(crate) wanted: Vec<Subscription>,
    pub(crate) wire: Wire,
    /// The reconnection time that it is told.
    pub(crate) retry: Option<Duration>,
    /// What of the past it is sent first.
    pub(crate) resume: Resume,
    /// What happens to it when it lags too far.
    pub(crate) policy: Policy,
    /// What its heartbeats are, and the first block of its stream.
    pub(crate) heartbeat_form: HeartbeatForm,
    /// What it calls itself.
    pub(crate) tag: Option<Arc<str>>,
}

#[cfg(any(test, feature = "internals"))]
impl Guest {
    /// One that wants nothing but what is published to topics.
    pub(crate) fn new(head: Vec<u8>, topics: Vec<Topic>, wire: Wire) -> Guest {
        let (resume, policy) = (Resume::Start(StartAt::Now), Policy::default());
        let wanted = topics.into_iter().map(Subscription::Topic).collect();
        let heartbeat_form = HeartbeatForm::default();
        Guest { head, wanted, wire, retry: None, resume, policy, heartbeat_form, tag: None }
    }
}

/// A connection that wants something else than events.
#[derive(Debug)]
pub struct Visitor {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// What was read from it: at least its request's head.
    pub read: Vec<u8>,
    /// The peer's address.
    pub addr: SocketAddr,
}

/// A listening socket, shared by all shards: whoever is idle accepts.
pub(crate) struct Door {
    pub(crate) socket: ListenSocket,
    pub(crate) greeter: Box<dyn Greeter>,
    /// Where connections go that want something else than events.
    pub(crate) elsewhere: Option<async_channel::Sender<Visitor>>,
    closed: AtomicBool,
}

impl Door {
    pub(crate) fn new(
        socket: ListenSocket,
        greeter: Box<dyn Greeter>,
        elsewhere: Option<async_channel::Sender<Visitor>>,
    ) -> Door {
        Door { socket, greeter, elsewhere, closed: AtomicBool::new(false) }
    }

    /// Ends the listening at once, whoever still refers to the door.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.socket.shutdown();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
