//! How a client comes in: accepted, its request read, and joined to its audience.

pub(in crate::shard) mod accept;
pub(in crate::shard) mod adopt;
pub(in crate::shard) mod adopted;
pub(in crate::shard) mod asking;
pub(in crate::shard) mod handshake;
pub(in crate::shard) mod hearing;
pub(in crate::shard) mod hosts;
pub(in crate::shard) mod join;
pub(in crate::shard) mod leases;
pub(in crate::shard) mod limits;
pub(in crate::shard) mod pull_request;
pub(in crate::shard) mod spares;
pub(in crate::shard) mod subscribe;
pub(in crate::shard) mod told;
