//! The file of a Unix domain socket: bound with its permissions, in place of one that a dead server
//! has left, and removed at the end. The program has this file as a module too.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

/// How many connections may wait to be accepted; the system has a bound of its own.
const BACKLOG: i32 = 4096;

/// A socket's file, removed with this, unless another server has its own at the path by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The identity of the file.
    id: (u64, u64),
    is_removed: AtomicBool,
}

impl SocketFile {
    /// Binds a socket to a path and listens. The file has exactly these permission bits before the
    /// first client can connect.
    ///
    /// # Errors
    ///
    /// When another server listens there, there is a file that is no socket, or the path cannot be
    /// bound.
    pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
        let addr = SocketAddrUnix::new(path)?;
        let socket = stream_socket()?;
        match net::bind(&socket, &addr) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, &addr)?;
                net::bind(&socket, &addr)?;
            }
            bound => bound?,
        }
        let file = std::fs::symlink_metadata(path)?;
        let id = (file.dev(), file.ino());
        let is_removed = AtomicBool::new(false);
        // From here on an error removes the file.
        let file = SocketFile { path: path.to_owned(), id, is_removed };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        // Until now nobody could connect.
        net::listen(&socket, BACKLOG)?;
        Ok((socket.into(), file))
    }

    /// Removes the file, the first time that it is called.
    pub(crate) fn remove(&self) {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let file = std::fs::symlink_metadata(&self.path);
        if file.is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Removes a socket's file that no server listens at any more.
fn remove_stale(path: &Path, addr: &SocketAddrUnix) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => {
            let why = "there is a file of this name that is no socket";
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        }
        // It is gone meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let is_live = || io::Error::new(ErrorKind::AddrInUse, "another server listens there");
    match net::connect(&stream_socket()?, addr) {
        Err(Errno::CONNREFUSED) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(Errno::NOENT) => Ok(()),
        // With `AGAIN` as many wait there as may.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(is_live()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    fn path_of(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("fanfare-{test}-{}.sock", std::process::id()))
    }

    #[test]
    fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
        let path = path_of("stale");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = SocketFile::listen(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("another server listens there"), "{error}");
        drop((listener, file));
        assert!(!path.exists());
        let (_listener, _file) = SocketFile::listen(&path, 0o666).unwrap();
        assert_eq!(mode(&path), 0o666);
    }

    #[test]
    fn a_server_whose_queue_is_full_is_live() {
        let path = path_of("full");
        let (listener, _file) = SocketFile::listen(&path, 0o600).unwrap();
        net::listen(&listener, 0).unwrap();
        let addr = SocketAddrUnix::new(&path).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = stream_socket().unwrap();
            match net::connect(&client, &addr) {
                Ok(()) => waiting.push(client),
                Err(error) => break assert_eq!(error, Errno::AGAIN),
            }
            assert!(waiting.len() < 1_000, "the queue does not become full");
        }
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = path_of("text");
        std::fs::write(&path, "something of a user's").unwrap();
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "something of a user's");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_later_server_is_not_removed() {
        let path = path_of("later");
        let (listener, file) = SocketFile::listen(&path, 0o600).unwrap();
        // As an administrator may, while the server runs.
        let kept = path.with_extension("kept");
        std::fs::rename(&path, &kept).unwrap();
        let (_other_listener, other) = SocketFile::listen(&path, 0o600).unwrap();
        drop((listener, file));
        assert!(path.exists());
        other.remove();
        assert!(!path.exists());
        // And once it is removed, the path is another's, whatever identity its file has.
        std::fs::rename(&kept, &path).unwrap();
        drop(other);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
    }
}
