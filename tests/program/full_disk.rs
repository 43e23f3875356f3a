//! A server with a folder on a disk that becomes full. The disk is a file system in memory, in a mount namespace of
//! its own. Making that needs root, so this is run on demand, by `make test` or with
//! `cargo test --all-features --test program -- --ignored`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::{exchange, get, post, publish};
use crate::process::{fanfare, Running, Server};
use crate::support::{wait_until, Client};

/// Longer than the journal lets publishers wait for a disk that does not work.
const PATIENCE: &str = "Prefer: wait=25\r\n";

/// A small disk, at a folder that is another one outside of the namespace.
struct Disk {
    /// Its process holds the namespace.
    holder: Running,
    folder: PathBuf,
}

impl Disk {
    fn new() -> Disk {
        let folder = std::env::temp_dir().join(format!("fanfare-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let script = "mount -t tmpfs -o size=4m none \"$0\" && echo mounted && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
        command.arg(&folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut holder = Running::of(&mut command);
        let mut line = String::new();
        BufReader::new(holder.stdout()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "this needs root");
        Disk { holder, folder }
    }

    /// A path on the disk, as processes outside of the namespace find it.
    fn outside(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id().as_raw_nonzero()));
        root.join(self.folder.strip_prefix("/").unwrap()).join(name)
    }

    /// A server whose folder is on the disk.
    fn serve(&self) -> Server {
        let data = self.folder.join("data");
        let server = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().as_raw_nonzero().to_string(), "--"]);
        command.arg(server.get_program()).args(server.get_args()).arg("--data-dir").arg(data);
        command.args(["--journal-backlog", "64KiB", "--history-bytes-max", "1MiB"]);
        server.get_envs().for_each(|(name, _)| _ = command.env_remove(name));
        Server::of(command.stdin(Stdio::null()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = std::fs::remove_dir(&self.folder);
    }
}

/// Writes a file until the disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
}

fn publish_patiently(control: SocketAddr, data: &str) -> (u16, String) {
    let answer = exchange(control, &post(control, "?topic=news", PATIENCE, data));
    (answer.status, answer.body)
}

#[test]
#[ignore = "making a mount namespace needs root"]
fn what_is_published_while_the_disk_is_full_is_delivered_and_is_there_when_the_disk_has_space_again(
) {
    let disk = Disk::new();
    let mut server = disk.serve();
    let control = server.control;
    assert!(!publish(control, "?topic=news", "one").body.contains("durable"));
    let mut client = Client::get(server.addr, "/events?topic=news&start=earliest");
    assert_eq!(client.data(), "one");

    fill(&disk.outside("filler"));
    // More than a page, which the open segment may still have.
    let two = format!("two{}", "x".repeat(8 << 10));
    let answer = exchange(control, &post(control, "?topic=news", "Prefer: wait=1\r\n", &two));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(r#""durable":false"#), "{}", answer.body);
    assert_eq!(client.data(), two, "clients do not wait for the disk");
    assert_eq!(get(control, "/healthz").status, 503);
    assert!(get(control, "/metrics").body.contains("\nfanfare_journal_failing 1\n"));

    // The queue takes some more, and then publishers wait; they are told when that has lasted too long.
    let mut accepted = vec!["one".to_owned(), two.clone()];
    let begun = Instant::now();
    let (status, body) = loop {
        let data = format!("{}{}", accepted.len(), "y".repeat(8 << 10));
        let answer = exchange(control, &post(control, "?topic=news", "Prefer: wait=0\r\n", &data));
        match answer.status {
            200 => accepted.push(data),
            _ if begun.elapsed() > Duration::from_secs(60) => panic!("{answer:?}"),
            _ => break publish_patiently(control, "while it is full"),
        }
    };
    assert_eq!(status, 503, "{body}");
    assert!(body.contains(r#""code":"unwritable""#), "{body}");
    assert!(accepted.len() > 3 && accepted.len() < 64, "{}", accepted.len());
    for data in &accepted[2..] {
        assert_eq!(client.data(), *data);
    }

    std::fs::remove_file(disk.outside("filler")).unwrap();
    wait_until("it is well again", || get(control, "/healthz").status == 200);
    assert!(get(control, "/metrics").body.contains("\nfanfare_journal_failing 0\n"));
    let last = publish(control, "?topic=news", "last");
    assert!(last.status == 200 && !last.body.contains("durable"), "{}", last.body);
    accepted.push("last".to_owned());

    server.process.kill();
    drop(server);
    let server = disk.serve();
    let mut client = Client::get(server.addr, "/events?topic=news&start=earliest");
    for data in &accepted {
        assert_eq!(client.data(), *data);
    }
}
