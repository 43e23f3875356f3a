//! What other threads tell a shard of one of its connections: hosts that read streams themselves,
//! hosts that answer what they were asked, and authorizers. None of it is lost while there is a
//! shard, so it has a channel without a bound of its own; how much may be in it follows from the
//! number of connections.

use crate::authorizer::Verdict;
use crate::cluster::Recalled;
use crate::lifecycle::ConnectionId;
use crate::shard::connection::slots::Key;
use crate::shard::entry::pull_request::PullRequest;

pub(crate) enum Told {
    /// A stream begins that its host reads. It is in here once.
    Begins(Box<PullRequest>),
    /// There is room in the queue of such a stream, or nobody reads it any more. It is in here once
    /// until the shard has looked.
    HasNews(ConnectionId),
    /// What becomes of a connection that waits for the host. Each gets one answer, and as many wait
    /// as authorizers allow.
    Answered(Key, Verdict),
    /// What the cluster has of what a connection lacks. Each asks again when it has its answer.
    Recalled(Key, Box<Recalled>),
    /// A stream ends, as its lease says. It is in here once at most.
    Ends(Key),
}
