//! The small model of what a call may return.

use fanfare::ffi::FanfareStatusCode::{self as Status, *};
use fanfare::ffi::FanfareStatus;

/// What may come back of a call.
///
/// A call with faults is refused with the code of one of them: which of several is looked at first is
/// the library's. One without succeeds, or is refused for what is the engine's and not the caller's.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    faults: Vec<Status>,
    chances: Vec<Status>,
}

impl Expected {
    pub(crate) fn fault(mut self, fault: impl Into<Option<Status>>) -> Expected {
        self.faults.extend(fault.into());
        self
    }

    pub(crate) fn fault_if(self, holds: bool, fault: Status) -> Expected {
        self.fault(holds.then_some(fault))
    }

    /// A code that may come back instead of success, and need not.
    pub(crate) fn chance_if(mut self, holds: bool, chance: Status) -> Expected {
        self.chances.extend(holds.then_some(chance));
        self
    }

    pub(crate) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Checks what came back, and says whether it is success.
    pub(crate) fn check(&self, call: &str, status: FanfareStatus) -> bool {
        let is = |code: &Status| *code as FanfareStatus == status;
        let is_allowed = match self.is_faulty() {
            true => self.faults.iter().chain(&self.chances).any(is),
            false => is(&FANFARE_OK) || self.chances.iter().any(is),
        };
        assert!(is_allowed, "{call} returned {status}, but {self:?}");
        status == FANFARE_OK as FanfareStatus
    }
}
