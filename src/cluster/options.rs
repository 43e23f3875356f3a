//! How a hub joins a cluster.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};

chained! {
    /// How a hub joins a cluster: the hubs that have the same server and the same prefix have one order of
    /// events, in a stream of that server. Needs the feature `cluster`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{ClusterOptions, Options};
    ///
    /// let cluster = ClusterOptions::new("redis://127.0.0.1:6379/0")
    ///     .prefix("shop")
    ///     .connect_timeout(Duration::from_secs(5));
    /// let options = Options::default().cluster(cluster);
    /// assert!(options.check().is_ok());
    /// ```
    #[derive(Clone, PartialEq, Eq)]
    pub struct ClusterOptions {
        /// Where the Redis or Valkey server is, version 6.2 or later: `redis://[[user]:password@]host[:port][/db]`;
        /// with TLS `rediss://`; `redis+unix:///path`; or by Sentinels
        /// `redis+sentinel://[[user]:password@]host[:port][,host[:port]]/service[/db]`, with TLS
        /// `rediss+sentinel://`. At most 4,096 bytes.
        pub url: String as (impl Into<String> => url.into()),
        /// What the names of all keys begin with, in braces: 1 to 128 bytes of letters, digits and `-_.:`. Default
        /// `fanfare`.
        pub prefix: String as (impl Into<String> => prefix.into()),
        /// A file with the certificates, in PEM, of those who may vouch for the server's; without it the system's.
        pub ca_file: Option<PathBuf> as (impl Into<PathBuf> => Some(ca_file.into())),
        /// How many events the stream keeps at least, for nodes that come late, and for clients that come back
        /// with an id older than what their node keeps by the hub's options: 1,000 to 1,000,000,000; default
        /// 1,000,000.
        pub stream_events_max: u64,
        /// After how many bytes the stream is cut all the same, without what the server adds: 1 MiB at least;
        /// default 1 GiB.
        pub stream_bytes_max: u64,
        /// How many bytes of this node's events may be on their way through the server before its publishers
        /// find the hub full: 64 KiB at least; default 16 MiB.
        pub backlog_bytes_max: usize,
        /// How long a start waits for the server: 100 ms to 1 h; default 10 s.
        pub connect_timeout: Duration,
        /// After which time without an answer the server counts as gone: 100 ms to 1 min; default 2 s.
        pub answer_timeout: Duration,
    }
}

impl ClusterOptions {
    /// The defaults with a server.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ClusterOptions;
    ///
    /// assert_eq!(ClusterOptions::new("redis://127.0.0.1").prefix, "fanfare");
    /// ```
    #[must_use]
    pub fn new(url: impl Into<String>) -> ClusterOptions {
        ClusterOptions {
            url: url.into(),
            prefix: "fanfare".to_owned(),
            ca_file: None,
            stream_events_max: 1_000_000,
            stream_bytes_max: 1 << 30,
            backlog_bytes_max: 16 << 20,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(2),
        }
    }

    /// Errors name the options as C and the other languages do, and as `docs/options.md` does.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        if let Err(why) = Address::read(&self.url) {
            return Err(OptionsError { option: "cluster_url", bounds: why.into() });
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let prefix_is_right =
            (1..=128).contains(&self.prefix.len()) && self.prefix.bytes().all(is_plain);
        within(prefix_is_right, "cluster_prefix", "1 to 128 letters, digits and -_.:")?;
        let path = self.ca_file.as_ref().map(|file| file.as_os_str().as_encoded_bytes());
        within(
            path.is_none_or(|path| !path.is_empty() && !path.contains(&0)),
            "cluster_ca_file",
            "the path of a file",
        )?;
        let events = 1_000..=1_000_000_000;
        let events_are_right = events.contains(&self.stream_events_max);
        within(events_are_right, "cluster_stream_events_max", "1,000 to 1,000,000,000")?;
        let bytes_are_right = self.stream_bytes_max >= 1 << 20;
        within(bytes_are_right, "cluster_stream_bytes_max", "at least 1 MiB")?;
        let backlog_is_right = self.backlog_bytes_max >= 64 << 10;
        within(backlog_is_right, "cluster_backlog_bytes_max", "at least 64 KiB")?;
        let hour = Duration::from_secs(60 * 60);
        let least = Duration::from_millis(100);
        let connect = (least..=hour).contains(&self.connect_timeout);
        within(connect, "cluster_connect_timeout", "100 ms to 1 hour")?;
        let answer = (least..=Duration::from_secs(60)).contains(&self.answer_timeout);
        within(answer, "cluster_answer_timeout", "100 ms to 1 min")
    }
}

/// Without the password.
impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url =
            Address::read(&self.url).map_or_else(str::to_owned, |address| address.to_string());
        f.debug_struct("ClusterOptions")
            .field("url", &url)
            .field("prefix", &self.prefix)
            .field("stream_events_max", &self.stream_events_max)
            .field("stream_bytes_max", &self.stream_bytes_max)
            .field("backlog_bytes_max", &self.backlog_bytes_max)
            .finish_non_exhaustive()
    }
}
