//! Options across the border: whole numbers, in milliseconds and bytes.

use std::mem::offset_of;
use std::time::Duration;

use super::answer;
use super::lent::{copy_struct, struct_size};
use super::status::{Status, FANFARE_ERR_ARGUMENT, FANFARE_ERR_OPTIONS};
use crate::listener::ListenOptions;
use crate::options::Options;

/// How a hub behaves and where its bounds are. Set `size` to `sizeof(fanfare_options)`, call
/// `fanfare_options_init`, and then change what should differ.
///
/// The struct grows at its end only, by options of which zero is the default. So a program that was
/// built with a newer header runs with this library as long as it sets none that the library does
/// not know: one that is not zero is refused, with `FANFARE_ERR_OPTIONS`.
///
/// What is not among these has the default that it has in Rust. So the newest events of each topic
/// are kept for clients that come back, 1,000 or 1 MiB at most and for five minutes, and 64 MiB over
/// all topics.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Threads that each own a share of the connections, 1 to 256. Default: the cores.
    pub shards: u64,
    /// How long a connection may be silent before it gets a heartbeat, 100 ms to 1 day; 0 turns
    /// heartbeats off. Default: 15,000 ms.
    pub heartbeat_ms: u64,
    /// The reconnection time that clients are told, each one drawn from this to twice this; at
    /// most 1 day, 0 tells nothing. Default: 2,000 ms.
    pub retry_ms: u64,
    /// The most bytes in one event, at most 64 MiB. Default: 1 MiB.
    pub event_bytes_max: u64,
    /// The most bytes that are gathered into one batch, 1 byte to 16 MiB. Default: 40 KiB.
    pub batch_bytes_max: u64,
    /// A topic is full when so many bytes of it wait to be sent, at least 1. Default:
    /// 40 KiB.
    pub topic_backlog_bytes_max: u64,
    /// The hub is full when so many bytes wait to be sent, at least 1. Default: 64 MiB.
    pub backlog_bytes_max: u64,
    /// The most bytes that a connection may lag before it is disconnected, or what the policy does
    /// that its query names. Default: 1 MiB.
    pub lag_bytes_max: u64,
    /// The longest time that a connection may lag. Default: 30,000 ms.
    pub lag_age_max_ms: u64,
    /// How long a connection that lags too far is waited for when the publisher is faster than
    /// the network, at most lag_age_max_ms. Default: 1,000 ms.
    pub lag_grace_ms: u64,
    /// The most bytes kept for all connections that lag, at least 1. Default: 256 MiB.
    pub lag_total_bytes_max: u64,
    /// The most connections, at least 1. Default: 100,000.
    pub connections_max: u64,
    /// The most connections from one address; 0 for no bound. Default: 0.
    pub connections_per_address_max: u64,
    /// The share of the time for which connections that lag too far are waited for, in percent, 1
    /// to 100; beyond it they are disconnected. At 100 all are waited for, however long that is: for
    /// a hub whose clients are trusted. 0 stands for the default, which is 5.
    pub lag_grace_percent: u64,
    /// 1: listeners on a loopback address serve requests whatever `Host` they name, 0: only those
    /// that name an IP address, `localhost` or a name below it; others get 421. For listeners
    /// behind a proxy on the same machine that passes on its clients' `Host`. It gives up what keeps
    /// a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from reading streams
    /// through a browser on this machine. On other addresses any `Host` is served. Default: 0.
    pub any_host: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareOptions, connections_per_address_max) + size_of::<u64>();

/// Fills in the defaults. `options->size` has to be set before, and stays as it is. What the library
/// does not know, of a struct that is larger than this header's, is set to zero.
///
/// Returns `FANFARE_OK`, or `FANFARE_ERR_ARGUMENT` when `options` is NULL or its size is that of no
/// version: smaller than in the first, or more than 4,096 bytes. The struct stays the caller's.
/// Thread-safe.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_options_init(options: *mut FanfareOptions) -> i32 {
    answer(|| {
        if options.is_null() {
            return Err(Status(FANFARE_ERR_ARGUMENT));
        }
        // SAFETY: not NULL, and the caller's struct begins with its size.
        let size = unsafe { struct_size(options, SIZE_MIN) }?;
        let defaults = FanfareOptions { size, ..FanfareOptions::from(&Options::default()) };
        let (defaults, options) = ((&raw const defaults).cast::<u8>(), options.cast::<u8>());
        let bytes = size.min(size_of::<FanfareOptions>());
        // SAFETY: the caller's struct has `size` bytes, and ours at least as many as are copied.
        unsafe {
            std::ptr::copy_nonoverlapping(defaults, options, bytes);
            options.add(bytes).write_bytes(0, size - bytes);
        }
        Ok(())
    })
}

