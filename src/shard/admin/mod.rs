//! What a host asks of a shard, and has it do.

pub(in crate::shard) mod describe;
pub(in crate::shard) mod drain;
pub(in crate::shard) mod farewell;
pub(in crate::shard) mod queries;
pub(in crate::shard) mod query;
pub(in crate::shard) mod resubscribe;
