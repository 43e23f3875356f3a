//! Clients that hop between nodes.
