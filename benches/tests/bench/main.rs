//! The program `fanfare-bench` with real processes and real sockets.

mod client;
mod peers;
mod scenarios;
mod sinks;
mod support;
