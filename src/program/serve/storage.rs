//! Where the order of events is kept besides memory: in a folder, or in the stream of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fanfare::{ClusterOptions, Durability, Options};

use crate::program::units;

#[derive(Args, Debug)]
#[command(next_help_heading = "A folder, or a cluster")]
pub(super) struct StorageArgs {
    /// A folder in which the server keeps what it keeps in memory as well: kept events, finished topics
    /// and rules. Started anew with the same folder it has them again, and clients that come
    /// back miss nothing. It is made if it is missing, and belongs to one server at a time
    #[arg(long, env = "FANFARE_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// What an answer to a publisher says of the event, with --data-dir: os (it survives the server's
    /// process), interval (as os, and the disk is told to take it within --sync-interval), always
    /// (the disk has it)
    #[arg(long, env = "FANFARE_DURABILITY", value_name = "NAME",
          default_value_t = Durability::Interval)]
    durability: Durability,

    /// How long an event may be with the operating system alone before the disk is told to take it
    #[arg(long, env = "FANFARE_SYNC_INTERVAL", value_name = "TIME", default_value = "50ms",
          value_parser = units::duration)]
    sync_interval: Duration,

    /// Nothing more is taken while this much waits to be written into the --data-dir
    #[arg(long, env = "FANFARE_JOURNAL_BACKLOG", value_name = "SIZE", default_value = "16MiB",
          value_parser = units::bytes)]
    journal_backlog: usize,

    /// The Redis or Valkey server of a cluster: the servers that have the same one, and the same prefix, have one order
    /// of events, and clients come back to any of them: redis://[[user]:password@]host[:port][/db], rediss:// with
    /// TLS, redis+unix:///path, redis+sentinel://host[:port],host[:port]/service. Not together with --data-dir
    #[arg(
        long,
        env = "FANFARE_CLUSTER",
        value_name = "URL",
        hide_env_values = true,
        conflicts_with = "data_dir"
    )]
    cluster: Option<String>,

    /// What the names of the cluster's keys begin with, in braces
    #[arg(long, env = "FANFARE_CLUSTER_PREFIX", value_name = "NAME", default_value = "fanfare")]
    cluster_prefix: String,

    /// A file with the certificates, in PEM, of those who may vouch for the cluster's server; the system's otherwise
    #[arg(long, env = "FANFARE_CLUSTER_CA_FILE", value_name = "FILE")]
    cluster_ca_file: Option<PathBuf>,

    /// How many events the cluster's stream keeps at least, for servers that come late
    #[arg(
        long,
        env = "FANFARE_CLUSTER_EVENTS_MAX",
        value_name = "COUNT",
        default_value_t = 1_000_000
    )]
    cluster_events_max: u64,

    /// After how many bytes the cluster's stream is cut all the same
    #[arg(long, env = "FANFARE_CLUSTER_BYTES_MAX", value_name = "SIZE", default_value = "1GiB",
          value_parser = units::bytes)]
    cluster_bytes_max: usize,

    /// Nothing more is taken while this much is on its way to the cluster's stream and back
    #[arg(long, env = "FANFARE_CLUSTER_BACKLOG", value_name = "SIZE", default_value = "16MiB",
          value_parser = units::bytes)]
    cluster_backlog: usize,
}

impl StorageArgs {
    /// These options with what the flags say.
    pub(super) fn set(&self, options: Options) -> Options {
        let options = match &self.data_dir {
            Some(folder) => options.data_dir(folder),
            None => options,
        };
        let options = match &self.cluster {
            Some(url) => options.cluster(self.cluster_options(url)),
            None => options,
        };
        options
            .durability(self.durability)
            .sync_interval(self.sync_interval)
            .journal_backlog_bytes_max(self.journal_backlog)
    }

    fn cluster_options(&self, url: &str) -> ClusterOptions {
        let options = ClusterOptions::new(url)
            .prefix(&self.cluster_prefix)
            .stream_events_max(self.cluster_events_max)
            .stream_bytes_max(self.cluster_bytes_max as u64)
            .backlog_bytes_max(self.cluster_backlog);
        match &self.cluster_ca_file {
            Some(file) => options.ca_file(file),
            None => options,
        }
    }
}
