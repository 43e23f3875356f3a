//! A stream that the host reads itself.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::stream::{FusedStream, Stream};
use futures_lite::future;

use crate::lifecycle::ConnectionId;
use crate::metrics::DisconnectReason;
use crate::pull::{Pull, Read};
use crate::receive;
use crate::shard::{Shared, Told};

/// The event stream of one client, for a host that sends it itself: batches of bytes, each of whole
/// events. Made by [`Hub::subscribe`](crate::Hub::subscribe).
///
/// It is a [`Stream`] for async code, as the bodies of axum, actix-web and hyper take it; a host
/// with threads calls [`EventStream::wait`] or [`EventStream::try_next`], or iterates over it,
/// which blocks. The bytes of a batch are shared with all streams that are sent the same.
///
/// # Its end
///
/// A stream that ends in order, ends: its topics are finished, the host or the hub ended it, it was
/// old enough ([`Options::connection_age_max`](crate::Options::connection_age_max)), or its time
/// was over ([`StreamOptions::expires_at`](crate::StreamOptions::expires_at)). One that was
/// cut, since its reader lagged too far or stalled, or since its shard has failed, ends with an
/// error, [`Disconnected`]: a server passes that on as a broken response, an HTTP/2 stream that is
/// reset, and the client knows that something is missing. Before either end comes all that the
/// stream took. [`EventStream::end_reason`] tells the reason in both cases.
///
/// # Bounds
///
/// At most [`StreamOptions::queue_bytes_max`](crate::StreamOptions::queue_bytes_max) wait to be
/// read; with more, the stream lags as a socket does that takes nothing, and the same policies and
/// bounds hold. A reader that stops is cut in the end, but what it did not read is kept as long as
/// the `EventStream` is: drop it when its client is gone.
///
/// To drop it is to end the connection, with the reason
/// [`ClientClosed`](crate::DisconnectReason::ClientClosed).
///
/// # Examples
///
/// ```
/// use fanfare::{EventStream, Hub, Options, StreamOptions, Subscription};
///
/// // As a server of any kind writes it to its client:
/// async fn send(mut stream: EventStream) -> Result<(), fanfare::Disconnected> {
///     while let Some(batch) = stream.next_async().await {
///         println!("{}", String::from_utf8_lossy(&batch?));
///     }
///     Ok(())
/// }
///
/// let hub = Hub::start(Options::default())?;
/// let stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
/// hub.close();
/// smol::block_on(send(stream))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the stream ends the subscription"]
pub struct EventStream {
    pull: Arc<Pull<DisconnectReason>>,
    shared: Arc<Shared>,
    /// Whether there was nothing to send from the beginning.
    is_complete: bool,
    /// Whether its reader was told the end.
    is_over: bool,
}

/// The stream was cut, and something may be missing at its end: why an [`EventStream`] ended with
/// an error.
///
/// # Examples
///
/// ```
/// use fanfare::Disconnected;
///
/// // Where a server logs why a response's body has failed:
/// fn log(error: &Disconnected) {
///     eprintln!("{error} ({})", error.reason.as_str());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// Why.
    pub reason: DisconnectReason,
}

/// What can be told of a stream while it is read.
#[cfg(feature = "capi")]
pub(crate) struct StreamState {
    pull: Arc<Pull<DisconnectReason>>,
    is_complete: bool,
}

#[cfg(feature = "capi")]
impl StreamState {
    pub(crate) fn id(&self) -> Option<ConnectionId> {
        self.pull.id().map(ConnectionId::from_u64)
    }

    pub(crate) fn end_reason(&self) -> Option<DisconnectReason> {
        self.pull.end_reason()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }
}

impl EventStream {
    #[cfg(feature = "capi")]
    pub(crate) fn state(&self) -> StreamState {
        StreamState { pull: self.pull.clone(), is_complete: self.is_complete }
    }

