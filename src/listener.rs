//! The engine's own listener: it speaks HTTP to clients, and makes event streams of them.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::http::cors::Cors;
use crate::http::query::Query;
use crate::http::request::{Head, Request};
use crate::http::response;
use crate::options::jittered;
use crate::policy::{Policy, PolicyError};
use crate::resume::{Resume, Start};
use crate::shard::{Command, Door, Greeter, Greeting, Guest, Shared, Visitor};
use crate::sys::{ListenSocket, SocketOptions, Stream};

/// How a [`Listener`] speaks to its clients, and its bounds. All of it has a default.
///
/// A client says what it wants in its request's query: `topic=NAME` once for each topic, and, if it
/// likes, `tag=NAME`, 1 to 256 bytes of UTF-8 without control characters. By its tag a connection
/// is found again, with others that have the same one: in [`Notice`](crate::Notice)s, in
/// [`Hub::connections`](crate::Hub::connections), and by [`Hub::disconnect`](crate::Hub::disconnect).
/// It is a label, and anyone can claim any: nothing checks that a client may call itself so. Behind
/// a proxy that knows who is who, have the proxy set it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Cors, Hub, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let options = ListenOptions {
///     path: "/stream".to_owned(),
///     cors: Cors { origins: vec!["https://example.com".to_owned()], credentials: false },
///     head_time_max: Duration::from_secs(5),
///     ..ListenOptions::default()
/// };
/// let listener = hub.listen("127.0.0.1:0", options)?;
/// assert_ne!(listener.local_addr().port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The path that event streams have. Default: `/events`.
    pub path: String,
    /// Which other origins' pages may read the stream. Default: none.
    pub cors: Cors,
    /// The most bytes of a request's head, 64 bytes to 1 MiB. Default: 16 KiB.
    pub head_bytes_max: usize,
    /// The longest time a client may take for its request's head, at most 1 hour. Default: 10 s.
    pub head_time_max: Duration,
    /// The most topics that one connection may want, at most 65,536. Default: 64.
    pub topics_max: usize,
    /// Where the streams of those begin who do not say what they had last, neither as `Last-Event-ID`
    /// nor with `latest` or `last=N` in the query. Default: with what is published from then on.
    pub start: Start,
    /// Which policies a client may choose for itself, with `policy=NAME` in the query, should it
    /// lag too far; without that it has [`Options::policy`](crate::Options::policy), also if that
    /// is not among these. Default: all.
    pub policies: Vec<Policy>,
    /// What a client is told for whom there is no room. Default: to come again later.
    pub overload: Overload,
    /// How many bytes may wait in the kernel for a connection, beyond what is on its way, before
    /// its socket takes no more (`TCP_NOTSENT_LOWAT`, on Linux and macOS). It keeps the kernel from
    /// hiding megabytes of stale events for a slow client. At most 1 GiB; zero leaves it to the
    /// system, which as a rule has no such bound. Default: 16 KiB.
    pub notsent_lowat_bytes: u32,
    /// The kernel's send buffer of a connection (`SO_SNDBUF`), 1 KiB to 1 GiB; Linux takes twice
    /// this, for what it keeps with it, and at most what `net.core.wmem_max` allows. Default: none,
    /// which is the kernel's own tuning.
    pub send_buffer_bytes: Option<u32>,
    /// For how long nothing may have come from a client before it is probed, and from then on
    /// every third of that (on Linux; rounded up to whole seconds, the third down, to 1 s at
    /// least). A client is given up when a probe is due, none was answered, and nothing came from
    /// it for twice this time, or for `user_timeout` if that is longer. So an idle stream whose
    /// network goes silent ends, as [`Reason::TimedOut`](crate::Reason), when the longer one of
    /// both is over, and at most one probe's distance later. Once something is sent, be it a
    /// heartbeat, the stream is not idle any more, and `user_timeout` counts alone: with heartbeats
    /// a silence is noticed within their time, that time and a second. 1 s to 9 h; zero never
    /// probes. Default: 15 s.
    pub keepalive: Duration,
    /// For how long what was sent may stay without acknowledgement, counted from the first time
    /// that it is sent again, 0.2 s to about 1 s later (`TCP_USER_TIMEOUT`, on Linux): then the
    /// stream ends as [`Reason::TimedOut`](crate::Reason). And for how long a client may answer but
    /// keep its receive window shut, while bytes wait for it in the kernel: then as
    /// [`Reason::Stalled`](crate::Reason). 1 s to 1 day, and at least twice `keepalive`: of an
    /// idle stream the kernel would otherwise expect that it answers the very first probe. Zero
    /// leaves it to the kernel, which takes about 15 minutes. Default: 30 s.
    pub user_timeout: Duration,
    /// Where connections go whose request is not for `path`, so that another part of the program
    /// can answer on the same port; without it they get a 404. When the channel is full, they get
    /// a 503: give it room for as many as may come at once. They do not count as connections of
    /// the hub's, so whoever serves them has to bound them. Default: none.
    pub elsewhere: Option<async_channel::Sender<Visitor>>,
}

