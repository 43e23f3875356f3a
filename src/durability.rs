//! What a hub with a journal promises of an event that it has accepted.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::Excerpt;

/// What survives, of the events that a hub with [`Options::data_dir`](crate::Options) has accepted.
/// Whatever is chosen, events are sent to clients at once, and do not wait for the disk.
///
/// # Examples
///
/// ```
/// use fanfare::{Durability, Options};
///
/// let folder = std::env::temp_dir().join("fanfare-durability-example");
/// let options = Options::default().data_dir(folder).durability(Durability::Always);
/// assert_eq!(options.durability.as_str(), "always");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Events survive the process, but not a machine that loses its power. When a waiting
    /// publisher ([`Hub::publish_wait`](crate::Hub::publish_wait),
    /// [`Hub::publish_async`](crate::Hub::publish_async)) is answered, the operating system
    /// has the event. An event of [`Hub::publish`](crate::Hub::publish) is on its way for some
    /// milliseconds, and is lost if the process is killed meanwhile.
    Os,
    /// As `Os`; and the disk has each event at most [`Options::sync_interval`](crate::Options), and the
    /// time that the disk takes, after the operating system: so much is lost with the machine.
    #[default]
    Interval,
    /// When a waiting publisher is answered, the disk has the event, and it survives a loss of
    /// power. Events that come while the disk is busy are written together.
    Always,
}

/// There is no durability of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{Durability, DurabilityError};
///
/// let error: DurabilityError = "never".parse::<Durability>().unwrap_err();
/// assert!(error.to_string().ends_with("there are os, interval, always"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurabilityError {
    name: Excerpt,
}

impl Durability {
    pub(crate) const ALL: [Durability; 3] =
        [Durability::Os, Durability::Interval, Durability::Always];

    /// Each of them, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Durability;
    ///
    /// assert!(Durability::all().any(|durability| durability == Durability::default()));
    /// ```
    pub fn all() -> impl Iterator<Item = Durability> {
        Durability::ALL.into_iter()
    }

    /// Its name in options.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Durability;
    ///
    /// assert_eq!(Durability::Os.as_str(), "os");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Os => "os",
            Durability::Interval => "interval",
            Durability::Always => "always",
        }
    }
}

impl FromStr for Durability {
    type Err = DurabilityError;

    fn from_str(name: &str) -> Result<Durability, DurabilityError> {
        let known = Durability::ALL.into_iter().find(|durability| durability.as_str() == name);
        known.ok_or_else(|| DurabilityError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DurabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Durability::ALL.map(Durability::as_str).join(", ");
        write!(f, "there is no durability {}; there are {names}", self.name)
    }
}

impl std::error::Error for DurabilityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_durability_is_read_by_its_name() {
        for durability in Durability::all() {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        let error = "fsync".parse::<Durability>().unwrap_err().to_string();
        assert_eq!(error, "there is no durability \"fsync\"; there are os, interval, always");
    }
}