impl FanfareOptions {
    /// The caller's options, for the hub and for its listeners; what a caller of an older version
    /// does not know has its default.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_ARGUMENT` when the size is that of no version, and `FANFARE_ERR_OPTIONS` when an
    /// option is set that only a later version knows, is beyond what this machine can count, or is
    /// out of bounds that only this struct has.
    ///
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes.
    pub(super) unsafe fn read(
        options: *const FanfareOptions,
    ) -> Result<(Options, ListenOptions), Status> {
        let mut read = FanfareOptions::from(&Options::default());
        if !options.is_null() {
            // SAFETY: not NULL, and as the caller promises; any bytes are valid numbers.
            unsafe { copy_struct(options, SIZE_MIN, &mut read, FANFARE_ERR_OPTIONS) }?;
        }
        Ok((read.to_options()?, read.to_listen_options()?))
    }
}

impl From<&Options> for FanfareOptions {
    fn from(options: &Options) -> FanfareOptions {
        let ms = |time: Duration| time.as_millis() as u64;
        FanfareOptions {
            size: size_of::<FanfareOptions>(),
            shards: options.shards as u64,
            heartbeat_ms: ms(options.heartbeat),
            retry_ms: ms(options.retry),
            event_bytes_max: options.event_bytes_max as u64,
            batch_bytes_max: options.batch_bytes_max as u64,
            topic_backlog_bytes_max: options.topic_backlog_bytes_max as u64,
            backlog_bytes_max: options.backlog_bytes_max as u64,
            lag_bytes_max: options.lag_bytes_max as u64,
            lag_age_max_ms: ms(options.lag_age_max),
            lag_grace_ms: ms(options.lag_grace),
            lag_total_bytes_max: options.lag_total_bytes_max as u64,
            connections_max: options.connections_max as u64,
            connections_per_address_max: options.connections_per_address_max as u64,
            // Zero stands for the default of what was not in the first version.
            lag_grace_percent: 0,
            any_host: 0,
        }
    }
}

impl FanfareOptions {
    fn to_options(self) -> Result<Options, Status> {
        let options = self;
        let defaults = Options::default();
        let count = |n: u64| usize::try_from(n).map_err(|_| Status(FANFARE_ERR_OPTIONS));
        Ok(Options {
            shards: count(options.shards)?,
            heartbeat: Duration::from_millis(options.heartbeat_ms),
            retry: Duration::from_millis(options.retry_ms),
            event_bytes_max: count(options.event_bytes_max)?,
            batch_bytes_max: count(options.batch_bytes_max)?,
            topic_backlog_bytes_max: count(options.topic_backlog_bytes_max)?,
            backlog_bytes_max: count(options.backlog_bytes_max)?,
            lag_bytes_max: count(options.lag_bytes_max)?,
            lag_age_max: Duration::from_millis(options.lag_age_max_ms),
            lag_grace: Duration::from_millis(options.lag_grace_ms),
            lag_grace_percent: match options.lag_grace_percent {
                0 => defaults.lag_grace_percent,
                percent => u8::try_from(percent).map_err(|_| Status(FANFARE_ERR_OPTIONS))?,
            },
            lag_total_bytes_max: count(options.lag_total_bytes_max)?,
            connections_max: count(options.connections_max)?,
            connections_per_address_max: count(options.connections_per_address_max)?,
            ..defaults
        })
    }

    fn to_listen_options(self) -> Result<ListenOptions, Status> {
        let hosts = match self.any_host {
            0 => Vec::new(),
            1 => vec!["*".to_owned()],
            _ => return Err(Status(FANFARE_ERR_OPTIONS)),
        };
        Ok(ListenOptions { hosts, ..ListenOptions::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &FanfareOptions) -> Result<(Options, ListenOptions), Status> {
        // SAFETY: it is a whole struct, which says its own size.
        unsafe { FanfareOptions::read(options) }
    }

    #[test]
    fn zero_is_the_default_of_what_was_not_in_the_first_version() {
        let mut given = FanfareOptions::from(&Options::default());
        for size in [size_of::<FanfareOptions>(), SIZE_MIN] {
            given.size = size;
            let (options, listen_options) = read(&given).unwrap();
            assert_eq!(options, Options::default());
            assert!(listen_options.hosts.is_empty());
        }
        // What is beyond the size that a caller knows is not the caller's.
        (given.lag_grace_percent, given.any_host) = (u64::MAX, u64::MAX);
        assert_eq!(read(&given).unwrap().0, Options::default());
    }

    #[test]
    fn a_share_of_grace_and_any_host_are_passed_on_and_nonsense_is_refused() {
        let defaults = FanfareOptions::from(&Options::default());
        for percent in [1, 5, 100] {
            let given = FanfareOptions { lag_grace_percent: percent.into(), ..defaults };
            assert_eq!(read(&given).unwrap().0.lag_grace_percent, percent);
        }
        let (_, listen_options) = read(&FanfareOptions { any_host: 1, ..defaults }).unwrap();
        assert_eq!(listen_options.hosts, ["*"]);
        // What fits into a byte, the hub refuses.
        for given in [
            FanfareOptions { lag_grace_percent: 256, ..defaults },
            FanfareOptions { lag_grace_percent: 256 + 5, ..defaults },
            FanfareOptions { any_host: 2, ..defaults },
            FanfareOptions { any_host: u64::MAX, ..defaults },
        ] {
            assert_eq!(read(&given).err(), Some(Status(FANFARE_ERR_OPTIONS)), "{given:?}");
        }
    }
}