/// What a client is told that wants a stream when the bounds on connections are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overload {
    /// 200 with nothing but a `retry:` of five to ten times the hub's, since any other status
    /// stops a browser's `EventSource` for good.
    #[default]
    ComeAgain,
    /// 503, for clients and balancers that know what to do with it.
    Unavailable,
}

/// Accepts clients until it is dropped. Connections that are open then stay open.
#[must_use = "dropping the listener stops it"]
pub struct Listener {
    door: Arc<Door>,
    shared: Arc<Shared>,
    addr: SocketAddr,
}

/// Why a listener did not open.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be resolved or bound.
    Bind(io::Error),
    /// An option is out of its bounds.
    Options {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
    /// The hub is closed.
    Closed,
    /// A shard has too many commands waiting; try again.
    Busy,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            path: "/events".to_owned(),
            cors: Cors::default(),
            head_bytes_max: 16 << 10,
            head_time_max: Duration::from_secs(10),
            topics_max: 64,
            start: Start::default(),
            policies: Policy::ALL.to_vec(),
            overload: Overload::default(),
            notsent_lowat_bytes: 16 << 10,
            send_buffer_bytes: None,
            keepalive: Duration::from_secs(15),
            user_timeout: Duration::from_secs(30),
            elsewhere: None,
        }
    }
}

impl ListenOptions {
    /// The most bytes of a client's tag.
    pub const TAG_BYTES_MAX: usize = 256;

    fn check(&self) -> Result<(), ListenError> {
        let plain_path = self.path.starts_with('/')
            && self.path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        within(plain_path, "path", "a path such as `/events`, percent-encoded")?;
        within((64..=1 << 20).contains(&self.head_bytes_max), "head_bytes_max", "64 B to 1 MiB")?;
        let hour = Duration::from_secs(3600);
        within(
            !self.head_time_max.is_zero() && self.head_time_max <= hour,
            "head_time_max",
            "above zero, at most 1 hour",
        )?;
        within((1..=65_536).contains(&self.topics_max), "topics_max", "1 to 65,536")?;
        self.check_socket_options()?;
        self.cors.check().map_err(|bounds| ListenError::Options { option: "cors", bounds })
    }

    fn check_socket_options(&self) -> Result<(), ListenError> {
        const GIB: u32 = 1 << 30;
        let zero_or = |time: Duration, most| time.is_zero() || (1..=most).contains(&time.as_secs());
        within(self.notsent_lowat_bytes <= GIB, "notsent_lowat_bytes", "at most 1 GiB")?;
        let send_buffer = self.send_buffer_bytes.is_none_or(|n| (1 << 10..=GIB).contains(&n));
        within(send_buffer, "send_buffer_bytes", "1 KiB to 1 GiB, or none")?;
        within(zero_or(self.keepalive, 9 * 3600), "keepalive", "zero, or 1 s to 9 h")?;
        let timeout = self.user_timeout;
        within(zero_or(timeout, 24 * 3600), "user_timeout", "zero, or 1 s to 1 day")?;
        within(
            timeout.is_zero() || timeout >= 2 * self.keepalive,
            "user_timeout",
            "zero, or at least twice keepalive",
        )
    }
}

