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

/// The text of an error, with that of each of its causes.
pub(in crate::program) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use fanfare::StartError;

    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        let cause = "Too many open files";
        let error = StartError::System(io::Error::other(cause));
        let text = with_causes(&error);
        assert_eq!(text, format!("{error}: {cause}"));
        assert!(!error.to_string().contains(cause));

        let error = fanfare::Options::default().shards(0).check().unwrap_err();
        let text = error.to_string();
        assert_eq!(with_causes(&StartError::Options(error)), text);
    }
}
