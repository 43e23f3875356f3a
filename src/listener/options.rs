//! How a listener speaks to its clients, and its bounds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::route::Route;
use crate::authorizer::Authorizer;
use crate::envelope::Envelope;
use crate::excerpt::Excerpt;
use crate::fallback::Fallback;
use crate::http::cors::Cors;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::policy::Policy;
use crate::proxy::forwarded::ForwardedHeader;
use crate::resume::StartAt;
use crate::stream_options::StreamOptions;
use crate::sys::SocketOptions;

chained! {
    /// How a [`Listener`](crate::Listener) speaks to its clients, and its bounds. Each option has a
    /// default, a field to read it, and a setter of the field's name.
    ///
    /// A client says what it wants in its request's query: `topic=NAME` once for each topic, and,
    /// if it likes, `start=NAME` and `gap-start=NAME` ([`StartAt`]), `policy=NAME` ([`Policy`]),
    /// `heartbeat=NAME` ([`HeartbeatForm`](crate::HeartbeatForm)), `envelope=NAME` ([`Envelope`])
    /// and `tag=NAME`, 1 to 256 bytes of UTF-8 without control characters. By its tag a connection
    /// is found again, with others that have the same one: in [`Notice`](crate::Notice)s, in
    /// [`Hub::connections`](crate::Hub::connections), and by
    /// [`Hub::disconnect`](crate::Hub::disconnect). It is a label, and a client can claim any:
    /// nothing checks that it may use this one. Have the [`Authorizer`] set it
    /// ([`Grant::tag`](crate::Grant)), or a proxy that knows its clients.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Cors, Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let options = ListenOptions::default()
    ///     .path("/stream")
    ///     .cors(Cors::default().origins(["https://example.com"]))
    ///     .head_time_max(Duration::from_secs(5));
    /// let listener = hub.listen("127.0.0.1:0", options)?;
    /// assert_ne!(listener.local_addr().port(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Debug)]
    pub struct ListenOptions {
        /// The path of the streams whose topics the query names, opened with `GET`; empty for none,
        /// where there are `routes`. A route of this path takes its place. Default: `/events`.
        pub path: String as (impl Into<String> => path.into()),
        /// More paths that have streams, at most 256. A path without places for values goes before
        /// one with them; of two others no path may match both. Default: none.
        pub routes: Vec<Route> as (impl IntoIterator<Item = Route>
            => routes.into_iter().collect()),
        /// Header fields of all streams' answers: of those with status 200, to `HEAD` as well, and
        /// to clients that are told to come again later. At most 32 fields and 4 KiB in an answer,
        /// with those of its route: names are tokens, values visible ASCII, spaces and tabs. What
        /// the engine writes itself is refused, such as `Content-Type`, `Cache-Control`, `Vary` and
        /// the fields of CORS. Default: none.
        pub headers: Vec<(String, String)>
            as (impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>
            => headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()),
        /// Which other origins' pages may read the stream. Default: none.
        pub cors: Cors,
        /// The most bytes of a request's head, 64 bytes to 1 MiB. Default: 16 KiB.
        pub head_bytes_max: usize,
        /// The most header fields of a request, 8 to 4,096. Default: 128.
        pub head_fields_max: usize,
        /// The most bytes of the content of a `POST` that opens a stream, at most 1 MiB; it has to
        /// come within `head_time_max`, with the head. A request with more is answered 413.
        /// Default: 64 KiB.
        pub body_bytes_max: usize,
        /// The names, without port, by which the listener may be addressed, besides any IP address,
        /// `localhost` and what ends in `.localhost`. Requests whose `Host` (or whose target in
        /// absolute form) has another name are answered with 421, also those for `fallback`;
        /// requests that have none, which HTTP/1.0 allows and no browser sends, are served. This is
        /// checked if the list is not empty, and always if the listener's address is a loopback
        /// one: otherwise a page with a name that is made to point to 127.0.0.1 could read streams
        /// that are for this machine alone. A proxy on the same machine that passes on its clients'
        /// `Host`, or that has a name of its own for this server, needs that name in the list.
        ///
        /// An entry that is `*` alone allows any host, also on a loopback address: for a proxy that
        /// passes on names which cannot be listed. It disables the check. A page with a name that
        /// is made to point to 127.0.0.1 can then read, through a browser on this machine,
        /// everything that this listener serves without authentication; so use it where streams are
        /// public anyway, or where the listener's machine has no browser. `*` as a part of a name
        /// is an error. Default: none.
        pub hosts: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => hosts.into_iter().map(Into::into).collect()),
        /// The proxies whose connections begin with a header of the PROXY protocol, version 1 or 2,
        /// that says who their client is: addresses, networks as `10.0.0.0/8`, and `unix` for
        /// the peers at a Unix domain socket; at most 256. From these it is required: a
        /// connection without is answered 400. From any other address it is no HTTP, and answered
        /// 400 as well. It is read within `head_time_max`; version 2 may have 4,096 bytes. The
        /// client's address is then that of the connection, in limits per address, notices, lists
        /// and logs. A proxy that does not say whose the connection is (`LOCAL`, `UNKNOWN`) has no
        /// limit per address. List only proxies that no client can pass by. Default: none.
        pub proxy_protocol_from: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => proxy_protocol_from.into_iter().map(Into::into).collect()),
        /// The proxies that are believed about their clients in `forwarded_header`, as in
        /// `proxy_protocol_from`, at most 256. The list in the header field is read from its end,
        /// as long as its addresses are those of trusted proxies: the first that is none is the
        /// client's, in limits per address, notices, lists and logs. If there is none, or something
        /// else stands in its place, such as `unknown`, the client is the trusted proxy that is
        /// farthest from here. No limit per address holds for the addresses of trusted proxies;
        /// [`Options::connections_max`](crate::Options::connections_max) holds for them as well.
        /// The header field of any other client is ignored. Default: none.
        pub trusted_proxies: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => trusted_proxies.into_iter().map(Into::into).collect()),
        /// The one header field in which `trusted_proxies` say who their client is. The proxy has
        /// to set or extend it in every request: a field that it passes on as it came is the
        /// client's own word. Default: `X-Forwarded-For`.
        pub forwarded_header: ForwardedHeader,
        /// The permission bits of the file at a path that
        /// [`Hub::listen_unix`](crate::Hub::listen_unix) listens at, whatever the process's umask
        /// is: a program that may write to the file may connect. At most 0o777. Default: 0o600,
        /// which is this user alone.
        pub socket_mode: u32,
        /// The longest time that a client may take for its request's head, 1 ms to 1 hour. Default:
        /// 10 s.
        pub head_time_max: Duration,
        /// The most topics and filters that one connection may want, 1 to 65,536. Default: 64.
        pub subscriptions_per_connection_max: usize,
        /// The most filters of one connection that begin with a wildcard, at most 65,536. Each of
        /// them may match every topic, and is held against all events that a client has missed.
        /// Default: 4.
        pub wide_filters_max: usize,
        /// Where the stream of a client begins that does not say which event it had last
        /// (`Last-Event-ID`), nor where to begin, with `start=NAME`, `latest` or `last=N` in the
        /// query. Default: with what is published from then on.
        pub start: StartAt,
        /// Where the stream of a client begins that says which event it had last, when that one or
        /// events after it are gone; a client may ask for another with `gap-start=NAME` in the
        /// query. The client is told of the gap first. What is kept and skipped is told with it:
        /// events before the newest ones, or before now. What comes before a known id is not sent
        /// again. A client whose id is unknown may be sent events again that it had. Default: none,
        /// which begins by the gap's [reason](crate::GapReason): with all that is kept if the
        /// events have expired or the hub was restarted, and with what is published from then on if
        /// the id is unknown.
        pub gap_start: Option<StartAt> as (StartAt => Some(gap_start)),
        /// Which policies a client may choose for itself, with `policy=NAME` in the query, should
        /// it lag too far; without that it has [`Options::policy`](crate::Options::policy), also if
        /// that is not among these. Default: none, which allows the policies that cost others no
        /// more than the hub's: all if the hub's is to disconnect, for which publishers may have to
        /// wait, and otherwise all but that.
        pub policies: Option<Vec<Policy>> as (impl IntoIterator<Item = Policy>
            => Some(policies.into_iter().collect())),
        /// What is around an event's data in the stream of a client that does not say it, with
        /// `envelope=NAME` in the query. Default: nothing.
        pub envelope: Envelope,
        /// Who decides which client gets which stream. Default: nobody; every client gets what it
        /// asks for ([`Authorizer::allow_all`]).
        pub authorizer: Authorizer,
        /// What a client is told when the bounds on connections are reached; and an `EventSource`
        /// about which the host was asked, and has not answered ([`Authorizer::ask`]). Default: to
        /// come again later.
        pub overload: Overload,
        /// How many bytes may wait in the kernel for a connection, beyond what is on its way,
        /// before its socket takes no more (`TCP_NOTSENT_LOWAT`, on Linux and macOS; connections of
        /// a Unix domain socket have their send buffer alone). It keeps the
        /// kernel from hiding megabytes of stale events for a slow client. At most 1 GiB; zero
        /// leaves it to the system, which as a rule has no such bound. Default: 16 KiB.
        pub notsent_lowat_bytes: u32,
        /// The kernel's send buffer of a connection (`SO_SNDBUF`), 1 KiB to 1 GiB; Linux takes
        /// twice this, for what it keeps with it, and at most what `net.core.wmem_max` allows.
        /// Default: none, which is the kernel's own tuning.
        pub send_buffer_bytes: Option<u32> as (u32 => Some(send_buffer_bytes)),
        /// For how long nothing may have come from a client before it is probed, and from then on
        /// every third of that (rounded up to whole seconds, the third down, to 1 s at least). A
        /// client is given up when a probe is due, none was answered, and nothing came from it for
        /// twice this time, or for `user_timeout` if that is longer. So an idle stream whose
        /// network goes silent ends, as [`DisconnectReason::TimedOut`](crate::DisconnectReason),
        /// when the longer one of both is over, or at most one probe's distance later. Once something
        /// is sent, be it a heartbeat, the stream is not idle any more, and `user_timeout` counts alone: with heartbeats a
        /// silence is noticed within their time, that time and a second. 1 s to 9 hours; zero never
        /// probes. Default: 15 s.
        pub keepalive: Duration,
        /// For how long what was sent may stay without acknowledgement, counted from the first time
        /// that it is sent again, 0.2 s to about 1 s later (`TCP_USER_TIMEOUT`, on Linux): then the
        /// stream ends as [`DisconnectReason::TimedOut`](crate::DisconnectReason). And for how long
        /// a client may answer but keep its receive window shut, while bytes wait for it in the
        /// kernel: then as [`DisconnectReason::Stalled`](crate::DisconnectReason). 1 s to 1 day,
        /// and at least twice `keepalive`: of an idle stream the kernel would otherwise expect that
        /// it answers the very first probe. Zero leaves it to the kernel, which takes about 15
        /// minutes. Default: 30 s.
        pub user_timeout: Duration,
        /// A path whose `GET` and `HEAD` the shards answer themselves, with 200 while all of them
        /// live and else with 503: for a balancer's probes, which then depend on nothing else that
        /// could be busy. Default: none.
        pub health_path: Option<String> as (impl Into<String> => Some(health_path.into())),
        /// Gets the connections with requests for paths that have no streams, so that another part
        /// of the program answers them on the same port; [`fallback`](crate::fallback()) makes one.
        /// Without a fallback they are answered 404, and 503 when it is full. They do not count as
        /// connections of the hub, so the program that serves them has to bound them. The listener
        /// does not see later requests on such a connection: there ask
        /// [`Listener::is_named`](crate::Listener::is_named) whether the request's `Host` is right,
        /// and [`Listener::has_streams_at`](crate::Listener::has_streams_at) whether the listener
        /// has to answer it.
        /// Default: none.
        pub fallback: Option<Fallback> as (Fallback => Some(fallback)),
    }
}

