//! Prometheus' text format, version 0.0.4. The program has this file as a module too.

use std::fmt::{self, Display, Write};

/// A text in that format, as it grows.
pub(crate) struct Exposition<'a>(&'a mut dyn Write);

impl<'a> Exposition<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Exposition<'a> {
        Exposition(out)
    }

    /// A family of one sample.
    pub(crate) fn one(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Display,
    ) -> fmt::Result {
        self.family(name, kind, help)?;
        self.sample(name, value)
    }

    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    /// A sample of the family that was begun last, by its name and labels.
    pub(crate) fn sample(&mut self, name: &str, value: impl Display) -> fmt::Result {
        writeln!(self.0, "{name} {value}")
    }
}
