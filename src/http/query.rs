//! The query of a request's target.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The fields of a query, as a browser's `URLSearchParams` writes them: percent-encoded UTF-8,
/// `+` for a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A query is not UTF-8 when its percent-encoding is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryError;

impl<'a> Query<'a> {
    /// Takes a query apart, without its `?`.
    ///
    /// # Errors
    ///
    /// When a name or value is not UTF-8.
    pub(crate) fn parse(query: &'a str) -> Result<Query<'a>, QueryError> {
        let fields = query.split('&').filter(|field| !field.is_empty()).map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Query { fields: fields.collect::<Result<_, _>>()? })
    }

    /// All fields, in their order.
    #[allow(dead_code, reason = "the program has this file as a module too")]
    pub(crate) fn fields(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.fields
    }

    /// The first field of a name.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The value of the last field that has one of these names, and is not empty: what a client
    /// adds to an address that it was given.
    #[allow(dead_code, reason = "the program has this file as a module too")]
    pub(crate) fn last_of(&self, names: [&str; 2]) -> Option<&str> {
        let mut fields = self.fields.iter().rev();
        let found = fields.find(|(name, value)| names.contains(&&**name) && !value.is_empty());
        found.map(|(_, value)| &**value)
    }

    /// All fields of a name, in their order.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> + 'q {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| &**value)
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    if !text.contains('+') {
        return percent_decode(text.as_bytes()).decode_utf8().map_err(|_| QueryError);
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode(text.as_bytes()).decode_utf8().map_err(|_| QueryError)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the query is not percent-encoded UTF-8; encode it as such")
    }
}

impl std::error::Error for QueryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_strictly() {
        let query = Query::parse("a=1&&b&a=%3D%26%2B+&c=x=y").unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "=&+ "]);
        assert_eq!(query.first("b"), Some(""));
        assert_eq!(query.first("c"), Some("x=y"));
        assert_eq!(Query::parse("a=%FF"), Err(QueryError));
        assert_eq!(query.last_of(["a", "c"]), Some("x=y"));
        assert_eq!(query.last_of(["b", "a"]), Some("=&+ "));
        assert_eq!(query.last_of(["b", "d"]), None);
        assert_eq!(Query::parse("+%C3=1"), Err(QueryError));
    }
}
