//! One record of the library's log across the border.

use super::text::FanfareText;

/// How much is logged, or how important a record is: one of the constants of
/// `fanfare_log_level_code`.
pub type FanfareLogLevel = i32;

/// The values of a `fanfare_log_level`. Each has those before it as well.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareLogLevelCode {
    /// Nothing.
    FANFARE_LOG_OFF = 0,
    /// Something has failed that clients notice.
    FANFARE_LOG_ERROR = 1,
    /// Something that an operator should know. Clients do not set the rate of records up to the next
    /// level.
    FANFARE_LOG_WARN = 2,
    /// What happens seldom, and is in order.
    FANFARE_LOG_INFO = 3,
    /// What happens with each connection.
    FANFARE_LOG_DEBUG = 4,
    /// Everything.
    FANFARE_LOG_TRACE = 5,
}

/// One record of the log, which is there until the callback returns, or, of a notice, until the next
/// drain of its queue. The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareLogRecord {
    /// The size of the struct as the library knows it, in bytes: what is beyond it is not there.
    pub size: usize,
    /// The part of the library that it is from, such as fanfare::hub.
    pub target: FanfareText,
    /// What has happened: UTF-8 on one line, of at most `FANFARE_LOG_BYTES_MAX` bytes.
    pub message: FanfareText,
    /// How important it is.
    pub level: FanfareLogLevel,
    /// 1 if the message was longer and was cut at the end of a character; else 0.
    pub is_cut: u32,
}

/// The most bytes of a record's message.
pub const FANFARE_LOG_BYTES_MAX: usize = 1024;
