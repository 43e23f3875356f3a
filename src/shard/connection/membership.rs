//! The audience that a connection is in, and the connection's entry in the audience's lists.

#[derive(Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) audience: u32,
    /// Its slot in the audience's ring, or for a laggard its index in `lagging`.
    pub(crate) slot: u32,
    /// When it joined or was last sent a heartbeat, in milliseconds since the hub's start. Here
    /// and not in the entry, since here it fits in beside a tag.
    pub(crate) quiet_since_ms: u32,
}
