//! A TCP proxy between nodes and their server that cuts connections in the ways that networks do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::Arc;
use std::time::Duration;

const PASS: u8 = 0;
const HOLD: u8 = 1;
const LOSE_ANSWERS: u8 = 2;

/// How often a connection looks whether it is to be cut.
const LOOK: Duration = Duration::from_millis(5);

pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mode: AtomicU8,
    /// Connections of an earlier generation are closed.
    generation: AtomicU64,
    ends: AtomicBool,
    /// Answers that did not pass.
    lost_answers: AtomicU64,
}

impl Proxy {
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(PASS),
            generation: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            lost_answers: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                if accepting.ends.load(Ordering::SeqCst) {
                    return;
                }
                let far = TcpStream::connect(("127.0.0.1", port));
                if let (Ok(near), Ok(far)) = (near, far) {
                    accepting.join(near, far);
                }
            }
        });
        Proxy { addr, shared }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Nothing passes, and nothing is closed.
    pub fn hold(&self) {
        self.shared.mode.store(HOLD, Ordering::SeqCst);
    }

    /// What the nodes say reaches the server; instead of an answer they get the end of the connection.
    pub fn lose_answers(&self) {
        self.shared.mode.store(LOSE_ANSWERS, Ordering::SeqCst);
    }

    pub fn pass(&self) {
        self.shared.mode.store(PASS, Ordering::SeqCst);
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub fn lost_answers(&self) -> u64 {
        self.shared.lost_answers.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        self.cut();
        _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn join(self: &Arc<Shared>, near: TcpStream, far: TcpStream) {
        let generation = self.generation.load(Ordering::SeqCst);
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(LOOK)).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        let ways =
            [(near.try_clone().unwrap(), far.try_clone().unwrap(), false), (far, near, true)];
        for (from, to, has_answers) in ways {
            let shared = self.clone();
            std::thread::spawn(move || {
                shared.pass_on(&from, &to, has_answers, generation);
                _ = from.shutdown(Shutdown::Both);
                _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    fn pass_on(
        &self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        has_answers: bool,
        generation: u64,
    ) {
        let mut bytes = vec![0; 64 << 10];
        while self.generation.load(Ordering::SeqCst) == generation {
            if self.mode.load(Ordering::SeqCst) == HOLD {
                std::thread::sleep(LOOK);
                continue;
            }
            let count = match from.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    continue;
                }
                Err(_) => return,
            };
            // What came while nothing is to pass waits.
            while self.mode.load(Ordering::SeqCst) == HOLD
                && self.generation.load(Ordering::SeqCst) == generation
            {
                std::thread::sleep(LOOK);
            }
            if has_answers && self.mode.load(Ordering::SeqCst) == LOSE_ANSWERS {
                self.lost_answers.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if to.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
    }
}
