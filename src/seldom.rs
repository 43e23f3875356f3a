//! Log lines that clients can cause: each kind is logged at most once in 10 seconds.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a kind of line is not logged again.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of line. It is a `static` where the line is logged, one for the process.
pub(crate) struct Seldom(Mutex<State>);

struct State {
    logged_at: Option<Instant>,
    left_out: u64,
}

/// The number of lines that were left out since the last one: nothing, or ` (3 more since ...)`.
pub(crate) struct LeftOut(u64);

impl Seldom {
    pub(crate) const fn new() -> Seldom {
        Seldom(Mutex::new(State { logged_at: None, left_out: 0 }))
    }

    /// Logs if it is time to. The line ends with the [`LeftOut`] that it gets.
    pub(crate) fn log(&self, log: impl FnOnce(LeftOut)) {
        if let Some(left_out) = self.is_due(Instant::now()) {
            log(left_out);
        }
    }

    fn is_due(&self, now: Instant) -> Option<LeftOut> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.logged_at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.logged_at = Some(now);
        Some(LeftOut(std::mem::take(&mut state.left_out)))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more since this was last logged)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_at_once_and_then_once_in_a_while_with_the_count_of_the_others() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let at = |ms| seldom.is_due(start + Duration::from_millis(ms)).map(|it| it.to_string());
        assert_eq!(at(0), Some(String::new()));
        assert!((1..10_000).all(|ms| at(ms).is_none()));
        assert_eq!(at(10_000).unwrap(), " (9999 more since this was last logged)");
        assert_eq!(at(10_001), None);
        assert_eq!(at(30_000).unwrap(), " (1 more since this was last logged)");
        assert_eq!(at(50_000), Some(String::new()));
    }
}
