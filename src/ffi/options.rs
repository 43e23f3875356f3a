//! Options across the border: whole numbers, in milliseconds, bytes and percent; names that have numbers,
//! and a text.

use std::borrow::Cow;
use std::mem::offset_of;
use std::path::PathBuf;
use std::time::Duration;

use super::answer;
use super::choices::{
    durability, heartbeat_form, policy, FanfareDurability, FanfareHeartbeat, FanfarePolicy,
};
use super::fields::{init, over_defaults, tell_problem, Field, TEXT_BYTES_MAX};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::cluster::ClusterOptions;
use crate::event::Event;
use crate::listener::ListenOptions;
use crate::options::{Options, OptionsError};

/// How a hub behaves and where its bounds are. `fanfare_options_defaults` makes one with every
/// default; change what should differ. Without that helper set `size` to
/// `sizeof(fanfare_options)` and call `fanfare_options_init`.
///
/// The names, units, bounds and defaults are those of docs/options.md, with the unit of a time at
/// the end of its name. The text stays the caller's.
///
/// The struct grows at its end only. So a program that was built with a newer header runs with this library
/// as long as it sets no option that the library does not know, which `fanfare_options_init` leaves
/// zero: one that is not zero is refused with `FANFARE_ERR_OPTIONS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Threads that each own a share of the connections.
    /// Bounds: 1 to 256. Default: one for each core.
    pub shards: u64,
    /// How long a connection may be silent before it gets a heartbeat; 0 turns heartbeats off.
    /// Bounds: 0, or 100 ms to 1 day. Default: 15 s.
    pub heartbeat_ms: u64,
    /// The reconnection time that a client is told when it connects, drawn for each from this to
    /// twice this; 0 tells nothing.
    /// Bounds: at most 1 day. Default: 2 s.
    pub retry_ms: u64,
    /// The most bytes of data in one event.
    /// Bounds: at most 64 MiB. Default: 1 MiB.
    pub event_bytes_max: u64,
    /// The most bytes that are gathered into one batch.
    /// Bounds: 1 byte to 16 MiB. Default: 40 KiB.
    pub batch_bytes_max: u64,
    /// A topic is full when this many bytes of its events wait to be sent.
    /// Bounds: at least 1 byte. Default: 40 KiB.
    pub topic_backlog_bytes_max: u64,
    /// The hub is full when this many bytes over all topics wait to be sent.
    /// Bounds: at least 1 byte. Default: 64 MiB.
    pub backlog_bytes_max: u64,
    /// The most events of a topic that are kept for clients that come back; 0 keeps none.
    /// Bounds: any. Default: 1,000.
    pub history_events_max: u64,
    /// The most bytes of a topic's events that are kept.
    /// Bounds: any. Default: 1 MiB.
    pub history_bytes_max: u64,
    /// How long an event is kept.
    /// Bounds: at most 7 days. Default: 5 min.
    pub history_age_max_ms: u64,
    /// The most bytes of events that are kept over all topics.
    /// Bounds: any. Default: 64 MiB.
    pub history_total_bytes_max: u64,
    /// The most bytes that a connection may lag before its policy is applied, which is to
    /// disconnect unless its query names another one.
    /// Bounds: any. Default: 1 MiB.
    pub lag_bytes_max: u64,
    /// The longest time that a connection may lag.
    /// Bounds: at least lag_grace_ms. Default: 30 s.
    pub lag_age_max_ms: u64,
    /// How long a connection that lags too far is waited for when the publisher is faster than
    /// the network; 0 waits for none.
    /// Bounds: at most lag_age_max_ms. Default: 1 s.
    pub lag_grace_ms: u64,
    /// The share of the time for which such connections are waited for, in percent; beyond it
    /// they are disconnected. At 100 all are waited for, however long that is: for a hub whose
    /// clients are trusted.
    /// Bounds: 0 to 100. Default: 5.
    pub lag_grace_percent: u64,
    /// The most bytes that are kept for all connections that lag.
    /// Bounds: at least 1 byte. Default: 256 MiB.
    pub lag_total_bytes_max: u64,
    /// How long a connection's socket may take nothing while there is something to send to it,
    /// before the connection is disconnected; 0 for no bound.
    /// Bounds: 0, or 100 ms to 1 day. Default: 30 s.
    pub stall_time_max_ms: u64,
    /// The most connections.
    /// Bounds: 1 to 10,000,000. Default: 100,000.
    pub connections_max: u64,
    /// The most connections from one address (from one /64 network in IPv6); 0 for no bound.
    /// Bounds: any. Default: 0.
    pub connections_per_address_max: u64,
    /// The most topics and filters that all connections may ask for together.
    /// Bounds: 1 to 100,000,000. Default: 1,000,000.
    pub subscriptions_max: u64,
    /// The same for the connections from one address; 0 for no bound.
    /// Bounds: any. Default: 0.
    pub subscriptions_per_address_max: u64,
    /// How old a connection may get before it is closed, to come back; 0 for any age.
    /// Bounds: 0, or 1 s to 30 days. Default: 0.
    pub connection_age_max_ms: u64,
    /// 1: listeners on a loopback address serve requests whatever `Host` they name. 0: only those
    /// that name an IP address, `localhost` or a name below it; others get 421. For listeners
    /// behind a proxy on the same machine that passes on its clients' `Host`. It gives up what
    /// keeps a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from
    /// reading streams through a browser on this machine. On other addresses any `Host` is
    /// served.
    /// Bounds: 0 or 1. Default: 0.
    pub any_host: u32,
    /// 0; keeps the fields behind it where they are on every system.
    pub reserved: u32,
    /// How long a topic that was finished is known: nothing can be published to it, and a client
    /// that comes late is sent what is kept, and the end. Then its name is free.
    /// Bounds: at most 7 days. Default: 5 min.
    pub finished_age_max_ms: u64,
    /// What a connection is sent when it has been silent for heartbeat_ms, and what its stream begins
    /// with, unless its query names another form: one of the constants of `fanfare_heartbeat_code`, or
    /// 0.
    /// Bounds: id, comment or event. Default: id.
    pub heartbeat_form: FanfareHeartbeat,
    /// What happens to a connection that lags by more than lag_bytes_max or lag_age_max_ms, unless its
    /// query or a rule names another policy: one of the constants of `fanfare_policy_code`, or 0.
    /// Bounds: disconnect, drop-oldest or conflate. Default: disconnect.
    pub policy: FanfarePolicy,
    /// The name of the event by which a client is told that events are missing from its stream; no
    /// event of this name can be published. {NULL, 0} is the default.
    /// Bounds: 1 to 256 bytes without CR, LF or NUL, and none of message, open, error and
    /// fanfare-heartbeat. Default: fanfare-gap.
    pub gap_event: FanfareText,
    /// The path of a folder in which the hub keeps what it keeps in memory as well, so that a hub which is
    /// started with it later has the same events, finished topics and rules, and clients come back with
    /// the ids that they had. It is made if it is missing, and belongs to one hub at a time. {NULL, 0}
    /// is none: then everything ends with the process.
    /// Bounds: a folder that can be written, or that can be made. Default: none.
    pub data_dir: FanfareText,
    /// What is promised of events that were accepted, if there is a data_dir: one of the constants of
    /// `fanfare_durability_code`, or 0.
    /// Bounds: os, interval or always. Default: interval.
    pub durability: FanfareDurability,
    /// 0; keeps the fields behind it where they are on every system.
    pub reserved_too: u32,
    /// How long an event may be with the operating system alone before the disk is told to take it, if the
    /// durability is interval.
    /// Bounds: 1 ms to 1 min. Default: 50 ms.
    pub sync_interval_ms: u64,
    /// A publisher finds the hub full when this many bytes wait to be written into the data_dir.
    /// Bounds: at least 1 byte. Default: 16 MiB.
    pub journal_backlog_bytes_max: u64,
    /// The URL of the Redis or Valkey server of a cluster, version 6.2 or later: hubs that have the same server
    /// and the same cluster_prefix have one order of events, and what is published at one of them reaches the
    /// clients of all. redis://USER:PASSWORD@HOST:PORT/DATABASE, of which the host alone is needed,
    /// redis+unix:///PATH, or by Sentinels redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DATABASE.
    /// {NULL, 0} is no cluster. Not together with data_dir. A library without clusters, or without TLS for rediss:// and rediss+sentinel://,
    /// refuses to make the hub.
    /// At most 4,096 bytes.
    /// Bounds: redis://, rediss://, redis+unix://, redis+sentinel:// or rediss+sentinel:// with a host. Default: none.
    pub cluster_url: FanfareText,
    /// What the names of all keys begin with, in braces, on the cluster's server. {NULL, 0} is the default.
    /// Bounds: 1 to 128 letters, digits and -_.:. Default: fanfare.
    pub cluster_prefix: FanfareText,
    /// The path of a file with the certificates, in PEM, of those who may vouch for the server's certificate, for
    /// a library with TLS. {NULL, 0} stands for those that the system has.
    /// Bounds: the path of a file. Default: none.
    pub cluster_ca_file: FanfareText,
    /// How many events the cluster's stream keeps at least, for hubs that come late.
    /// Bounds: 1,000 to 1,000,000,000. Default: 1,000,000.
    pub cluster_stream_events_max: u64,
    /// After how many bytes the cluster's stream is cut all the same, without what the server adds.
    /// Bounds: at least 1 MiB. Default: 1 GiB.
    pub cluster_stream_bytes_max: u64,
    /// A publisher finds the hub full when this many bytes of its events are on their way through the
    /// cluster's server.
    /// Bounds: at least 64 KiB. Default: 16 MiB.
    pub cluster_backlog_bytes_max: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareOptions, finished_age_max_ms) + size_of::<u64>();

