//! Opening many connections to one server: addresses, sockets, the request.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    bind, connect, send, socket_with, sockopt, AddressFamily, SendFlags, SocketFlags, SocketType,
};

use crate::Error;

/// How many loopback addresses connections come from, in turn. Each has some 28,000 ephemeral
/// ports, and a port stays taken for a minute after its connection was closed. An IPv6 server has
/// only one loopback address to be reached from, and so 28,000 connections.
const SOURCES: usize = 200;

/// Where to connect to, and what to ask for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    address: SocketAddr,
    path: String,
    request: Vec<u8>,
    opened: usize,
    receive_buffer_bytes: Option<usize>,
}

impl Target {
    /// An event stream of a server on this machine.
    ///
    /// # Errors
    ///
    /// When the address is not a loopback address: load is sent nowhere else.
    pub(crate) fn new(address: SocketAddr, path: &str) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let message = format!("{address} is not a loopback address");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Cache-Control: no-cache\r\n\r\n"
        );
        Ok(Self {
            address,
            path: path.to_owned(),
            request: request.into_bytes(),
            opened: 0,
            receive_buffer_bytes: None,
        })
    }

    /// The target of a URL, see [`parse_url`](Self::parse_url).
    ///
    /// # Errors
    ///
    /// When it is not `http://`, and a loopback address and port.
    pub(crate) fn from_url(url: &str) -> Result<Self, Error> {
        let (address, path) = Self::parse_url(url)?;
        Ok(Self::new(address, &path)?)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    /// How many connections were opened, as far as the source addresses go.
    pub(crate) fn opened(&self) -> usize {
        self.opened
    }

    /// Goes on with the source addresses as if `opened` connections had been opened.
    pub(crate) fn set_opened(&mut self, opened: usize) {
        self.opened = opened;
    }

    /// Asks for what `other` asks for, and goes on with the addresses where this one is.
    pub(crate) fn asking_like(self, other: &Self) -> Self {
        Self { path: other.path.clone(), request: other.request.clone(), ..self }
    }

    /// The same stream with one more field in its query.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub(crate) fn with_field(self, field: &str) -> io::Result<Self> {
        let joint = if self.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{joint}{field}", self.path);
        Ok(Self { opened: self.opened, ..Self::new(self.address, &path)? })
    }

    /// The same for a client that had everything up to the event with this id.
    pub(crate) fn after(&self, id: &str) -> Self {
        let mut request = self.request.clone();
        request.truncate(request.len() - b"\r\n".len());
        request.extend_from_slice(format!("Last-Event-ID: {id}\r\n\r\n").as_bytes());
        Self { path: self.path.clone(), request, ..*self }
    }

    /// The same with a receive buffer of `bytes` bytes, which the kernel doubles.
    pub(crate) fn with_receive_buffer(self, bytes: usize) -> Self {
        Self { receive_buffer_bytes: Some(bytes), ..self }
    }

    /// Splits `http://ADDRESS:PORT/PATH`; `localhost` is 127.0.0.1.
    pub(crate) fn parse_url(url: &str) -> Result<(SocketAddr, String), String> {
        let rest = url.strip_prefix("http://").ok_or("only http:// URLs are supported")?;
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        let authority = match authority.strip_prefix("localhost") {
            Some(port) => format!("127.0.0.1{port}"),
            None => authority.to_owned(),
        };
        let address = authority
            .parse()
            .map_err(|_| format!("{authority:?} is not an IP address and a port"))?;
        Ok((address, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    }

    /// Opens the next connection, sends the request if that is possible at once, and registers
    /// the socket, edge-triggered, under `key`. True if the request is still to be sent: when
    /// the socket turns writable.
    pub(crate) fn open(&mut self, epoll: impl AsFd, key: u64) -> io::Result<(OwnedFd, bool)> {
        let family = match self.address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        if self.address.is_ipv4() {
            // 127.0.0.2 and so on; the server's own 127.0.0.1 is left alone.
            let last = 2 + (self.opened % SOURCES) as u8;
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            bind(&socket, &SocketAddr::new(source, 0))?;
        }
        self.opened += 1;
        if let Some(bytes) = self.receive_buffer_bytes {
            // Before the connection is made, when the peer is told how much it may send.
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        match connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        // On loopback the connection is usually made by now.
        let is_waiting = !self.request(&socket)?;
        let mut interest = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        interest.set(epoll::EventFlags::OUT, is_waiting);
        epoll::add(epoll, &socket, epoll::EventData::new_u64(key), interest)?;
        Ok((socket, is_waiting))
    }

    /// Sends the request; false if the connection is not made yet.
    pub(crate) fn request(&self, socket: &OwnedFd) -> io::Result<bool> {
        match send(socket, &self.request, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == self.request.len() => Ok(true),
            // A new socket takes a request of a hundred bytes.
            Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "request sent in part")),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_into_address_and_path() {
        let parsed = Target::parse_url("http://localhost:80/a?b=c").unwrap();
        assert_eq!(parsed, ("127.0.0.1:80".parse().unwrap(), "/a?b=c".to_owned()));
        let parsed = Target::parse_url("http://[::1]:8080").unwrap();
        assert_eq!(parsed, ("[::1]:8080".parse().unwrap(), "/".to_owned()));
        for wrong in ["https://localhost:1/", "http://example.org/", "localhost:80"] {
            assert!(Target::parse_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_is_its_url() {
        let target = Target::from_url("http://localhost:80/a?b=c").unwrap();
        assert_eq!(Target::from_url(&target.url()).unwrap(), target);
        assert_eq!(target.url(), "http://127.0.0.1:80/a?b=c");
    }

    #[test]
    fn a_client_that_comes_back_says_what_it_had() {
        let target = Target::from_url("http://127.0.0.1:80/").unwrap();
        let request = String::from_utf8(target.after("a-7").request).unwrap();
        assert!(request.ends_with("\r\nLast-Event-ID: a-7\r\n\r\n"), "{request}");
        assert_eq!(request.matches("\r\n\r\n").count(), 1);
    }

    #[test]
    fn connections_come_from_many_addresses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = Target::new(listener.local_addr().unwrap(), "/").unwrap();
        target.set_opened(SOURCES - 2);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let sources = [0, 1, 2].map(|key| {
            let _open = target.open(&epoll, key).unwrap();
            listener.accept().unwrap().1.ip().to_string()
        });
        assert_eq!(sources, ["127.0.0.200", "127.0.0.201", "127.0.0.2"]);
    }

    #[test]
    fn load_is_sent_to_loopback_addresses_only() {
        for wrong in ["192.168.0.1:80", "10.0.0.1:80", "8.8.8.8:80", "0.0.0.0:80"] {
            assert!(Target::new(wrong.parse().unwrap(), "/").is_err(), "{wrong}");
        }
        assert!(Target::new("127.3.2.1:80".parse().unwrap(), "/").is_ok());
        assert!(Target::new("[::1]:80".parse().unwrap(), "/").is_ok());
    }
}
