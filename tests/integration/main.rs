//! The library over real sockets: one crate with a module for each subject, so that all share one
//! compiled `support`. Its tests run side by side as threads of one process, so none of them
//! changes what belongs to the process: limits, environment, signals, the logger.
//!
//! Crates of their own are:
//!
//! - `loom`, a package of its own, which compiles some of the library's files with loom's types
//!   instead of the standard library's, and all of it with `--cfg loom`;
//! - `header.rs`, which needs the feature `capi`;
//! - `program`, which needs the feature `cli`: it runs the built program;
//! - `network.rs`, which needs root and iproute2: it cuts networks in namespaces;
//! - `scale_drain.rs`, `scale_finish.rs` and `scale_adopt.rs`, which need a release build, the
//!   cores for themselves, and a higher limit of descriptors for their process.

#[path = "../support/mod.rs"]
mod support;

mod adopt;
mod asked_at;
mod authorization;
mod cors;
mod disconnects;
mod drain;
mod dropped;
mod durable;
mod encoder;
mod envelopes;
mod expiry;
mod finish;
mod grants;
mod health;
mod heartbeats;
mod http;
mod interest;
mod lifecycle;
mod listeners;
mod policies;
mod proxies;
mod resubscribe;
mod resume;
mod routes;
mod rules;
mod several_topics;
mod spread;
mod starts;
mod stream;
mod subscribe;
#[cfg(feature = "tickets")]
mod tickets;
mod wildcards;
