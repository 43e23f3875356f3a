//! Why connections end, and why events are missing from one, across the border.

use super::text::FanfareText;
use crate::gap::GapReason;
use crate::metrics::DisconnectReason;

/// Why a connection ended: one of the constants of `fanfare_disconnect_reason_code`. A newer library
/// may have reasons that this header does not have.
pub type FanfareDisconnectReason = i32;

/// The values of a `fanfare_disconnect_reason`; none is ever renumbered.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareDisconnectReasonCode {
    /// The client closed it, or its half of it.
    FANFARE_DISCONNECT_CLIENT_CLOSED = 1,
    /// The system reported an error that none of the other reasons is for, or the engine has failed.
    FANFARE_DISCONNECT_ERROR = 2,
    /// It lagged by more than the bounds.
    FANFARE_DISCONNECT_LAGGING = 3,
    /// The client sent more than 64 KiB at once after its request.
    FANFARE_DISCONNECT_GARBAGE = 4,
    /// The hub was closed.
    FANFARE_DISCONNECT_CLOSED = 5,
    /// The hub was drained: it had been sent everything, and was told when to come back.
    FANFARE_DISCONNECT_DRAINED = 6,
    /// The network went silent.
    FANFARE_DISCONNECT_TIMED_OUT = 7,
    /// The client or something on the way reset it.
    FANFARE_DISCONNECT_RESET = 8,
    /// The client's system answered, but took nothing for too long.
    FANFARE_DISCONNECT_STALLED = 9,
    /// The host ended it.
    FANFARE_DISCONNECT_KICKED = 10,
    /// It was older than the option connection_age_max_ms.
    FANFARE_DISCONNECT_AGED = 11,
    /// All of its topics were finished, and it was sent everything.
    FANFARE_DISCONNECT_FINISHED = 12,
    /// Its time was over, which its grant has set.
    FANFARE_DISCONNECT_EXPIRED = 13,
}

/// Why a client is told of a gap: one of the constants of `fanfare_gap_reason_code`. A newer library may
/// have reasons that this header does not have.
pub type FanfareGapReason = i32;

/// The values of a `fanfare_gap_reason`, by which `fanfare_metrics` counts them; none is ever renumbered.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareGapReasonCode {
    /// The events after the client's last one are not kept any more.
    FANFARE_GAP_EXPIRED = 1,
    /// The id was given by the hub before it was restarted.
    FANFARE_GAP_RESTARTED = 2,
    /// The id is none that the hub knows.
    FANFARE_GAP_UNKNOWN_ID = 3,
    /// The client read too slowly, and events were dropped for it.
    FANFARE_GAP_SLOW = 4,
    /// Events were published, and lost with the hub's process or machine before its journal had them as
    /// safely as the option durability promises; or they were lost with the cluster's server, or cut off
    /// its stream before the hub had read them.
    FANFARE_GAP_LOST = 5,
}

use FanfareDisconnectReasonCode as Code;
use FanfareGapReasonCode as GapCode;

/// Returns a reason's short name, such as "client_closed", for logs and metrics; "unknown" for a
/// number that is none.
///
/// Threads: any. Ownership: the text is static. Errors: none.
#[no_mangle]
pub extern "C" fn fanfare_disconnect_reason_name(reason: FanfareDisconnectReason) -> FanfareText {
    let known = DisconnectReason::all().find(|known| number_of(*known) == reason);
    FanfareText::of_static(known.map_or("unknown", DisconnectReason::as_str))
}

/// Returns the short name that a gap's reason has in gap events and metrics, such as "expired";
/// "unknown" for a number that is none.
///
/// Threads: any. Ownership: the text is static. Errors: none.
#[no_mangle]
pub extern "C" fn fanfare_gap_reason_name(reason: FanfareGapReason) -> FanfareText {
    let known = GapReason::all().find(|known| gap_number_of(*known) == reason);
    FanfareText::of_static(known.map_or("unknown", GapReason::as_str))
}

/// A reason's number.
pub(super) fn number_of(reason: DisconnectReason) -> FanfareDisconnectReason {
    let code = match reason {
        DisconnectReason::ClientClosed => Code::FANFARE_DISCONNECT_CLIENT_CLOSED,
        DisconnectReason::Error => Code::FANFARE_DISCONNECT_ERROR,
        DisconnectReason::Lagging => Code::FANFARE_DISCONNECT_LAGGING,
        DisconnectReason::Garbage => Code::FANFARE_DISCONNECT_GARBAGE,
        DisconnectReason::Closed => Code::FANFARE_DISCONNECT_CLOSED,
        DisconnectReason::Drained => Code::FANFARE_DISCONNECT_DRAINED,
        DisconnectReason::TimedOut => Code::FANFARE_DISCONNECT_TIMED_OUT,
        DisconnectReason::Reset => Code::FANFARE_DISCONNECT_RESET,
        DisconnectReason::Stalled => Code::FANFARE_DISCONNECT_STALLED,
        DisconnectReason::Kicked => Code::FANFARE_DISCONNECT_KICKED,
        DisconnectReason::Aged => Code::FANFARE_DISCONNECT_AGED,
        DisconnectReason::Finished => Code::FANFARE_DISCONNECT_FINISHED,
        DisconnectReason::Expired => Code::FANFARE_DISCONNECT_EXPIRED,
    };
    code as FanfareDisconnectReason
}

/// The number of a gap's reason.
pub(super) fn gap_number_of(reason: GapReason) -> FanfareGapReason {
    let code = match reason {
        GapReason::Expired => GapCode::FANFARE_GAP_EXPIRED,
        GapReason::Restarted => GapCode::FANFARE_GAP_RESTARTED,
        GapReason::UnknownId => GapCode::FANFARE_GAP_UNKNOWN_ID,
        GapReason::Slow => GapCode::FANFARE_GAP_SLOW,
        GapReason::Lost => GapCode::FANFARE_GAP_LOST,
    };
    code as FanfareGapReason
}