/// What a client that wants a stream is told when the bounds on connections are reached. A request
/// that names `text/event-stream` in `Accept`, as that of an `EventSource` does, is told the same
/// when the host has not answered whether it is [authorized](Authorizer::ask); any other is told
/// 503 then.
///
/// # Examples
///
/// ```
/// use fanfare::{ListenOptions, Overload};
///
/// let options = ListenOptions::default().overload(Overload::Unavailable);
/// # let _ = options;
/// ```
///
/// By name:
///
/// ```
/// use fanfare::Overload;
///
/// assert_eq!("unavailable".parse(), Ok(Overload::Unavailable));
/// assert_eq!(Overload::ComeAgain.as_str(), "come-again");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overload {
    /// 200 with nothing but a `retry:` of five to ten times the hub's, since any other status
    /// stops a browser's `EventSource` for good.
    #[default]
    ComeAgain,
    /// 503, for clients and balancers that know what to do with it.
    Unavailable,
}

/// There is no answer to overload of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{Overload, OverloadError};
///
/// let error: OverloadError = "later".parse::<Overload>().unwrap_err();
/// assert!(error.to_string().ends_with("give one of come-again, unavailable"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverloadError {
    name: Excerpt,
}

impl Overload {
    const ALL: [Overload; 2] = [Overload::ComeAgain, Overload::Unavailable];

