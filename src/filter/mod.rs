//! Wildcard filters: the topics of a client that does not name them one by one.

mod cover;
mod pattern;
mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

pub use self::pattern::{Filter, FilterError};
pub use self::subscription::{Subscription, SubscriptionError};
