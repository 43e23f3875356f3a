//! Why a request for a stream gets none.

/// A refusal of a request for a stream, to which the CORS fields are added.
pub(super) struct Refusal {
    pub(super) status: &'static str,
    pub(super) fields: &'static str,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: &'static str, text: impl ToString) -> Refusal {
        Refusal { status, fields: "", text: text.to_string() }
    }

    pub(super) fn bad_request(error: impl ToString) -> Refusal {
        Refusal::new("400 Bad Request", error)
    }
}