    /// Every answer, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Overload;
    ///
    /// assert!(Overload::all().all(|overload| overload.as_str().parse() == Ok(overload)));
    /// ```
    pub fn all() -> impl Iterator<Item = Overload> {
        Overload::ALL.into_iter()
    }

    /// Its name in options and logs.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Overload;
    ///
    /// assert_eq!(Overload::Unavailable.as_str(), "unavailable");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Overload::ComeAgain => "come-again",
            Overload::Unavailable => "unavailable",
        }
    }
}

impl FromStr for Overload {
    type Err = OverloadError;

    fn from_str(name: &str) -> Result<Overload, OverloadError> {
        let known = Overload::all().find(|overload| overload.as_str() == name);
        known.ok_or_else(|| OverloadError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for OverloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Overload::ALL.map(Overload::as_str).join(", ");
        write!(f, "there is no answer to overload {}; give one of {names}", self.name)
    }
}

impl std::error::Error for OverloadError {}

/// The options that the sockets of clients have by default.
pub(crate) const SOCKET_OPTIONS: SocketOptions = SocketOptions {
    notsent_lowat_bytes: 16 << 10,
    send_buffer_bytes: None,
    keepalive: Duration::from_secs(15),
    user_timeout: Duration::from_secs(30),
};

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            path: "/events".to_owned(),
            routes: Vec::new(),
            headers: Vec::new(),
            cors: Cors::default(),
            head_bytes_max: 16 << 10,
            head_fields_max: 128,
            body_bytes_max: 64 << 10,
            hosts: Vec::new(),
            proxy_protocol_from: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            socket_mode: 0o600,
            head_time_max: Duration::from_secs(10),
            subscriptions_per_connection_max: 64,
            wide_filters_max: 4,
            start: StartAt::default(),
            gap_start: None,
            policies: None,
            envelope: Envelope::default(),
            authorizer: Authorizer::default(),
            overload: Overload::default(),
            notsent_lowat_bytes: SOCKET_OPTIONS.notsent_lowat_bytes,
            send_buffer_bytes: SOCKET_OPTIONS.send_buffer_bytes,
            keepalive: SOCKET_OPTIONS.keepalive,
            user_timeout: SOCKET_OPTIONS.user_timeout,
            health_path: None,
            fallback: None,
        }
    }
}

