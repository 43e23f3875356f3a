//! HTTP/1.1 and 1.0 (RFC 9110, RFC 9112) as far as an event stream needs it: the head of a
//! request, its path, query and content, the head of its response, and the rules of CORS.

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod field;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod template;
