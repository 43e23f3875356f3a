//! Why a request for a stream gets none.

use std::borrow::Cow;

use crate::http::response;

/// A refusal of a request for a stream, to which the CORS fields are added.
pub(super) struct Refusal {
    pub(super) status: Cow<'static, str>,
    pub(super) fields: Cow<'static, str>,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: &'static str, text: impl ToString) -> Refusal {
        Refusal { status: status.into(), fields: "".into(), text: text.to_string() }
    }

    pub(super) fn bad_request(error: impl ToString) -> Refusal {
        Refusal::new("400 Bad Request", error)
    }

    /// That the server cannot serve a stream now.
    pub(super) fn unavailable(text: &str) -> Refusal {
        let fields = "Retry-After: 5\r\n".into();
        Refusal { fields, ..Refusal::new("503 Service Unavailable", text) }
    }

    /// The names of its header fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.lines().filter_map(|line| Some(line.split_once(':')?.0))
    }

    /// The answer, with the lines of CORS. A 204 has no content.
    pub(super) fn answer(&self, cors: &str) -> Vec<u8> {
        let fields = format!("{cors}{}", self.fields);
        match self.status.starts_with("204") {
            true => response::nothing_to_come(&fields),
            false => response::refusal(&self.status, &fields, &self.text),
        }
    }
}