    /// The header fields of a response that is such a stream: its type, which browsers are not to
    /// guess, and what keeps proxies and caches from storing, compressing or holding back the events.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::EventStream;
    ///
    /// assert_eq!(EventStream::HEADERS[0], ("content-type", "text/event-stream"));
    /// ```
    pub const HEADERS: [(&'static str, &'static str); 4] = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-store, no-transform"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
    ];

    pub(crate) fn new(
        pull: Arc<Pull<DisconnectReason>>,
        shared: Arc<Shared>,
        is_complete: bool,
    ) -> EventStream {
        EventStream { pull, shared, is_complete, is_over: false }
    }

    /// Whether it is empty, and always was: all of its topics were [finished](crate::Hub::finish)
    /// before, and its client has had everything. A server answers that with the status 204, so
    /// that an `EventSource` does not come back (WHATWG HTML, section "Server-sent events").
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Event, Hub, Options, StreamOptions, Subscription, Topic};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// hub.finish(&Topic::new("run/7")?, Some(Event::new("done")))?;
    /// let late = hub.subscribe([Subscription::new("run/7")?], StreamOptions::default())?;
    /// assert!(late.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Why it ended, when everything was read; `None` as long as there is, or may be, something to
    /// read.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{DisconnectReason, Hub, Options, StreamOptions, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// hub.close();
    /// while let Some(batch) = smol::block_on(stream.next_async()) {
    ///     println!("{} bytes", batch?.len());
    /// }
    /// assert_eq!(stream.end_reason(), Some(DisconnectReason::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn end_reason(&self) -> Option<DisconnectReason> {
        self.pull.end_reason()
    }

    /// Its id among the hub's connections; `None` until its shard has taken it over, which is
    /// before its first batch comes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{ConnectionSelector, DisconnectReason, Hub, Options};
    /// use fanfare::{StreamOptions, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// let first = stream.wait(Duration::from_secs(10));
    /// let id = stream.id().expect("it has begun");
    /// assert_eq!(hub.disconnect(&ConnectionSelector::One(id), Duration::ZERO)?, 1);
    /// while stream.wait(Duration::from_secs(10)).is_some() {}
    /// assert_eq!(stream.end_reason(), Some(DisconnectReason::Kicked));
    /// # let _ = first;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<ConnectionId> {
        self.pull.id().map(ConnectionId::from_u64)
    }

    /// The next batch, if there is one already; `None` also after the end.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, StreamOptions, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// match stream.try_next() {
    ///     Some(batch) => println!("{} bytes", batch?.len()),
    ///     None if stream.end_reason().is_some() => println!("it has ended"),
    ///     None => println!("nothing has come yet"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next(&mut self) -> Option<Result<Bytes, Disconnected>> {
        let read = self.pull.read();
        self.item(read)
    }

    /// The next batch, for which it waits at most `timeout`; `None` when none came, and after the
    /// end. Blocks the calling thread, so it must not be one that drives a shard.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Hub, Options, StreamOptions, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// let first = stream.wait(Duration::from_secs(10)).expect("its reconnection time")?;
    /// assert!(first.starts_with(b"retry: "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&mut self, timeout: Duration) -> Option<Result<Bytes, Disconnected>> {
        self.try_next().or_else(|| receive::within(timeout, self.next_async()))
    }

    /// The next batch, under any executor; `None` after the end. Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, StreamOptions, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// let first = smol::block_on(stream.next_async()).expect("its reconnection time")?;
    /// assert!(first.starts_with(b"retry: "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn next_async(&mut self) -> Option<Result<Bytes, Disconnected>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// What its reader gets.
    fn item(&mut self, read: Read<DisconnectReason>) -> Option<Result<Bytes, Disconnected>> {
        match read {
            Read::Batch(batch, told) => {
                if let Some(id) = told {
                    self.tell(id);
                }
                Some(Ok(batch))
            }
            Read::Nothing => None,
            Read::End(reason) => {
                let is_told = std::mem::replace(&mut self.is_over, true);
                (!is_told && is_cut(reason)).then_some(Err(Disconnected { reason }))
            }
        }
    }

    /// Tells the shard of a stream's id that there is something to look at.
    fn tell(&self, id: u64) {
        let id = ConnectionId::from_u64(id);
        if let Some(link) = self.shared.links.get(id.shard()) {
            // Without a shard the stream has ended.
            let _ = link.tell(Told::HasNews(id));
        }
    }
}

/// Whether something may be missing at the end of a stream that ended for a reason.
pub(crate) fn is_cut(reason: DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::Lagging
            | DisconnectReason::Stalled
            | DisconnectReason::Error
            | DisconnectReason::TimedOut
            | DisconnectReason::Reset
            | DisconnectReason::Garbage
    )
}

impl Stream for EventStream {
    type Item = Result<Bytes, Disconnected>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let read = std::task::ready!(self.pull.poll_read(context));
        Poll::Ready(self.item(read))
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(id) = self.pull.abandon() {
            self.tell(id);
        }
    }
}

impl IntoIterator for EventStream {
    type Item = Result<Bytes, Disconnected>;
    type IntoIter = Batches;

    fn into_iter(self) -> Batches {
        Batches { stream: self }
    }
}

/// The batches of an [`EventStream`], each of which the iterator waits for. It blocks the calling
/// thread, which must not be one that drives a shard.
///
/// # Examples
///
/// ```
/// use fanfare::{Event, Hub, Options, StreamOptions, Subscription, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let run = Topic::new("run/7")?;
/// let stream = hub.subscribe([run.clone().into()], StreamOptions::default())?;
/// hub.finish(&run, Some(Event::new("done")))?;
/// let batches = stream.into_iter().collect::<Result<Vec<_>, _>>()?;
/// assert!(batches.concat().ends_with(b"data: done\n\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batches {
    stream: EventStream,
}

impl Iterator for Batches {
    type Item = Result<Bytes, Disconnected>;

    fn next(&mut self) -> Option<Result<Bytes, Disconnected>> {
        future::block_on(self.stream.next_async())
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("id", &self.id())
            .field("end_reason", &self.end_reason())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "capi")]
impl fmt::Debug for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamState").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("stream", &self.stream).finish()
    }
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream was cut: {}", self.reason)
    }
}

impl std::error::Error for Disconnected {}
