//! What happens to a connection that lags too far.

/// The fate of a connection that lags by more than `lag_bytes_max` or `lag_age_max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// It is closed; an `EventSource` then reconnects by itself.
    #[default]
    Disconnect,
}
