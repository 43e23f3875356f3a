//! Which earlier events a client is sent before those that are published after it came.

/// Where a client's stream begins. A client that says which event it had last (`Last-Event-ID`)
/// is sent everything since; this is for all others.
///
/// # Examples
///
/// Clients begin with the newest ten events of their topics:
///
/// ```
/// use fanfare::{Hub, ListenOptions, Options, StartAt};
///
/// let hub = Hub::start(Options::default())?;
/// let options = ListenOptions::default().start(StartAt::Last(10));
/// let listener = hub.listen("127.0.0.1:0", options)?;
/// # let _ = listener;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the newest event of each of its topics.
    Latest,
    /// With the newest events over all of its topics, at most this many; more than
    /// [`StartAt::LAST_MAX`] counts as that.
    Last(u32),
}

impl StartAt {
    /// The most events that a stream begins with.
    pub const LAST_MAX: u32 = 10_000;
}

/// Where a client asks its stream to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It gives no id.
    Start(StartAt),
    /// It says that it had every event up to the one with this id.
    After(Box<str>),
}