/// Fills in the defaults. `options->size` has to be set before, and stays as it is. What the
/// library does not know, of a struct that is larger than the library's own, is set to zero.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version, which is smaller than in the first or more
/// than 4,096 bytes.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_options_init(options: *mut FanfareOptions) -> FanfareStatus {
    answer(|| {
        let defaults = FanfareOptions::from(&Options::default());
        // SAFETY: as the caller promises.
        unsafe { init(options, SIZE_MIN, defaults) }
    })
}

/// Finds the first option that `fanfare_hub_new` would refuse: `*name_out` is its name in the
/// struct, such as `shards`, and `*bounds_out` what it may be, such as "1 to 256". Both are {NULL,
/// 0} when every option is within its bounds. For an option that only a newer library knows the
/// name is
/// `size`.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` when a pointer is NULL or the size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes whose text is as it says, and the others to
/// writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_options_problem(
    options: *const FanfareOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareOptions::read(options), name_out, bounds_out) }
    })
}

/// Why options are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The struct is of no version.
    Size(Status),
    /// An option is out of its bounds, by its name in the struct.
    Option { name: &'static str, bounds: &'static str },
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Size(status) => status,
            Refused::Option { .. } => Status::FANFARE_ERR_OPTIONS,
        }
    }
}

impl FanfareOptions {
    /// The caller's options, for the hub and for its listeners; what a caller of an older version
    /// does not know has its default.
    ///
    /// # Errors
    ///
    /// When the size is that of no version, an option is out of its bounds, or one is set that only
    /// a later version knows.
    ///
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes whose text is as it says.
    pub(super) unsafe fn read(
        options: *const FanfareOptions,
    ) -> Result<(Options, ListenOptions), Refused> {
        // SAFETY: as the caller promises; any bytes are valid numbers and pointers.
        let read =
            unsafe { over_defaults(options, SIZE_MIN, FanfareOptions::from(&Options::default())) }?;
        let mut options = read.to_options();
        options.heartbeat_form = heartbeat_form(read.heartbeat_form)?.unwrap_or_default();
        options.policy = policy(read.policy)?.unwrap_or_default();
        // SAFETY: the caller promises that the text is readable.
        if let Some(name) = unsafe { GAP_EVENT.text(read.gap_event, Event::FIELD_BYTES_MAX) }? {
            options.gap_event = name;
        }
        // SAFETY: as above.
        options.data_dir =
            unsafe { DATA_DIR.text(read.data_dir, DATA_DIR_BYTES_MAX) }?.map(PathBuf::from);
        options.durability = durability(read.durability)?.unwrap_or_default();
        // SAFETY: as above.
        options.cluster = unsafe { read.cluster() }?;
        options.check()?;
        Ok((options, read.to_listen_options()?))
    }

