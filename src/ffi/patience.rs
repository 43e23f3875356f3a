//! How long a call may wait for space in the backlog.

use std::time::{Duration, Instant};

use super::status::Status;
use crate::publish::PublishError;

/// What `timeout_ms` means: 0 does not wait, `u64::MAX` has no bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    None,
    Until(Instant),
    Endless,
}

impl Patience {
    pub(super) fn of(timeout_ms: u64) -> Patience {
        let end = || Instant::now().checked_add(Duration::from_millis(timeout_ms));
        match timeout_ms {
            0 => Patience::None,
            u64::MAX => Patience::Endless,
            // A time that is beyond the clock's end never comes.
            _ => end().map_or(Patience::Endless, Patience::Until),
        }
    }

    pub(super) fn is_none(self) -> bool {
        matches!(self, Patience::None)
    }

    /// What is left of it.
    pub(super) fn left(self) -> Duration {
        match self {
            Patience::None => Duration::ZERO,
            Patience::Until(end) => end.saturating_duration_since(Instant::now()),
            Patience::Endless => Duration::MAX,
        }
    }

    /// The code of an error that came after waiting.
    pub(super) fn refused(self, error: PublishError) -> Status {
        match error {
            PublishError::Full if !self.is_none() => Status::FANFARE_ERR_TIMEOUT,
            error => error.into(),
        }
    }
}