impl ListenOptions {
    /// The most bytes of a client's tag.
    pub const TAG_BYTES_MAX: usize = StreamOptions::TAG_BYTES_MAX;

    /// Checks every option against its bounds, except the entries of `routes`, `headers`, `cors`,
    /// `hosts`, `proxy_protocol_from` and `trusted_proxies`, which are checked when the listener is
    /// opened, as all of it is.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ListenOptions;
    ///
    /// assert_eq!(ListenOptions::default().check(), Ok(()));
    /// let error = ListenOptions::default().path("events").check().unwrap_err();
    /// assert_eq!(error.option, "path");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let is_plain = |path: &str| {
            path.starts_with('/')
                && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
        };
        within(
            is_plain(&self.path) || self.path.is_empty() && !self.routes.is_empty(),
            "path",
            "a path such as /events, percent-encoded; or empty, where there are routes",
        )?;
        within(
            self.health_path.as_ref().is_none_or(|path| is_plain(path) && *path != self.path),
            "health_path",
            "a path such as /healthz, percent-encoded, and not path",
        )?;
        let head = (64..=1 << 20).contains(&self.head_bytes_max);
        within(head, "head_bytes_max", "64 bytes to 1 MiB")?;
        let fields = (8..=4_096).contains(&self.head_fields_max);
        within(fields, "head_fields_max", "8 to 4,096")?;
        within(self.body_bytes_max <= 1 << 20, "body_bytes_max", "at most 1 MiB")?;
        within(self.socket_mode <= 0o777, "socket_mode", "at most 777, in octal")?;
        let time = (MILLISECOND..=HOUR).contains(&self.head_time_max);
        within(time, "head_time_max", "1 ms to 1 hour")?;
        let wanted = (1..=65_536).contains(&self.subscriptions_per_connection_max);
        within(wanted, "subscriptions_per_connection_max", "1 to 65,536")?;
        within(self.wide_filters_max <= 65_536, "wide_filters_max", "at most 65,536")?;
        self.check_socket_options()
    }

    /// The options of the sockets of a listener's clients.
    pub(crate) fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            notsent_lowat_bytes: self.notsent_lowat_bytes,
            send_buffer_bytes: self.send_buffer_bytes,
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
        }
    }

    fn check_socket_options(&self) -> Result<(), OptionsError> {
        const GIB: u32 = 1 << 30;
        let zero_or = |time: Duration, most| time.is_zero() || (SECOND..=most).contains(&time);
        within(self.notsent_lowat_bytes <= GIB, "notsent_lowat_bytes", "at most 1 GiB")?;
        let send_buffer = self.send_buffer_bytes.is_none_or(|n| (1 << 10..=GIB).contains(&n));
        within(send_buffer, "send_buffer_bytes", "1 KiB to 1 GiB")?;
        within(zero_or(self.keepalive, 9 * HOUR), "keepalive", "0, or 1 s to 9 hours")?;
        let timeout = self.user_timeout;
        let is_long = timeout.is_zero() || timeout >= 2 * self.keepalive;
        within(
            zero_or(timeout, 24 * HOUR) && is_long,
            "user_timeout",
            "0, or 1 s to 1 day, and at least twice keepalive",
        )
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::tests::hold;

    #[test]
    fn a_listeners_options_are_those_of_the_table() {
        let with_room =
            |options: ListenOptions| options.keepalive(Duration::ZERO).user_timeout(24 * HOUR);
        hold("A listener", with_room, ListenOptions::check);
    }

    #[test]
    fn every_answer_to_overload_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        for overload in Overload::all() {
            assert_eq!(overload.to_string().parse(), Ok(overload));
        }
        assert_eq!(
            "ComeAgain".parse::<Overload>().unwrap_err().to_string(),
            "there is no answer to overload \"ComeAgain\"; give one of come-again, unavailable"
        );
    }

    #[test]
    fn an_idle_stream_is_given_time_to_answer_more_than_one_probe() {
        let options = ListenOptions::default().keepalive(10 * SECOND).user_timeout(20 * SECOND);
        assert_eq!(options.check(), Ok(()));
        let error = options.user_timeout(19 * SECOND).check().unwrap_err();
        assert_eq!(error.option, "user_timeout");
        assert!(error.bounds.ends_with("at least twice keepalive"), "{error}");
    }
}
