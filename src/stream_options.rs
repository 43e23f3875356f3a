//! What a host says of a stream that it opens for a client itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::envelope::Envelope;
use crate::heartbeat::HeartbeatForm;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::policy::Policy;
use crate::resume::{Resume, StartAt};

chained! {
    /// How a stream begins, and how it is served, that the host opens for a client itself: what a
    /// listener reads from a client's request, the host says here.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Policy, StartAt, StreamOptions};
    ///
    /// let options = StreamOptions::default()
    ///     .last_event_id("0-17")
    ///     .gap_start(StartAt::Earliest)
    ///     .policy(Policy::Conflate)
    ///     .tag("user 7");
    /// assert_eq!(options.last_event_id.as_deref(), Some("0-17"));
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct StreamOptions {
        /// The id of the last event that the client had, from its request's `Last-Event-ID` (WHATWG
        /// HTML, "Server-sent events"): its stream begins behind that. It may be any text; an empty
        /// one is none, and an id that no event can have is one that is gone. Default: none.
        pub last_event_id: Option<String> as (impl Into<String> => Some(last_event_id.into())),
        /// Where the stream of a client without an id begins. Default: now.
        pub start: StartAt,
        /// Where the stream begins of a client whose id is gone, behind the event that tells the
        /// gap. Default: none, so that the reason decides.
        pub gap_start: Option<StartAt> as (StartAt => Some(gap_start)),
        /// What happens to the connection when it lags too far. Default: none, which is that of the
        /// rules of its topics, or the hub's.
        pub policy: Option<Policy> as (Policy => Some(policy)),
        /// The form of heartbeats. Default: none, which is the hub's.
        pub heartbeat_form: Option<HeartbeatForm> as (HeartbeatForm => Some(heartbeat_form)),
        /// What is around the data of the stream's events. Default: nothing.
        pub envelope: Envelope,
        /// A label by which the connection is found again, 1 to 256 bytes without control
        /// characters. Default: none.
        pub tag: Option<Arc<str>> as (impl Into<Arc<str>> => Some(tag.into())),
        /// The client's address, by which it is listed, and counts against the limits per address.
        /// Default: none, which counts against the limits in all alone.
        pub addr: Option<SocketAddr> as (SocketAddr => Some(addr)),
        /// When the stream ends, whatever happens meanwhile, as
        /// [`DisconnectReason::Expired`](crate::DisconnectReason): less than a second later, never
        /// earlier. Default: none, which is never.
        pub expires_at: Option<SystemTime> as (SystemTime => Some(expires_at)),
        /// The most bytes that wait to be read of a stream that the host reads itself
        /// ([`Hub::subscribe`](crate::Hub::subscribe)), each batch with 64 bytes more for what is
        /// kept with it, 1 byte to 16 MiB; or one batch, if that alone is more. The last block
        /// of a stream that is drained or disconnected, some bytes, comes on top. A batch is shared
        /// with all streams that are sent the same. Default: none, which is
        /// [`StreamOptions::QUEUE_BYTES`].
        pub queue_bytes_max: Option<usize> as (usize => Some(queue_bytes_max)),
    }
}

impl StreamOptions {
    /// The most bytes of a tag.
    pub const TAG_BYTES_MAX: usize = 256;

    /// The `queue_bytes_max` of a stream for which none is set: 128 KiB.
    pub const QUEUE_BYTES: usize = 128 << 10;
    const QUEUE_BYTES_MAX: usize = 16 << 20;

    /// Checks what has bounds.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        StreamOptions::check_tag(self.tag.as_ref())?;
        let queue_fits = |bytes: usize| (1..=StreamOptions::QUEUE_BYTES_MAX).contains(&bytes);
        let fits = self.queue_bytes_max.is_none_or(queue_fits);
        within(fits, "queue_bytes_max", "1 byte to 16 MiB")
    }

    /// Checks a tag.
    pub(crate) fn check_tag(tag: Option<&Arc<str>>) -> Result<(), OptionsError> {
        let tag_fits = |tag: &Arc<str>| {
            let fits = (1..=StreamOptions::TAG_BYTES_MAX).contains(&tag.len());
            fits && !tag.contains(char::is_control)
        };
        let fits = tag.is_none_or(tag_fits);
        within(fits, "tag", "1 to 256 bytes without control characters")
    }

    /// What of the past the client is sent.
    pub(crate) fn resume(&self) -> Resume {
        match self.last_event_id.as_deref().filter(|id| !id.is_empty()) {
            None => Resume::Start(self.start),
            Some(id) => Resume::last_event_id(id, self.gap_start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_behind_its_id_and_begins_where_it_says_without_one() {
        let options = StreamOptions::default().start(StartAt::Latest);
        assert_eq!(options.resume(), Resume::Start(StartAt::Latest));
        assert_eq!(options.clone().last_event_id("").resume(), Resume::Start(StartAt::Latest));
        let resume = options.clone().last_event_id("a").resume();
        assert_eq!(resume, Resume::After("a".into()));
        let options = options.gap_start(StartAt::Earliest);
        for (id, known) in [("a", "a"), ("a\nb", ""), (&*"x".repeat(2000), "")] {
            let resume = options.clone().last_event_id(id).resume();
            assert_eq!(resume, Resume::AfterOr(known.into(), StartAt::Earliest));
        }
    }

    #[test]
    fn a_queue_has_bounds() {
        let check = |bytes| StreamOptions::default().queue_bytes_max(bytes).check();
        assert!(check(1).is_ok() && check(16 << 20).is_ok());
        for wrong in [0, (16 << 20) + 1] {
            assert_eq!(check(wrong).unwrap_err().option, "queue_bytes_max");
        }
    }

    #[test]
    fn a_tag_has_bounds() {
        let check = |tag: &str| StreamOptions::default().tag(tag).check();
        assert!(check("a").is_ok() && check(&"x".repeat(256)).is_ok());
        for wrong in ["", "a\n", &*"x".repeat(257)] {
            assert_eq!(check(wrong).unwrap_err().option, "tag");
        }
    }
}
