//! What of the past a client is sent before it gets what is published.

/// Where a client's stream begins. A client that says which event it had last (`Last-Event-ID`)
/// is sent everything since; this is for all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the newest event of each of its topics.
    Latest,
    /// With the newest events over all of its topics, at most so many, of which at most
    /// [`StartAt::LAST_MAX`] count.
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
