//! What a host says of a stream that it opens for a client itself.

use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};

use super::answer;
use super::choices::{
    envelope, heartbeat_form, policy, start, FanfareEnvelope, FanfareHeartbeat, FanfarePolicy,
    FanfareStart,
};
use super::fields::{init, over_defaults, tell_problem, Field, TEXT_BYTES_MAX};
use super::options::{Number, Refused};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::options::OptionsError;
use crate::stream_options::StreamOptions;

/// How a stream begins, and how it is served, that the program opens for a client itself, by a
/// subscription or a hand-over: what a listener reads from a client's request, the program says here.
/// `fanfare_stream_options_defaults` makes one with every default, which is all of it at zero but for
/// the size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareStreamOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The client's `Last-Event-ID`: its stream begins behind that event. Any text of at most 4 KiB;
    /// an empty one is none, and one that no event can have is one that is gone. Default: none.
    pub last_event_id: FanfareText,
    /// A label by which the connection is found again, 1 to 256 bytes without control characters.
    /// Default: none.
    pub tag: FanfareText,
    /// The client's address, by which it is listed, and counts against limits per address: an IP
    /// address, with or without a port. Default: none; of a socket that is handed over its peer's.
    pub addr: FanfareText,
    /// Where the stream of a client without an id begins. Default: now.
    pub start: FanfareStart,
    /// For `FANFARE_START_LAST`.
    pub start_last: u32,
    /// Where the stream of a client begins whose id is gone. Default: by the gap's reason.
    pub gap_start: FanfareStart,
    /// For `FANFARE_START_LAST`.
    pub gap_start_last: u32,
    /// What happens to the connection when it lags too far. Default: that of the rules of its topics, or
    /// the hub's.
    pub policy: FanfarePolicy,
    /// The form of heartbeats. Default: the hub's.
    pub heartbeat_form: FanfareHeartbeat,
    /// What is around the data of events. Default: nothing.
    pub envelope: FanfareEnvelope,
    /// 0; keeps the next field where it is on every system.
    pub reserved: u32,
    /// When the stream ends, in milliseconds since 1970; 0 for never.
    pub expires_at_unix_ms: u64,
    /// The most bytes that wait to be read of a stream that the program reads itself; 0 for 128 KiB.
    /// Bounds: 0, or 1 byte to 16 MiB. Default: 0.
    pub queue_bytes_max: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareStreamOptions, queue_bytes_max) + size_of::<u64>();

const LAST_EVENT_ID: Field = Field { name: "last_event_id", bounds: "at most 4 KiB of UTF-8" };
const TAG: Field = Field { name: "tag", bounds: "1 to 256 bytes without control characters" };
const ADDR: Field =
    Field { name: "addr", bounds: "an IP address, or one with a port such as 192.0.2.1:8080" };
const RESERVED: Field = Field { name: "reserved", bounds: "0" };
const EXPIRES_AT: Field =
    Field { name: "expires_at_unix_ms", bounds: "a time that the system has" };

/// Fills in the defaults. `options->size` has to be set before, and stays as it is.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_options_init(
    options: *mut FanfareStreamOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, SIZE_MIN, FanfareStreamOptions::DEFAULT) })
}

/// Finds the first option that `fanfare_hub_subscribe` or `fanfare_hub_adopt` would refuse:
/// `*name_out` is its name in the struct, and `*bounds_out` what it may be. Both are {NULL, 0} when
/// every option is within its bounds.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes whose texts are as they say, and the others
/// to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_options_problem(
    options: *const FanfareStreamOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareStreamOptions::read(options), name_out, bounds_out) }
    })
}

impl FanfareStreamOptions {
    const DEFAULT: FanfareStreamOptions = FanfareStreamOptions {
        size: size_of::<FanfareStreamOptions>(),
        last_event_id: FanfareText::NONE,
        tag: FanfareText::NONE,
        addr: FanfareText::NONE,
        start: 0,
        start_last: 0,
        gap_start: 0,
        gap_start_last: 0,
        policy: 0,
        heartbeat_form: 0,
        envelope: 0,
        reserved: 0,
        expires_at_unix_ms: 0,
        queue_bytes_max: 0,
    };

    /// The caller's options; NULL is the defaults.
    ///
    /// # Errors
    ///
    /// When the size is that of no version, or an option is out of its bounds.
    ///
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes whose texts are as they
    /// say.
    pub(super) unsafe fn read(
        options: *const FanfareStreamOptions,
    ) -> Result<StreamOptions, Refused> {
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, SIZE_MIN, FanfareStreamOptions::DEFAULT) }?;
        if read.reserved != 0 {
            return Err(RESERVED.refused());
        }
        let mut options = StreamOptions::default();
        // SAFETY: as the caller promises, for all of these.
        let addr = unsafe {
            options.last_event_id = LAST_EVENT_ID.text(read.last_event_id, TEXT_BYTES_MAX)?;
            options.tag = TAG.text(read.tag, StreamOptions::TAG_BYTES_MAX)?.map(Into::into);
            ADDR.text(read.addr, TEXT_BYTES_MAX)?
        };
        options.addr = addr.map(|addr| addr_of(&addr).ok_or(ADDR.refused())).transpose()?;
        options.start = start("start", read.start, read.start_last)?.unwrap_or_default();
        options.gap_start = start("gap_start", read.gap_start, read.gap_start_last)?;
        options.policy = policy(read.policy)?;
        options.heartbeat_form = heartbeat_form(read.heartbeat_form)?;
        options.envelope = envelope(read.envelope)?;
        options.expires_at = EXPIRES_AT.time(read.expires_at_unix_ms)?;
        let queue_bytes = Some(read.queue_bytes_max).filter(|&bytes| bytes > 0);
        options.queue_bytes_max = queue_bytes.map(Number::of_number);
        options.check().map_err(|error: OptionsError| Field::of(error, &[], &[TAG]))?;
        Ok(options)
    }
}

fn addr_of(text: &str) -> Option<SocketAddr> {
    let without_port = || text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    text.parse().ok().or_else(without_port)
}
