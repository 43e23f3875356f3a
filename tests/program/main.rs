//! The program `fanfare`, as people use it: the built binary, over real sockets, pipes and
//! signals.

#![cfg(feature = "cli")]
#![allow(unreachable_pub, reason = "the modules of a test are reached from it alone")]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod command_line;
mod connections;
mod control;
mod control_bounds;
mod demo_cluster;
mod durable;
mod ending;
mod entrances;
mod exhausted;
mod finishing;
#[cfg(target_os = "linux")]
mod full_disk;
mod half_close;
mod heads;
mod http;
mod lines;
mod listening;
mod logging;
mod memory;
mod metrics;
mod process;
mod publishing;
mod routes;
mod rules;
mod takeover;
mod tickets;
