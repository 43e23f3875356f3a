//! The server when the system gives it no more descriptors.

use std::process::Command;

use crate::process::{fanfare, Server};
use crate::support::{wait_until, Client};

#[test]
fn out_of_descriptors_the_server_goes_on_and_accepts_again_when_some_have_gone() {
    let program = fanfare(&[]);
    let mut command = Command::new("sh");
    let script = "ulimit -n 60; exec \"$0\" serve --listen 127.0.0.1:0 --shards 2 --log warn";
    command.args(["-c".as_ref(), script.as_ref(), program.get_program()]);
    let server = Server::of(&mut command);
    let mut clients: Vec<Client> =
        (0..30).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    // These are more than there are descriptors for: their handshakes are done by the kernel, but
    // the server cannot accept all of them.
    let waiting: Vec<_> =
        (0..60).map(|_| std::net::TcpStream::connect(server.addr).expect("it listens")).collect();
    for client in &clients[..20] {
        client.socket().shutdown(std::net::Shutdown::Both).expect("it is open");
    }
    drop(waiting);
    let mut late = Client::get(server.addr, "/events?topic=a");
    wait_until("those who left are gone", || server.metric("fanfare_connections") == 11.0);
    let answer = Command::new("curl")
        .args(["-sf", "-d", "still here", &format!("{}/publish?topic=a", server.url())])
        .output()
        .expect("curl runs");
    assert!(answer.status.success(), "{answer:?}");
    clients.drain(..20);
    for client in clients.iter_mut().chain([&mut late]) {
        assert_eq!(client.data(), "still here");
    }
}
