//! Forks: the child has the parent's memory and descriptors, and none of its threads.
//!
//! A socket that a child has as well stays open when the parent closes it, so that its peer would
//! never know. So once the process has forked, sockets are shut down before they are closed. Only
//! `fork` is seen here, not `_Fork` nor the system call itself. A child that executes another
//! program has the sockets no longer, as they are closed then.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::OnceLock;

use socket2::SockRef;

/// Whether a child of this process may have its sockets.
static HAS_FORKED: AtomicBool = AtomicBool::new(false);
/// Sockets that are being closed at this moment.
static CLOSING: AtomicU32 = AtomicU32::new(0);
/// How often this process came out of a fork as the child.
pub(crate) static FORKS: AtomicU32 = AtomicU32::new(0);

/// How often a fork gives way to threads that are closing a socket. One that does not go on may be
/// the forking thread itself, in a signal's handler.
const YIELDS_MAX: usize = 200;

/// Has forks noticed from now on.
///
/// # Errors
///
/// When the system is out of memory.
pub(crate) fn watch() -> io::Result<()> {
    static WATCHED: OnceLock<libc::c_int> = OnceLock::new();
    // SAFETY: the handlers only use atomics and give way, which may be done around a fork.
    let watch = || unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) };
    match *WATCHED.get_or_init(watch) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// A socket that is closed after this is shut down first, and what is closed without is closed
/// before the child gets it.
extern "C" fn before_fork() {
    HAS_FORKED.store(true, Ordering::SeqCst);
    for _ in 0..YIELDS_MAX {
        if CLOSING.load(Ordering::SeqCst) == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// The child has sockets of its own alone that it may close.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    HAS_FORKED.store(false, Ordering::SeqCst);
    CLOSING.store(0, Ordering::SeqCst);
}

/// Closes a socket, so that its peer knows. Only in a process that has forked, or for a socket that
/// may have duplicates in it, does that take a system call more.
pub(super) fn close(socket: OwnedFd, has_duplicates: bool) {
    CLOSING.fetch_add(1, Ordering::SeqCst);
    if has_duplicates || HAS_FORKED.load(Ordering::SeqCst) {
        // An error means that the peer is gone already.
        let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
    }
    drop(socket);
    CLOSING.fetch_sub(1, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;
    use std::time::Duration;

    use crate::{AdoptRequest, ConnectionSelector, Hub, Options, Subscription};

    /// Has the test's process fork, which is one for that alone: a child has the sockets of all
    /// tests that run beside.
    const FORKS: &str = "FANFARE_TEST_FORKS";
    const TEST: &str = "a_client_of_an_adopted_socket_sees_the_end_while_a_child_has_it_too";
    const TIME_MAX: Duration = Duration::from_secs(20);

    /// A child that does nothing until it is killed, or some minutes have passed.
    struct Child(libc::pid_t);

    impl Child {
        /// Runs in the child, which may do nothing but calls that are safe in a signal's handler.
        fn of(pid: libc::pid_t) -> Child {
            assert!(pid >= 0, "{}", std::io::Error::last_os_error());
            if pid > 0 {
                return Child(pid);
            }
            loop {
                // SAFETY: both take no pointer.
                unsafe {
                    libc::alarm(300);
                    libc::pause();
                }
            }
        }
    }

    impl Drop for Child {
        fn drop(&mut self) {
            // SAFETY: the child is this process's, and nobody has waited for it; no status is
            // wanted.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, std::ptr::null_mut(), 0);
            }
        }
    }

    fn fork() -> Child {
        // SAFETY: the child makes calls alone that are safe behind a fork of many threads.
        Child::of(unsafe { libc::fork() })
    }

    /// A fork by the system call itself, of which no handler is told.
    #[cfg(target_os = "linux")]
    fn bare_fork() -> Child {
        // SAFETY: as above; without flags and a stack of its own it is what `fork` does.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        Child::of(pid as libc::pid_t)
    }

    /// Has a stream end whose socket a child has as well.
    fn ends_with(fork: fn() -> Child) {
        const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(TIME_MAX)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(GET).unwrap();
        server.read_exact(&mut [0; GET.len()]).unwrap();
        let _child = fork();
        let wanted = [Subscription::new("a").unwrap()];
        hub.adopt(server, AdoptRequest::new(wanted)).unwrap();
        let mut received = vec![0; 12];
        client.read_exact(&mut received).unwrap();
        assert_eq!(received, b"HTTP/1.1 200");
        hub.disconnect(&ConnectionSelector::All, Duration::ZERO).unwrap();
        client.read_to_end(&mut received).expect("the end of the connection");
        assert!(received.ends_with(b"\r\n0\r\n\r\n"), "the end of the stream");
    }

    #[test]
    fn a_client_of_an_adopted_socket_sees_the_end_while_a_child_has_it_too() {
        if std::env::var_os(FORKS).is_some() {
            // Before a fork is known of.
            #[cfg(target_os = "linux")]
            ends_with(bare_fork);
            return ends_with(fork);
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = format!("sys::fork::tests::{TEST}");
        let output = command.args(["--exact", &name]).env(FORKS, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