fn within(ok: bool, option: &'static str, bounds: &'static str) -> Result<(), ListenError> {
    match ok {
        true => Ok(()),
        false => Err(ListenError::Options { option, bounds }),
    }
}

impl Listener {
    pub(crate) fn open(
        shared: Arc<Shared>,
        addr: impl ToSocketAddrs,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        options.check()?;
        let socket_options = SocketOptions {
            notsent_lowat_bytes: options.notsent_lowat_bytes,
            send_buffer_bytes: options.send_buffer_bytes,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
        };
        let mut bound = Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
        for addr in addr.to_socket_addrs().map_err(ListenError::Bind)? {
            bound = ListenSocket::bind(addr, &socket_options);
            if bound.is_ok() {
                break;
            }
        }
        let socket = bound.map_err(ListenError::Bind)?;
        let addr = socket.local_addr().map_err(ListenError::Bind)?;
        let elsewhere = options.elsewhere.clone();
        let greeter =
            HttpGreeter { retry: shared.options.retry, policy: shared.options.policy, options };
        let door = Arc::new(Door::new(socket, Box::new(greeter), elsewhere));
        // From here on, dropping it takes the door from those shards that have it already.
        let listener = Listener { door, shared, addr };
        listener.open_door()?;
        Ok(listener)
    }

    /// Has every shard accept through the door.
    fn open_door(&self) -> Result<(), ListenError> {
        let closed = || match self.shared.is_ending() {
            true => Err(ListenError::Closed),
            false => Ok(()),
        };
        closed()?;
        for link in &self.shared.links {
            match link.command(Command::Open(self.door.clone())) {
                // A shard that a host has dropped needs no door.
                Err(_) if !link.is_alive() => {}
                opened => opened.map_err(|_| ListenError::Busy)?,
            }
        }
        // The hub may have been closed or drained meanwhile, by another thread.
        closed()
    }

    /// The address that it listens on, with the port that the system chose if none was given.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves a connection that was accepted here or elsewhere, and has sent `visitor.read`, as
    /// if this listener had just accepted it: for a visitor that, on a connection kept alive,
    /// asks for events after all.
    ///
    /// # Errors
    ///
    /// Hands the visitor back when no shard has room for another command.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use fanfare::{Hub, ListenOptions, Options, Visitor};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
    ///
    /// // A server of your own has accepted a connection and read the request from it.
    /// let own = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(own.local_addr()?)?;
    /// let (stream, addr) = own.accept()?;
    /// let read = b"GET /events?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    /// listener.admit(Visitor { stream, read, addr }).expect("the shard has room");
    /// # drop(client);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admit(&self, visitor: Visitor) -> Result<(), Visitor> {
        let Visitor { stream, read, addr } = visitor;
        let stream = match stream.try_clone().and_then(Stream::from_std) {
            Ok(stream) if self.door.socket.adopt(&stream).is_ok() => stream,
            _ => return Err(Visitor { stream, read, addr }),
        };
        let mut serve = Command::Serve { stream, read, addr, door: self.door.clone() };
        // Any shard will do; one that a host has dropped takes nobody.
        let links = &self.shared.links;
        let first = fastrand::usize(..links.len());
        for link in links[first..].iter().chain(&links[..first]) {
            match link.command(serve) {
                Ok(()) => return Ok(()),
                Err(refused) => serve = refused,
            }
        }
        match serve {
            Command::Serve { stream, read, addr, .. } => {
                Err(Visitor { stream: stream.into_std(), read, addr })
            }
            _ => unreachable!("it was not this command"),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.door.close();
        for link in &self.shared.links {
            // A shard with a thousand commands waiting finds out when the poller reports the door.
            let _ = link.command(Command::Doors);
        }
    }
}

/// What the shards ask about the requests that come through a listener's door.
struct HttpGreeter {
    options: ListenOptions,
    retry: Duration,
    policy: Policy,
}