    /// The cluster, if there is one. Its other options are held to their bounds in any case.
    ///
    /// # Safety
    ///
    /// Its texts have to be as many readable bytes as they say.
    unsafe fn cluster(&self) -> Result<Option<ClusterOptions>, Refused> {
        // SAFETY: the caller promises that the texts are readable.
        let (url, prefix, ca_file) = unsafe {
            (
                CLUSTER_URL.text(self.cluster_url, TEXT_BYTES_MAX)?,
                CLUSTER_PREFIX.text(self.cluster_prefix, TEXT_BYTES_MAX)?,
                CLUSTER_CA_FILE.text(self.cluster_ca_file, TEXT_BYTES_MAX)?,
            )
        };
        let mut cluster = ClusterOptions::new(url.as_deref().unwrap_or(ANY_URL))
            .stream_events_max(self.cluster_stream_events_max)
            .stream_bytes_max(self.cluster_stream_bytes_max)
            .backlog_bytes_max(Number::of_number(self.cluster_backlog_bytes_max));
        if let Some(prefix) = prefix {
            cluster.prefix = prefix;
        }
        cluster.ca_file = ca_file.map(PathBuf::from);
        cluster.check()?;
        Ok(url.map(|_| cluster))
    }

    fn to_listen_options(self) -> Result<ListenOptions, Refused> {
        let hosts = match self.any_host {
            0 => Vec::new(),
            1 => vec!["*".to_owned()],
            _ => return Err(Refused::Option { name: "any_host", bounds: "0 or 1" }),
        };
        for (reserved, name) in [(self.reserved, "reserved"), (self.reserved_too, "reserved_too")] {
            if reserved != 0 {
                return Err(Refused::Option { name, bounds: "0" });
            }
        }
        Ok(ListenOptions::default().hosts(hosts))
    }
}

