//! The small model of what a call may return.

use fanfare::ffi::FanfareStatusCode::{self as Status, *};
use fanfare::ffi::{FanfareStatus, FanfareText};

use crate::memory::{understood, Lent};

/// What may come back of a call.
///
/// A call with faults is refused with the code of one of them: which of several is looked at first is
/// the library's. One without succeeds, or is refused for what is the engine's and not the caller's.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    faults: Vec<FanfareStatus>,
    chances: Vec<FanfareStatus>,
}

impl Expected {
    pub(crate) fn fault(mut self, fault: impl Into<Option<Status>>) -> Expected {
        self.faults.extend(fault.into().map(|fault| fault as FanfareStatus));
        self
    }

    pub(crate) fn fault_if(self, holds: bool, fault: Status) -> Expected {
        self.fault(holds.then_some(fault))
    }

    /// What `fanfare_..._problem` has said of an argument, and the code for what is out of its bounds.
    pub(crate) fn verdict(mut self, verdict: Verdict, code: Status) -> Expected {
        match verdict {
            Verdict::Good => {}
            Verdict::Bad => self.faults.push(code as FanfareStatus),
            Verdict::Refused(status) => self.faults.push(status),
        }
        self
    }

    /// A code that may come back instead of success, and need not.
    pub(crate) fn chance_if(mut self, holds: bool, chance: Status) -> Expected {
        self.chances.extend(holds.then_some(chance as FanfareStatus));
        self
    }

    /// All of both.
    pub(crate) fn and(mut self, other: Expected) -> Expected {
        self.faults.extend(other.faults);
        self.chances.extend(other.chances);
        self
    }

    pub(crate) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Checks what came back, and says whether it is success.
    pub(crate) fn check(&self, call: &str, status: FanfareStatus) -> bool {
        let is_success = status == FANFARE_OK as FanfareStatus;
        let is_allowed = self.faults.contains(&status)
            || self.chances.contains(&status)
            || (is_success && !self.is_faulty());
        assert!(is_allowed, "{call} returned {status}, but {self:?}");
        is_success
    }
}

/// What a function that looks for a problem has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// A field is out of its bounds.
    Bad,
    /// It has refused the struct.
    Refused(FanfareStatus),
}

/// A function that looks for a problem.
pub(crate) type Problem<T> =
    unsafe extern "C" fn(*const T, *mut FanfareText, *mut FanfareText) -> FanfareStatus;

/// Has a struct looked at: what is wrong is named, by texts that can be read.
pub(crate) fn verdict<T>(call: &str, problem: Problem<T>, given: &Lent<T>) -> Verdict {
    let none = FanfareText { data: std::ptr::null(), length: 0 };
    let (mut name, mut bounds) = (none, none);
    // SAFETY: the struct is as it says, and the outputs can be written to.
    let status = unsafe { problem(given.as_ptr(), &mut name, &mut bounds) };
    let texts = [name, bounds].map(|text| understood(text).expect("a text"));
    let verdict = match (status == FANFARE_OK as FanfareStatus, &texts) {
        (true, [None, None]) => Verdict::Good,
        (true, [Some(name), Some(bounds)]) => {
            assert!(!name.is_empty() && !bounds.is_empty());
            Verdict::Bad
        }
        (false, [None, None]) => Verdict::Refused(status),
        _ => panic!("{call} returned {status} and {texts:?}"),
    };
    match given.fault {
        Some(FANFARE_ERR_ARGUMENT) => {
            assert_eq!(verdict, Verdict::Refused(FANFARE_ERR_ARGUMENT as FanfareStatus), "{call}");
        }
        Some(_) => assert_eq!(verdict, Verdict::Bad, "{call}"),
        None => assert!(status != FANFARE_ERR_PANIC as FanfareStatus, "{call}"),
    }
    verdict
}
