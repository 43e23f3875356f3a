//! What of the past a client is sent before it gets what is published.

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

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It says nothing of what it had.
    Start(StartAt),
    /// It had everything up to the event with this id, or says so.
    After(Box<str>),
}
