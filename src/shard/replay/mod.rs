//! How a client that comes back is sent what it has missed, and then joins its audience, with
//! nothing lost, doubled or out of order at the seam.
//!
//! ```text
//!    history, merged            |  the audience's queue
//!   [ part | part | last part ] n  n+1  n+2 ...
//!                               `everything up to here is in the queue, or before it
//! ```
//!
//! The shard knows a number `n` up to which it has taken all events that concern it. History has
//! everything up to `n` as well. So a client is sent the parts of history one after another, and
//! with the one that reaches `n` it gets the position in its audience's queue just behind `n`: as a
//! laggard, which then goes on like any other.
//!
//! ```text
//!   join -> replay: search the cursor -> send parts -> seam -> laggard -> member
//!   entry/join.rs   search.rs            flush.rs      flush.rs  lagging/   connection/member.rs
//! ```
//!
//! In a cluster a client may lack what is not kept here any more, and the cluster's stream has: then it waits for that
//! before it is sent parts, and searches its cursor anew (`recall.rs`).
//!
//! Each step calls the next one, or a later one where those between have nothing to do; none calls
//! back. A client that replays delays no other: its audience's queue keeps nothing for it,
//! and the shard one part, which is shared by all that replay the same topics from the same cursor
//! (`gather.rs`, `parts.rs`).

pub(in crate::shard) mod flush;
pub(in crate::shard) mod gather;
pub(in crate::shard) mod parts;
pub(in crate::shard) mod recall;
pub(in crate::shard) mod search;
pub(in crate::shard) mod state;