/// The options that are texts.
const DATA_DIR: Field = Field {
    name: "data_dir",
    bounds: "the path of a folder, 1 to 4,096 bytes of UTF-8 without NUL",
};
const DATA_DIR_BYTES_MAX: usize = 4096;
const CLUSTER_URL: Field = Field {
    name: "cluster_url",
    bounds: "the URL of a Redis or Valkey server, of at most 4,096 bytes",
};
const CLUSTER_PREFIX: Field =
    Field { name: "cluster_prefix", bounds: "1 to 128 letters, digits and -_.:" };
const CLUSTER_CA_FILE: Field = Field { name: "cluster_ca_file", bounds: "the path of a file" };
/// What stands for the URL where there is none, while the other options of a cluster are checked.
const ANY_URL: &str = "redis://localhost";
const GAP_EVENT: Field = Field {
    name: "gap_event",
    bounds: "1 to 256 bytes without CR, LF or NUL, and none of message, open, error and \
             fanfare-heartbeat",
};

/// A number of the struct. One that is more than the engine's type holds is the most that it holds:
/// what is beyond an option's bound stays beyond it, and what has no bound has none that matters.
pub(super) trait Number {
    fn to_number(self) -> u64;
    fn of_number(number: u64) -> Self;
}

impl Number for usize {
    fn to_number(self) -> u64 {
        self as u64
    }

    fn of_number(number: u64) -> usize {
        usize::try_from(number).unwrap_or(usize::MAX)
    }
}

impl Number for u32 {
    fn to_number(self) -> u64 {
        self.into()
    }

    fn of_number(number: u64) -> u32 {
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}

impl Number for u8 {
    fn to_number(self) -> u64 {
        self.into()
    }

