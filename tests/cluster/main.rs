//! Hubs and programs that are the nodes of a cluster, with a real Redis server that is stopped, killed, cut off and
//! restarted.

#![allow(unreachable_pub, reason = "the modules of a test are reached from it alone")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod counting;
mod failover;
mod follower;
mod hopping;
mod losses;
mod outages;
mod program;
mod proxy;
mod recalls;
mod server;
mod sharing;
