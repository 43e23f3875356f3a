//! Why a folder cannot be used. Each error says what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the journal in [`Options::data_dir`](crate::Options) cannot be opened, read or begun.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, JournalError, Options, StartError};
///
/// let folder = std::env::temp_dir().join(format!("fanfare-error-{}", std::process::id()));
/// let first = Hub::start(Options::default().data_dir(&folder))?;
/// match Hub::start(Options::default().data_dir(&folder)) {
///     Err(StartError::Journal(error @ JournalError::InUse { .. })) => println!("{error}"),
///     other => panic!("{other:?}"),
/// }
/// # first.close();
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process, or another hub of this one, has the folder.
    #[non_exhaustive]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process that has it, if it is known.
        process: Option<u32>,
    },
    /// A file was written by a newer version of this program.
    #[non_exhaustive]
    Format {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
        /// The newest that this version knows.
        version_max: u32,
    },
    /// The system refused something.
    #[non_exhaustive]
    Io {
        /// What was tried, as in "cannot open".
        what: &'static str,
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what was written: something that was kept is missing.
    #[non_exhaustive]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The offset of the first byte that is wrong.
        at: u64,
        /// What is wrong there.
        what: String,
    },
}

impl JournalError {
    /// For `map_err`: an error of the system's, with what was tried.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_owned();
        move |source| JournalError::Io { what, path, source }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::InUse { folder, process } => {
                write!(f, "{} is used by ", folder.display())?;
                match process {
                    Some(process) => write!(f, "process {process}")?,
                    None => f.write_str("another hub")?,
                }
                f.write_str("; end that one, or give this hub a folder of its own")
            }
            JournalError::Format { path, version, version_max } => write!(
                f,
                "{} has format {version}, and this version of fanfare knows formats up to \
                 {version_max}; use the version that wrote it, or another folder",
                path.display()
            ),
            JournalError::Io { what, path, source } => {
                write!(f, "{what} {}: {source}", path.display())?;
                match source.kind() {
                    ErrorKind::ReadOnlyFilesystem => {
                        f.write_str("; give a folder on a file system that can be written")
                    }
                    ErrorKind::PermissionDenied => {
                        f.write_str("; let this process's user read and write it")
                    }
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                        f.write_str("; make space there")
                    }
                    ErrorKind::NotFound => f.write_str("; make the folder that it is to be in"),
                    ErrorKind::NotADirectory => f.write_str("; give the path of a folder"),
                    _ => Ok(()),
                }
            }
            JournalError::Damaged { path, at, what } => write!(
                f,
                "{} is damaged at byte {at}: {what}; bring the folder back from a backup, or give \
                 an empty one and begin without what was kept",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JournalError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