impl Greeter for HttpGreeter {
    fn greet(&self, head: &[u8], _addr: SocketAddr, crowded: bool) -> Greeting {
        let too_large = || {
            let text = "the request's head is too large";
            response::refusal("431 Request Header Fields Too Large", "", text)
        };
        match Head::parse(head) {
            Head::Partial if head.len() < self.options.head_bytes_max => Greeting::More,
            Head::Partial | Head::TooManyFields => Greeting::Answer(too_large()),
            Head::Malformed(why) => Greeting::Answer(response::refusal("400 Bad Request", "", why)),
            Head::Complete(_, bytes) if bytes > self.options.head_bytes_max => {
                Greeting::Answer(too_large())
            }
            Head::Complete(request, _) => match (self.answer(&request, crowded), request.method) {
                (Greeting::Answer(answer), "HEAD") => Greeting::Answer(response::head_of(answer)),
                (greeting, _) => greeting,
            },
        }
    }

    fn too_slow(&self) -> Vec<u8> {
        response::refusal("408 Request Timeout", "", "the request's head did not come in time")
    }

    fn no_room_elsewhere(&self) -> Vec<u8> {
        let text = "too many requests at once; come again";
        response::refusal("503 Service Unavailable", "Retry-After: 5\r\n", text)
    }

    fn head_time_max(&self) -> Duration {
        self.options.head_time_max
    }
}

impl HttpGreeter {
    fn answer(&self, request: &Request<'_>, crowded: bool) -> Greeting {
        if request.path != self.options.path {
            let text = format!("there is nothing here; events are at {}", self.options.path);
            return match self.options.elsewhere {
                Some(_) => Greeting::Elsewhere,
                None => Greeting::Answer(response::refusal("404 Not Found", "", &text)),
            };
        }
        let cors = self.options.cors.fields(request.field("origin"));
        let refuse = |status: &str, more: &str, text: &str| {
            Greeting::Answer(response::refusal(status, &format!("{cors}{more}"), text))
        };
        match request.method {
            "GET" | "HEAD" => {}
            "OPTIONS" => return Greeting::Answer(response::options(&cors)),
            _ => {
                let allow = "Allow: GET, HEAD, OPTIONS\r\n";
                return refuse("405 Method Not Allowed", allow, "use GET to read events");
            }
        }
        if request.has_content() {
            return refuse("413 Content Too Large", "", "a request for events has no content");
        }
        if !request.accepts_event_stream() {
            return refuse("406 Not Acceptable", "", "only text/event-stream is served here");
        }
        let query = match Query::parse(request.query) {
            Ok(query) => query,
            Err(error) => return refuse("400 Bad Request", "", &error.to_string()),
        };
        let (wanted, resume, tag) = match self.wishes(request, &query) {
            Ok(wishes) => wishes,
            Err(why) => return refuse("400 Bad Request", "", &why),
        };
        let policy = match self.policy(&query) {
            Ok(policy) => policy,
            Err((status, why)) => return refuse(status, "", &why),
        };
        if request.method == "HEAD" {
            return Greeting::Answer(response::stream_head_only(&cors));
        }
        if crowded {
            return match self.options.overload {
                Overload::ComeAgain => {
                    let retry = self.retry.max(Duration::from_secs(1)) * 5;
                    Greeting::Answer(response::come_again(&cors, jittered(retry)))
                }
                Overload::Unavailable => {
                    refuse("503 Service Unavailable", "Retry-After: 5\r\n", "no room; come again")
                }
            };
        }
        let wire = if request.minor_version == 0 { Wire::Plain } else { Wire::Chunked };
        let retry = Some(self.retry).filter(|retry| !retry.is_zero()).map(jittered);
        let head = response::stream(wire, &cors);
        Greeting::Join(Box::new(Guest { head, wanted, wire, retry, resume, policy, tag }))
    }

