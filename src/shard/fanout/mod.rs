//! How events reach the members of audiences: routes, queues, rings and windows, and the pace of
//! events that are spread over a time.

pub(in crate::shard) mod audience;
pub(in crate::shard) mod audiences;
pub(in crate::shard) mod complete;
pub(in crate::shard) mod pace;
pub(in crate::shard) mod queue;
pub(in crate::shard) mod ring;
pub(in crate::shard) mod routes;
pub(in crate::shard) mod scheduler;
pub(in crate::shard) mod spread;
pub(in crate::shard) mod window;
