//! Connections with sockets that did not take everything.
//!
//! A short write takes a member out of its audience's ring and gives it a position of its own, and
//! a batch with an offset: what was begun in one chunk has to be finished in it (`state.rs`).
//! When its socket becomes writable it goes on from there (`laggard.rs`), through the events that
//! its audience's queue keeps for laggards, until it has caught up and is a member again
//! (`transitions.rs`). No other connection waits for it.
//!
//! What is kept is bounded (`bounds.rs`). At a bound a laggard may skip events, or have what waits
//! for it conflated (`skip.rs`); then it has events in the spill (`spill.rs`) before those of its
//! position.

pub(in crate::shard) mod bounds;
pub(in crate::shard) mod conflate;
pub(in crate::shard) mod grace;
pub(in crate::shard) mod laggard;
pub(in crate::shard) mod skip;
pub(in crate::shard) mod spill;
pub(in crate::shard) mod state;
pub(in crate::shard) mod transitions;
pub(in crate::shard) mod waiting;
