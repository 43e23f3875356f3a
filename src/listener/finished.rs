//! The answer to a client all of whose topics are finished, when there is nothing to be sent to it.

use std::sync::atomic::Ordering;

use crate::filter::Subscription;
use crate::http::response;
use crate::resume::Resume;
use crate::shard::Shared;

/// The answer that tells a client not to come back: an `EventSource` that gets 204 is closed, and
/// connects no more (WHATWG HTML, section "Server-sent events"). `None` if there is something to be
/// sent, or may be some day.
pub(super) fn answer(
    shared: &Shared,
    wanted: &[Subscription],
    resume: &Resume,
    cors: &str,
) -> Option<Vec<u8>> {
    if !shared.order.has_nothing_for(wanted, resume) {
        return None;
    }
    shared.finished_answers.fetch_add(1, Ordering::Relaxed);
    Some(response::nothing_to_come(cors))
}
