//! The part of the library's module `sys` that the journal uses.

// An older Rust compiles the library, and lacks what is proposed.
#![allow(clippy::manual_is_multiple_of)]

#[path = "../../../src/sys/page.rs"]
mod page;

pub(crate) use page::MappedNumber;
