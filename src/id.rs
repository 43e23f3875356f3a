//! The ids of events and of the hub's life.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::time::SystemTime;

use crate::excerpt::Excerpt;

/// The id of a published event, as clients are told it: a text of at most [`EventId::BYTES_MAX`]
/// bytes of printable ASCII without comma or space.
///
/// The text is opaque. Two ids are equal if their texts are; which of two events came first only
/// the engine knows. The hub of today makes its ids by itself; ids that a store or a cluster gives
/// will have another form, so a program must not interpret the text's parts. It is `Copy` and stays
/// so: the longest text that an id can have is kept in the value itself, without an allocation.
///
/// # Examples
///
/// ```
/// use fanfare::{EventId, Hub, Options, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let published = hub.publish(&Topic::new("news")?, "hello")?;
/// if let Some(id) = published.id() {
///     let text = id.to_string();
///     assert!(text.len() <= EventId::BYTES_MAX);
///     assert_eq!(text.parse(), Ok(id));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The life of the hub that the event is of.
    pub(crate) epoch: Epoch,
    /// The event's number in the hub's total order; the first is 1.
    pub(crate) sequence: u64,
}

/// A text is not the id of an event.
///
/// # Examples
///
/// ```
/// use fanfare::{EventId, EventIdError};
///
/// let error: EventIdError = "yesterday".parse::<EventId>().unwrap_err();
/// assert!(error.to_string().starts_with("\"yesterday\" is no event's id;"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdError {
    text: Excerpt,
}

/// One life of one hub: eight characters, drawn at random when the hub starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Epoch([u8; Epoch::BYTES]);

impl EventId {
    /// The most bytes that an id's text has.
    pub const BYTES_MAX: usize = 64;

    /// The most bytes in the text of an id that a hub makes by itself.
    pub(crate) const OWN_BYTES_MAX: usize = Epoch::BYTES + 1 + 20;

    /// Reads an id as it was written out; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let (epoch, sequence) = text.split_once('-')?;
        let epoch = Epoch::from_bytes(epoch.as_bytes().try_into().ok()?);
        let plain = sequence.bytes().all(|byte| byte.is_ascii_digit())
            && (sequence == "0" || !sequence.starts_with('0'));
        let sequence = sequence.parse().ok().filter(|_| plain)?;
        Some(EventId { epoch: epoch?, sequence })
    }

    /// Writes the text into a buffer's beginning, and returns its length. It is done for each event
    /// that a host in another language publishes, and takes a quarter of the steps of `write!`.
    pub(crate) fn write(self, buffer: &mut [u8; EventId::OWN_BYTES_MAX]) -> usize {
        let digits = self.sequence.checked_ilog10().map_or(1, |log| log as usize + 1);
        let (begin, end) = (Epoch::BYTES + 1, Epoch::BYTES + 1 + digits);
        buffer[..Epoch::BYTES].copy_from_slice(self.epoch.as_bytes());
        buffer[Epoch::BYTES] = b'-';
        let mut rest = self.sequence;
        for digit in buffer[begin..end].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        end
    }
}

const _: () = assert!(EventId::OWN_BYTES_MAX <= EventId::BYTES_MAX);

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<EventId, EventIdError> {
        EventId::parse(text).ok_or_else(|| EventIdError { text: Excerpt::of(text) })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; EventId::OWN_BYTES_MAX];
        let length = self.write(&mut buffer);
        f.write_str(std::str::from_utf8(&buffer[..length]).expect("an id's text is ASCII"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl fmt::Display for EventIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no event's id; give one as a hub has written it", self.text)
    }
}

impl std::error::Error for EventIdError {}

impl Epoch {
    pub(crate) const BYTES: usize = 8;

    /// 32 symbols without the ones that are easily mistaken for another: 40 random bits.
    const SYMBOLS: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// Whether a byte is one of the symbols; it takes as long for any of them.
    fn is_symbol(byte: &u8) -> bool {
        byte.is_ascii_digit() || byte.is_ascii_lowercase() && !b"ilou".contains(byte)
    }

    /// Draws an epoch. Hubs that are made after a `fork`, in parent and child, have different
    /// epochs: a generator's state would be the same in both, but the process id and the time are
    /// not.
    pub(crate) fn random() -> Epoch {
        let seed = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let mut random = fastrand::Rng::with_seed(seed);
        Epoch(std::array::from_fn(|_| Epoch::SYMBOLS[random.usize(..32)]))
    }

    /// The epoch that is written so; `None` for anything else.
    pub(crate) fn from_bytes(bytes: [u8; Epoch::BYTES]) -> Option<Epoch> {
        bytes.iter().all(Epoch::is_symbol).then_some(Epoch(bytes))
    }

    /// The epoch as a number, for a cell that threads share.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from_le_bytes(self.0)
    }

    /// The epoch of [`Epoch::to_bits`].
    pub(crate) fn from_bits(bits: u64) -> Epoch {
        Epoch(bits.to_le_bytes())
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
        for sequence in [0, 1, 9, 10, 99, 100, 1234567890, u64::MAX] {
            let id = EventId { epoch: Epoch::random(), sequence };
            assert_eq!(id.to_string(), format!("{}-{sequence}", id.epoch.as_str()));
            assert_eq!(id.to_string().parse(), Ok(id));
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
            assert!(text.parse::<EventId>().is_err(), "{text:?}");
        }
    }
}