    fn of_number(number: u64) -> u8 {
        u8::try_from(number).unwrap_or(u8::MAX)
    }
}

/// A time, in milliseconds.
impl Number for Duration {
    fn to_number(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }

    fn of_number(number: u64) -> Duration {
        Duration::from_millis(number)
    }
}

/// The hub's options: field of the struct, option of the engine.
macro_rules! hub_options {
    ($($field:ident = $option:ident,)*) => {
        impl From<&Options> for FanfareOptions {
            fn from(options: &Options) -> FanfareOptions {
                let cluster = ClusterOptions::new(ANY_URL);
                FanfareOptions {
                    size: size_of::<FanfareOptions>(),
                    $($field: options.$option.to_number(),)*
                    any_host: 0,
                    reserved: 0,
                    heartbeat_form: 0,
                    policy: 0,
                    gap_event: FanfareText::NONE,
                    data_dir: FanfareText::NONE,
                    durability: 0,
                    reserved_too: 0,
                    cluster_url: FanfareText::NONE,
                    cluster_prefix: FanfareText::NONE,
                    cluster_ca_file: FanfareText::NONE,
                    cluster_stream_events_max: cluster.stream_events_max,
                    cluster_stream_bytes_max: cluster.stream_bytes_max,
                    cluster_backlog_bytes_max: cluster.backlog_bytes_max.to_number(),
                }
            }
        }

        impl FanfareOptions {
            fn to_options(self) -> Options {
                Options { $($option: Number::of_number(self.$field),)* ..Options::default() }
            }
        }

        impl From<OptionsError> for Refused {
            fn from(error: OptionsError) -> Refused {
                let name = match error.option {
                    $(stringify!($option) => stringify!($field),)*
                    // That there is one at all, beside what else is set.
                    "cluster" => CLUSTER_URL.name,
                    other => other,
                };
                let bounds = match error.bounds {
                    Cow::Borrowed(bounds) => bounds,
                    // Only entries of lists have texts that are made, and no option here is a list.
                    Cow::Owned(_) => "as docs/options.md says",
                };
                Refused::Option { name, bounds }
            }
        }
    };
}

hub_options! {
    shards = shards,
    heartbeat_ms = heartbeat,
    retry_ms = retry,
    event_bytes_max = event_bytes_max,
    batch_bytes_max = batch_bytes_max,
    topic_backlog_bytes_max = topic_backlog_bytes_max,
    backlog_bytes_max = backlog_bytes_max,
    history_events_max = history_events_max,
    history_bytes_max = history_bytes_max,
    history_age_max_ms = history_age_max,
    history_total_bytes_max = history_total_bytes_max,
    lag_bytes_max = lag_bytes_max,
    lag_age_max_ms = lag_age_max,
    lag_grace_ms = lag_grace,
    lag_grace_percent = lag_grace_percent,
    lag_total_bytes_max = lag_total_bytes_max,
    stall_time_max_ms = stall_time_max,
    connections_max = connections_max,
    connections_per_address_max = connections_per_address_max,
    subscriptions_max = subscriptions_max,
    subscriptions_per_address_max = subscriptions_per_address_max,
    connection_age_max_ms = connection_age_max,
    finished_age_max_ms = finished_age_max,
    sync_interval_ms = sync_interval,
    journal_backlog_bytes_max = journal_backlog_bytes_max,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durability::Durability;
    use crate::heartbeat::HeartbeatForm;
    use crate::policy::Policy;

    fn read(options: &FanfareOptions) -> Result<(Options, ListenOptions), Refused> {
        // SAFETY: it is a whole struct, which says its own size.
        unsafe { FanfareOptions::read(options) }
    }

    #[test]
    fn the_defaults_go_there_and_back() {
        let (options, listen_options) = read(&FanfareOptions::from(&Options::default())).unwrap();
        assert_eq!(options, Options::default());
        assert!(listen_options.hosts.is_empty());
    }

    #[test]
    fn what_is_given_is_passed_on_and_what_is_out_of_bounds_is_named() {
        let defaults = FanfareOptions::from(&Options::default());
        for percent in [0, 1, 5, 100] {
            let given = FanfareOptions { lag_grace_percent: percent.into(), ..defaults };
            assert_eq!(read(&given).unwrap().0.lag_grace_percent, percent);
        }
        let given = FanfareOptions { history_age_max_ms: 1_500, ..defaults };
        assert_eq!(read(&given).unwrap().0.history_age_max, Duration::from_millis(1_500));
        let (_, listen_options) = read(&FanfareOptions { any_host: 1, ..defaults }).unwrap();
        assert_eq!(listen_options.hosts, ["*"]);
        let data_dir = FanfareText::of_static("/var/lib/app");
        let given = FanfareOptions { data_dir, durability: 3, sync_interval_ms: 7, ..defaults };
        let (options, _) = read(&given).unwrap();
        assert_eq!(options.data_dir, Some(PathBuf::from("/var/lib/app")));
        assert_eq!(options.durability, Durability::Always);
        assert_eq!(options.sync_interval, Duration::from_millis(7));
        let cluster_url = FanfareText::of_static("redis://10.0.0.1");
        let given = FanfareOptions { cluster_url, cluster_stream_events_max: 2_000, ..defaults };
        let expected = ClusterOptions::new("redis://10.0.0.1").stream_events_max(2_000);
        assert_eq!(read(&given).unwrap().0.cluster, Some(expected));
        let gap_event = FanfareText::of_static("missed");
        let given = FanfareOptions { heartbeat_form: 2, policy: 3, gap_event, ..defaults };
        let (options, _) = read(&given).unwrap();
        assert_eq!(options.heartbeat_form, HeartbeatForm::Comment);
        assert_eq!((options.policy, &*options.gap_event), (Policy::Conflate, "missed"));
        for (given, expected) in [
            (FanfareOptions { lag_grace_percent: 256 + 5, ..defaults }, "lag_grace_percent"),
            (FanfareOptions { heartbeat_ms: u64::MAX, ..defaults }, "heartbeat_ms"),
            (FanfareOptions { history_age_max_ms: u64::MAX, ..defaults }, "history_age_max_ms"),
            (FanfareOptions { any_host: 2, ..defaults }, "any_host"),
            (FanfareOptions { heartbeat_form: 4, ..defaults }, "heartbeat_form"),
            (FanfareOptions { policy: u32::MAX, ..defaults }, "policy"),
            (FanfareOptions { gap_event: FanfareText::of_static(""), ..defaults }, "gap_event"),
            (FanfareOptions { data_dir: FanfareText::of_static(""), ..defaults }, "data_dir"),
            (FanfareOptions { durability: 4, ..defaults }, "durability"),
            (FanfareOptions { sync_interval_ms: 60_001, ..defaults }, "sync_interval_ms"),
            (FanfareOptions { reserved_too: 1, ..defaults }, "reserved_too"),
            (FanfareOptions { cluster_url: FanfareText::of_static(""), ..defaults }, "cluster_url"),
            (FanfareOptions { cluster_url, data_dir, ..defaults }, "cluster_url"),
            (
                FanfareOptions { cluster_prefix: FanfareText::of_static("{"), ..defaults },
                "cluster_prefix",
            ),
            (
                FanfareOptions { cluster_ca_file: FanfareText::of_static("\0"), ..defaults },
                "cluster_ca_file",
            ),
            (
                FanfareOptions { cluster_stream_events_max: 0, ..defaults },
                "cluster_stream_events_max",
            ),
            (
                FanfareOptions { cluster_stream_bytes_max: 0, ..defaults },
                "cluster_stream_bytes_max",
            ),
            (
                FanfareOptions { cluster_backlog_bytes_max: 0, ..defaults },
                "cluster_backlog_bytes_max",
            ),
        ] {
            match read(&given).err() {
                Some(Refused::Option { name, .. }) => assert_eq!(name, expected),
                other => panic!("{given:?} is {other:?}"),
            }
        }
    }
}
