//! How subcommands end.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How a subcommand ends.
pub(in crate::program) type Outcome = Result<ExitCode, Box<dyn Error>>;

/// The command line or the environment asks for something that cannot be: exit code 2.
#[derive(Debug)]
pub(in crate::program) struct Usage(pub(in crate::program) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}
