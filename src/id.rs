//! The ids of events and of the hub's life.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// An event's place in its hub's total order, and the id a client sees: `<epoch>-<sequence>`.
///
/// The epoch names one life of one hub, so that an id of an earlier life is recognised; the
/// sequence counts every event of the hub, from 1. Printable ASCII without comma or space.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let id = hub.publish(&Topic::new("news")?, "hello")?;
/// assert_eq!(id.sequence(), 1);
/// assert!(id.to_string().ends_with("-1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    pub(crate) epoch: Epoch,
    pub(crate) sequence: u64,
}

/// One life of one hub: eight characters, drawn at random when the hub starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Epoch([u8; Epoch::BYTES]);

impl EventId {
    /// Reads an id as it was written out; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let (epoch, sequence) = text.split_once('-')?;
        let epoch: [u8; Epoch::BYTES] = epoch.as_bytes().try_into().ok()?;
        let plain = epoch.iter().all(Epoch::is_symbol)
            && sequence.bytes().all(|byte| byte.is_ascii_digit())
            && (sequence == "0" || !sequence.starts_with('0'));
        let sequence = sequence.parse().ok().filter(|_| plain)?;
        Some(EventId { epoch: Epoch(epoch), sequence })
    }

    /// The most bytes that an id has when it is written out.
    pub const BYTES_MAX: usize = Epoch::BYTES + 1 + 20;

    /// The event's number in the hub's total order; the first is 1.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.as_str(), self.sequence)
    }
}

impl Epoch {
    pub(crate) const BYTES: usize = 8;

    /// 32 symbols without the ones that are easily mistaken for another: 40 random bits.
    const SYMBOLS: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// Whether a byte is one of the symbols; it takes as long for any of them.
    fn is_symbol(byte: &u8) -> bool {
        byte.is_ascii_digit() || byte.is_ascii_lowercase() && !b"ilou".contains(byte)
    }

    /// Draws an epoch. Also of hubs that are made after a `fork`, in parent and child, each has
    /// its own: a generator's state would be the same in both, the process and the time are not.
    pub(crate) fn random() -> Epoch {
        let seed = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let mut random = fastrand::Rng::with_seed(seed);
        Epoch(std::array::from_fn(|_| Epoch::SYMBOLS[random.usize(..32)]))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Epoch::BYTES] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an epoch's symbols are ASCII")
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is_one() {
        for sequence in [0, 1, 10, u64::MAX] {
            let id = EventId { epoch: Epoch::random(), sequence };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for byte in 0..=u8::MAX {
            assert_eq!(Epoch::is_symbol(&byte), Epoch::SYMBOLS.contains(&byte), "{byte}");
        }
        for text in [
            "",
            "-",
            "7",
            "0123456g-",
            "0123456g-07",
            "0123456g-+7",
            "0123456g-7 ",
            "0123456-7",
            "0123456i-7",
            "0123456G-7",
            "0123456g-18446744073709551616",
            "0123456g-1-1",
        ] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
    }
}