    /// What a request asks for in its query, such as `topic=a&topic=b/%23&tag=c`, and of the past.
    fn wishes(&self, request: &Request<'_>, query: &Query<'_>) -> Result<Wishes, String> {
        Ok((self.wanted(query)?, self.resume(request, query)?, tag(query)?))
    }

    fn wanted(&self, query: &Query<'_>) -> Result<Vec<Subscription>, String> {
        let wanted = query.all("topic").take(self.options.topics_max + 1).map(Subscription::new);
        let wanted: Vec<_> = wanted.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        match wanted.len() {
            0 => Err(format!("say what you want: {}?topic=NAME", self.options.path)),
            count if count > self.options.topics_max => {
                Err(format!("{} topics are the most for a connection", self.options.topics_max))
            }
            _ => Ok(wanted),
        }
    }

    /// What of the past a client is to get: everything after the id that it had last, which an
    /// `EventSource` says in a header field and others may say in the query; or else what it asks
    /// to begin with.
    fn resume(&self, request: &Request<'_>, query: &Query<'_>) -> Result<Resume, String> {
        let in_query = || query.first("last-event-id").or_else(|| query.first("lastEventId"));
        let id = request.field("last-event-id").filter(|id| !id.is_empty()).or_else(in_query);
        match id.map(str::trim) {
            None | Some("") => {}
            // Nobody's id: it is told so, without its being repeated.
            Some(id) if id.len() > Event::FIELD_BYTES_MAX || id.chars().any(char::is_control) => {
                return Ok(Resume::After("".into()));
            }
            Some(id) => return Ok(Resume::After(id.into())),
        }
        match (query.first("last"), query.first("latest")) {
            (Some(count), None) => match count.parse() {
                Ok(count) => Ok(Resume::Start(Start::Last(count))),
                Err(_) => Err("last is how many events to begin with: last=10".to_owned()),
            },
            (None, Some(_)) => Ok(Resume::Start(Start::Latest)),
            (None, None) => Ok(Resume::Start(self.options.start)),
            (Some(_), Some(_)) => Err("ask for latest or for last=N, not for both".to_owned()),
        }
    }

    /// The policy that a query asks for, `policy=conflate`, or else the hub's; or the status of a
    /// refusal, and why.
    fn policy(&self, query: &Query<'_>) -> Result<Policy, (&'static str, String)> {
        let Some(name) = query.first("policy") else { return Ok(self.policy) };
        let policy: Policy =
            name.parse().map_err(|error: PolicyError| ("400 Bad Request", error.to_string()))?;
        let may_choose = &self.options.policies;
        if may_choose.contains(&policy) {
            return Ok(policy);
        }
        let names: Vec<_> = may_choose.iter().map(|policy| policy.as_str()).collect();
        let why = match &*names {
            [] => "a client may choose no policy here".to_owned(),
            names => format!("of the policies a client may choose {} here", names.join(", ")),
        };
        Err(("403 Forbidden", why))
    }
}

/// What a client wants: topics, where it goes on, and what it calls itself.
type Wishes = (Vec<Subscription>, Resume, Option<Arc<str>>);

/// What a client calls itself.
fn tag(query: &Query<'_>) -> Result<Option<Arc<str>>, String> {
    let mut tags = query.all("tag");
    let Some(tag) = tags.next() else { return Ok(None) };
    if tags.next().is_some() {
        return Err("one tag is the most for a connection".to_owned());
    }
    let fits = (1..=ListenOptions::TAG_BYTES_MAX).contains(&tag.len());
    match fits && !tag.contains(char::is_control) {
        true => Ok(Some(tag.into())),
        false => Err(format!(
            "a tag has 1 to {} bytes, and no control characters",
            ListenOptions::TAG_BYTES_MAX
        )),
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Bind(error) => write!(f, "cannot listen on this address: {error}"),
            ListenError::Options { option, bounds } => {
                write!(f, "the option {option} is out of bounds: {bounds}")
            }
            ListenError::Closed => f.write_str("the hub is closed"),
            ListenError::Busy => f.write_str("a shard has too much to do; try again"),
        }
    }
}

impl std::error::Error for ListenError {}
