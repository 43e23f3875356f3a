//! Why a hub did not join its cluster.

use std::fmt;

/// Why a hub did not join its cluster.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{ClusterOptions, Hub, Options, StartError};
///
/// // Nothing listens at this port.
/// let cluster = ClusterOptions::new("redis://127.0.0.1:1").connect_timeout(Duration::from_millis(200));
/// let error = Hub::start(Options::default().cluster(cluster)).unwrap_err();
/// assert!(matches!(error, StartError::Cluster(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterError {
    /// The library was built without the feature `cluster`.
    NotBuilt,
    /// The server could not be reached in [`ClusterOptions::connect_timeout`](crate::ClusterOptions), refuses the
    /// login, or does not do what a cluster needs.
    #[non_exhaustive]
    Unreachable {
        /// Where it was looked for, without secrets.
        server: String,
        /// What it, or the system, said last.
        reason: String,
    },
    /// What the server has at these keys is not of this version of fanfare.
    #[non_exhaustive]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::NotBuilt => f.write_str(
                "this build of fanfare has no clusters; build it with the feature `cluster`",
            ),
            ClusterError::Unreachable { server, reason } => write!(
                f,
                "the cluster's server {server} does not serve ({reason}); start it, or mend the URL, its \
                 login, or what its user may do (docs/cluster.md lists the commands)"
            ),
            ClusterError::Malformed { reason } => write!(
                f,
                "the cluster's stream cannot be read ({reason}); run the same version on all nodes, or \
                 choose another prefix"
            ),
        }
    }
}

impl std::error::Error for ClusterError {}
