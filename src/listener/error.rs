//! Why a listener did not open.

use std::fmt;
use std::io;

use crate::options::OptionsError;

/// Why a listener did not open.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, ListenError, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// match hub.listen("127.0.0.1:0", ListenOptions::default().topics_max(0)) {
///     Err(ListenError::Options(error)) => assert_eq!(error.option, "topics_max"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be resolved or bound.
    Bind(io::Error),
    /// An option is out of its bounds.
    Options(OptionsError),
    /// The hub is closed.
    Closed,
    /// A shard has too many commands waiting; try again.
    Busy,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Bind(error) => {
                write!(f, "cannot listen on this address ({error}); free it, or give another")
            }
            ListenError::Options(error) => error.fmt(f),
            ListenError::Closed => f.write_str("the hub is closed; start another"),
            ListenError::Busy => f.write_str("a shard has too much to do; try again"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListenError::Bind(error) => Some(error),
            ListenError::Options(error) => Some(error),
            ListenError::Closed | ListenError::Busy => None,
        }
    }
}
