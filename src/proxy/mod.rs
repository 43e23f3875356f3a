//! What proxies say of their clients, without sockets: the header of the PROXY protocol, and header
//! fields of requests; and whom of them is believed.

pub(crate) mod forwarded;
pub(crate) mod header;
pub(crate) mod networks;
