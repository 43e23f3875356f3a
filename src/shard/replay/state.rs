//! The state of a client that is sent what it has missed.

use crate::order::{Cursor, Search};
use crate::shard::connection::pending::Pending;
use crate::shard::connection::sent::Sent;

pub(crate) struct Replaying {
    pub(in crate::shard) audience: u32,
    /// What it is being sent.
    pub(in crate::shard) pending: Option<Pending>,
    /// How far it is when it was sent that.
    pub(in crate::shard) stage: Stage,
    /// Whether it queues for another flush.
    pub(in crate::shard) queued: bool,
    /// When it began or last took something, in milliseconds since the hub's start.
    pub(in crate::shard) since_ms: u32,
}

pub(in crate::shard) enum Stage {
    /// The cursor at which its stream begins has yet to be found.
    Searching(Search),
    /// It has yet to be sent what is behind the cursor.
    At(Cursor),
}

impl Replaying {
    /// The events that it was sent of what it is being sent.
    pub(in crate::shard) fn sent(&self) -> Sent {
        self.pending.as_ref().map_or(Sent::default(), Pending::sent)
    }

    /// The events that it has yet to be sent of that.
    pub(in crate::shard) fn left(&self) -> Sent {
        self.pending.as_ref().map_or(Sent::default(), Pending::left)
    }
}
