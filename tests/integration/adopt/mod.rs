//! Connections that a host's own server has accepted, and hands over.

mod example;
mod limits;
mod refusals;
mod sockets;
mod streams;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use fanfare::{AdoptError, AdoptRequest, Hub, Subscription, Topic};

use crate::support::{Client, DEADLINE};

const GET: &[u8] = b"GET /mine HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// A request for one topic or filter.
fn wants(name: &str) -> AdoptRequest {
    AdoptRequest::new([Subscription::new(name).unwrap()])
}

/// A client's socket, and the one that a server has accepted for it.
fn connected() -> (TcpStream, TcpStream) {
    connected_at("127.0.0.1:0")
}

fn connected_at(addr: &str) -> (TcpStream, TcpStream) {
    let server = TcpListener::bind(addr).unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    (client, server.accept().unwrap().0)
}

/// Sends a request, which the server reads.
fn ask(mut client: impl Write, mut server: impl Read, request: &[u8]) {
    client.write_all(request).unwrap();
    server.read_exact(&mut vec![0; request.len()]).unwrap();
}

/// A client that has sent its request, and the socket of the server that has read it.
fn asked() -> (TcpStream, TcpStream) {
    let (client, server) = connected();
    ask(&client, &server, GET);
    (client, server)
}

/// A client whose connection the hub has adopted.
fn adopted(hub: &Hub, request: AdoptRequest) -> Client {
    let (client, server) = asked();
    hub.adopt(server, request).unwrap();
    Client::of(client)
}

/// Why a socket is not adopted.
fn refused(hub: &Hub, socket: impl Into<OwnedFd>, request: AdoptRequest) -> AdoptError {
    let error = hub.adopt(socket, request).expect_err("it cannot be adopted");
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    error
}
