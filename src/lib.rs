//! An embeddable Server-Sent Events fan-out engine.
//!
//! A host publishes an event once; the engine encodes it once, and shares the same bytes with
//! every connected client that wants them:
//!
//! - **Batches.** Clients are served in rounds; new events gather while a round lasts, and
//!   each client is sent all of them with one system call: millions of deliveries a second from one
//!   core, and no waiting at low load.
//! - **Small connections.** An idle client is one entry in a slab. No task, queue, timer or buffer
//!   of its own.
//! - **Bounded.** A publisher that is faster than the network is told so ([`PublishError::Full`])
//!   or made to wait; a client that does not read costs bounded memory, and a publisher waits for
//!   it for a moment at most. The bounds are in [`Options`] and [`ListenOptions`].
//! - **Executor-agnostic.** Shards run on threads of their own ([`Hub::start`]), or as futures on
//!   any executor ([`Hub::with_drivers`]).
//!
//! The library logs through the crate `log`, also on its shards' threads: a logger that blocks
//! holds up the clients. Events that clients can cause are logged, at levels above debug, at most
//! once in 10 seconds for each kind.
//!
//! The stream is that of WHATWG HTML, section "Server-sent events", over HTTP/1.1 or 1.0; or over
//! whatever a server of the host's speaks, which reads it as an [`EventStream`].
//!
//! # Examples
//!
//! A server that tells each client of `/events?topic=time` the time:
//!
//! ```no_run
//! use std::time::{Duration, SystemTime};
//! use fanfare::{Event, Hub, ListenOptions, Options, Topic};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let hub = Hub::start(Options::default())?;
//!     let listener = hub.listen("127.0.0.1:8080", ListenOptions::default())?;
//!     println!("listening on http://{}", listener.local_addr());
//!
//!     let topic = Topic::new("time")?;
//!     loop {
//!         let seconds = SystemTime::UNIX_EPOCH.elapsed()?.as_secs().to_string();
//!         hub.publish_wait(&topic, Event::new(seconds).with_name("tick"), Duration::MAX)?;
//!         std::thread::sleep(Duration::from_secs(1));
//!     }
//! }
//! ```

#[cfg(any(windows, not(unix)))]
compile_error!(
    "fanfare needs a Unix system: it runs on Linux, and is compiled for macOS and FreeBSD; \
     Windows is not supported"
);

mod admin;
mod adopt;
mod authorizer;
mod bounded;
mod client_stream;
mod clock;
#[cfg_attr(
    not(feature = "cluster"),
    allow(dead_code, reason = "a cluster's nodes alone use all of it")
)]
mod cluster;
mod drain;
mod drive;
mod durability;
mod envelope;
mod event;
mod event_stream;
mod excerpt;
mod exposition;
mod fallback;
mod filter;
mod finish;
mod flush;
mod frame;
mod gap;
mod grant;
mod heartbeat;
mod histogram;
mod http;
mod hub;
mod id;
mod inbox;
mod interest;
mod journal;
mod lifecycle;
mod listen_addr;
mod listener;
mod metrics;
mod node;
mod notices;
mod options;
mod order;
mod policy;
mod prometheus;
mod proxy;
mod publish;
mod pull;
mod receive;
mod resume;
mod rules;
mod seldom;
mod shard;
mod socket_file;
#[cfg(feature = "capi")]
mod space;
mod stream_options;
mod subscribe;
mod sync;
mod sys;
mod topic;
#[cfg(any(feature = "capi", test))]
mod topic_handle;
mod tuning;
mod waker;
mod watch;

#[cfg(feature = "capi")]
pub mod ffi;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "tickets")]
pub mod tickets;

pub use crate::adopt::{AdoptError, AdoptErrorKind, AdoptRequest, HttpVersion, HttpVersionError};
pub use crate::authorizer::{
    AnswerError, AskOptions, AuthorizationRequest, AuthorizationRequests, Authorizer, Refusal,
};
pub use crate::client_stream::ClientStream;
pub use crate::cluster::{ClusterConnection, ClusterConnections, ClusterError, ClusterOptions};
pub use crate::drain::{DrainOptions, Drained};
pub use crate::drive::Driver;
pub use crate::durability::{Durability, DurabilityError};
pub use crate::envelope::{Envelope, EnvelopeError};
pub use crate::event::{Event, EventError};
pub use crate::event_stream::{Batches, Disconnected, EventStream};
pub use crate::fallback::{fallback, Fallback, UnhandledRequest, UnhandledRequests};
pub use crate::filter::{Filter, FilterError, Subscription, SubscriptionError};
pub use crate::flush::FlushError;
pub use crate::gap::GapReason;
pub use crate::grant::Grant;
pub use crate::heartbeat::{HeartbeatForm, HeartbeatFormError};
pub use crate::histogram::Histogram;
pub use crate::http::cors::Cors;
pub use crate::hub::{Hub, StartError};
pub use crate::id::{EventId, EventIdError};
pub use crate::interest::{InterestError, InterestKind, InterestNotice, InterestNotices};
pub use crate::journal::JournalError;
pub use crate::lifecycle::{
    AdminError, ConnectionFilter, ConnectionId, ConnectionIdError, ConnectionInfo,
    ConnectionSelector, ConnectionState, SubscriptionCount,
};
pub use crate::listen_addr::ListenAddr;
pub use crate::listener::{
    AdmitError, ListenError, ListenOnError, ListenOptions, Listener, Overload, OverloadError, Route,
};
pub use crate::metrics::{DisconnectReason, Metrics};
pub use crate::notices::{Notice, NoticeKind, Notices};
pub use crate::options::{Options, OptionsError, Rule, RuleError, TopicOptions};
pub use crate::policy::{Policy, PolicyError};
pub use crate::proxy::forwarded::{ForwardedHeader, ForwardedHeaderError};
pub use crate::publish::{PublishError, Published};
pub use crate::resume::{StartAt, StartAtError};
pub use crate::stream_options::StreamOptions;
pub use crate::subscribe::SubscribeError;
pub use crate::topic::{Topic, TopicError};

/// The examples of the README and of the documents compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/adopt.md")]
    struct Adopt;
    #[doc = include_str!("../docs/authorization.md")]
    struct Authorization;
    #[doc = include_str!("../docs/cluster.md")]
    struct Clusters;
    #[doc = include_str!("../docs/drivers.md")]
    struct Drivers;
    #[doc = include_str!("../docs/durability.md")]
    struct Durable;
    #[doc = include_str!("../docs/pull.md")]
    struct Pull;
    #[doc = include_str!("../docs/routes.md")]
    struct Routes;
    #[doc = include_str!("../docs/streams.md")]
    struct Streams;
    #[cfg(feature = "tickets")]
    #[doc = include_str!("../docs/tickets.md")]
    struct Tickets;
}
