//! Ending without a storm: how a hub sends its clients away.

use std::time::Duration;

use crate::options::OptionsError;

/// How a hub is drained, see [`Hub::drain`](crate::Hub::drain).
///
/// With the defaults everything has ended after 6 s: the window, the grace, and the two seconds
/// of a close. Docker kills a container 10 s after it was told to stop.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{DrainOptions, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let options = DrainOptions { window: Duration::from_millis(100), ..DrainOptions::default() };
/// let drained = hub.drain(options);
/// assert_eq!((drained.told, drained.cut), (0, 0));
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOptions {
    /// The connections are closed evenly over this time, at most 1 hour. Zero closes all at once.
    /// Default: 3 s.
    pub window: Duration,
    /// How much longer after the window one that lags may take what there is for it, at most 1
    /// hour; then the hub is closed, which gives it two seconds more, and it is cut. Default: 1 s.
    pub grace: Duration,
    /// Each client is told to come back after a time drawn from this to twice this, at most 1 day,
    /// so that they do not come back in the same moment. Zero tells nothing. Default: 2 s.
    pub retry: Duration,
}

impl Default for DrainOptions {
    fn default() -> DrainOptions {
        let [window, grace, retry] = [3, 1, 2].map(Duration::from_secs);
        DrainOptions { window, grace, retry }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl DrainOptions {
    /// Checks every option against its bounds. [`Hub::drain`](crate::Hub::drain) does not refuse what
    /// is beyond them, since it has to end, and takes the bound instead; a host that reads its options
    /// from somewhere tells its user at the start.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::DrainOptions;
    ///
    /// let window = Duration::from_secs(24 * 60 * 60);
    /// let error = DrainOptions { window, ..DrainOptions::default() }.check().unwrap_err();
    /// assert_eq!((error.option, error.bounds), ("window", "at most 1 hour"));
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        match self {
            _ if self.window > HOUR => {
                Err(OptionsError { option: "window", bounds: "at most 1 hour" })
            }
            _ if self.grace > HOUR => {
                Err(OptionsError { option: "grace", bounds: "at most 1 hour" })
            }
            _ if self.retry > DAY => Err(OptionsError { option: "retry", bounds: "at most 1 day" }),
            _ => Ok(()),
        }
    }

    /// The options within their bounds.
    pub(crate) fn bounded(self) -> DrainOptions {
        DrainOptions {
            window: self.window.min(HOUR),
            grace: self.grace.min(HOUR),
            retry: self.retry.min(DAY),
        }
    }
}

/// What became of a hub's connections when it was drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many were sent everything, told when to come back, and closed.
    pub told: u64,
    /// How many were closed without, since they did not take what there was for them in time.
    pub cut: u64,
}
