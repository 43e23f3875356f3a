//! What topics and filters say of each other, without a hub.

use super::answer;
use super::lent::{with_copies, Lent};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::filter::Subscription;
use crate::topic::Topic;

/// Tells whether a topic or filter stands for all that another one stands for: `*covers_out` is 1 then,
/// and else 0. A grant of the first allows a stream of the other, as listeners decide it: `a/#` covers `a`,
/// `a/b`, `a/+` and `a/b/#`, a topic covers itself alone, and neither `#` nor `+/b` covers what begins with
/// `$`. The two are compared level by level, so that `+/#` does not cover `#`.
///
/// Threads: any. Ownership: what is passed stays the caller's. Errors: `FANFARE_ERR_SUBSCRIPTION` when one
/// of the two is neither a topic nor a filter, `FANFARE_ERR_ARGUMENT`, or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `subscription` and `other` have to be as many readable bytes as they say, and `covers_out` to be
/// writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_subscription_covers(
    subscription: FanfareText,
    other: FanfareText,
    covers_out: *mut u32,
) -> FanfareStatus {
    answer(|| {
        if covers_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let lent = |text| Lent::new(text, Topic::BYTES_MAX, Status::FANFARE_ERR_SUBSCRIPTION);
        let lent = [lent(subscription)?, lent(other)?];
        let compare = |texts: [Option<&[u8]>; 2]| {
            let read = |text: Option<&[u8]>| Subscription::from_utf8(text?).ok();
            let [Some(one), Some(other)] = texts.map(read) else {
                return Err(Status::FANFARE_ERR_SUBSCRIPTION);
            };
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *covers_out = u32::from(one.covers(&other)) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies(lent, compare) }
    })
}
