//! In which codings a request's content comes.

use hyper::header::{HeaderMap, HeaderName, CONTENT_ENCODING, TRANSFER_ENCODING};
use hyper::StatusCode;

use super::answer::Refusal;

/// Refuses content that would be published as the bytes of some compressed form.
pub(super) fn check_content_coding(fields: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = codings(fields, &CONTENT_ENCODING);
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Err(Refusal::content_coding(coding)),
        None => Ok(()),
    }
}

/// Refuses transfer codings beside chunked, which hyper undoes, and which has to be the last
/// (RFC 9112, section 6.1).
pub(super) fn check_transfer_coding(fields: &HeaderMap) -> Result<(), Refusal> {
    let (mut chunked, mut others) = codings(fields, &TRANSFER_ENCODING)
        .partition::<Vec<_>, _>(|coding| coding.eq_ignore_ascii_case("chunked"));
    match (chunked.pop(), chunked.pop(), others.pop()) {
        (_, _, Some(coding)) => {
            let error =
                format!("only chunked is undone here of the transfer codings, not {coding}");
            Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, error))
        }
        (_, Some(_), None) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "the content is chunked more than once"))
        }
        (_, None, None) => Ok(()),
    }
}

/// The codings that fields of a name list. What is not text is an unknown coding.
fn codings<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = fields.get_all(name).into_iter();
    let listed = values.flat_map(|value| value.to_str().unwrap_or("unknown").split(','));
    listed.map(str::trim).filter(|coding| !coding.is_empty())
}
