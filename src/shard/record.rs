//! What is known of an event stream besides what the hot path needs. It stands in a row of its own,
//! beside the slab, so that entries stay small.

use crate::policy::Policy;

#[derive(Default)]
pub(super) struct Record {
    /// What happens to it when it lags too far.
    pub(super) policy: Policy,
    /// The position in its audience's log, in 32 bits, before which it has been sent no event, nor
    /// has any from an earlier connection; one at which it never stands if there is none.
    pub(super) joined_at: u32,
}
