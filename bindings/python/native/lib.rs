//! The library of fanfare's Python package: it has the functions of the C ABI, which the crate
//! `fanfare` exports, and none of its own.

extern crate fanfare as _;
