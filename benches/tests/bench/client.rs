//! The load client: connections in several processes and to several servers, and what it shows of
//! a run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use serde_json::Value;

use crate::support::{
    bench, checkout, errors, fails_with, report, wait_until, Folder, PLAIN, PROGRAM,
};

/// A server that answers every client with the same bytes and keeps the connections open.
struct Server {
    url: String,
    accepted: Arc<AtomicUsize>,
}

fn serve(answer: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            // The client sends its request in one piece.
            let _ = socket.read(&mut [0; 4096]).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            open.push(socket);
        }
    });
    Server { url, accepted }
}

fn stream(events: u64) -> String {
    let mut answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_owned();
    for number in 0..events {
        answer += &format!("data: {number} 1 xxxx\n\n");
    }
    answer
}

/// The processes that `parent` has started.
fn children(parent: &Child) -> Vec<u32> {
    let pid = parent.id();
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default().split_whitespace().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn clients_in_several_processes_are_cut_off_and_come_back() {
    let line = "run reconnect-replay --size small --part spread-ids --client-processes 3";
    let report = report(line);
    let figure =
        |name: &str| report["summary"]["fanfare"][name]["median"].as_f64().unwrap_or(f64::NAN);
    assert!(figure("missed_min") + 50.0 < figure("missed_max"), "{report}");
    assert!(figure("replay_ns") > 0.0 && figure("all_ns") >= figure("replay_ns"));
}

#[test]
fn several_processes_count_what_one_does() {
    let line = "saturation --clients 50 --events 300 --subjects floor-b,fanfare";
    for processes in ["", "--client-processes 1", "--client-processes 3"] {
        let report = report(&format!("{line} {processes}"));
        for subject in ["floor-b", "fanfare"] {
            let figure = |name: &str| report["summary"][subject][name]["median"].as_f64().unwrap();
            assert_eq!(figure("deliveries"), 15_000.0);
            assert_eq!((figure("received_min"), figure("received_max")), (300.0, 300.0));
            // 300 events of 128 bytes and their framing, on 50 connections.
            assert!((1.92e6..3e6).contains(&figure("received_bytes")), "{report}");
            assert!(figure("client_cpu_share") > 0.0);
        }
    }
    let line = "unicast --clients 20 --rate 20 --seconds 1 --flood-events 0 --subjects fanfare \
                --client-processes 2";
    let report = report(line);
    let figures = &report["summary"]["fanfare"];
    assert_eq!(figures["deliveries"]["median"], 400.0);
    assert!(figures["solo_events"]["median"].as_f64().unwrap() > 50.0);
}

#[test]
fn a_fault_that_a_worker_finds_fails_the_run() {
    let line = "saturation --clients 5 --events 100 --bytes 64 --subjects plain \
                --client-processes 2";
    let faults = [
        ("lose", "lost: 1"),
        ("double", "doubled: 1"),
        ("swap", "reordered: 1"),
        ("damage", "malformed: 1"),
        ("cut", "closed 1 connections"),
    ];
    for (fault, message) in faults {
        let mut command = bench(line);
        command.arg("--peer").arg(format!("plain={PLAIN}")).env("PLAIN_FAULT", fault);
        fails_with(&mut command, message);
    }
    let server = serve("HTTP/1.1 503 No\r\n\r\n".to_owned());
    let line =
        format!("watch --clients 4 --seconds 20 --client-processes 2 --attach {}", server.url);
    let message = "of 2: connection 0: answered with status 503 instead of 200";
    fails_with(&mut bench(&line), message);
}

#[test]
fn a_worker_that_dies_fails_the_run_and_takes_the_others_with_it() {
    let server = serve(stream(3));
    let line =
        format!("watch --clients 6 --seconds 50 --client-processes 3 --attach {}", server.url);
    let mut run = bench(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("all are connected", || server.accepted.load(Ordering::SeqCst) == 6);
    let workers = children(&run);
    assert_eq!(workers.len(), 3);
    let killed = Command::new("kill").args(["-KILL", &workers[1].to_string()]).status().unwrap();
    assert!(killed.success());
    wait_until("the run has ended", || run.try_wait().unwrap().is_some());
    let output = run.wait_with_output().unwrap();
    let message = "client worker 2 of 3 ended early, with signal: 9";
    assert!(!output.status.success() && errors(&output).contains(message), "{output:?}");
    for worker in workers {
        assert!(!std::path::Path::new(&format!("/proc/{worker}")).exists());
    }
}

#[test]
fn workers_end_when_the_process_that_started_them_is_gone() {
    let server = serve(stream(3));
    let line =
        format!("watch --clients 4 --seconds 50 --client-processes 2 --attach {}", server.url);
    let mut run = bench(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("all are connected", || server.accepted.load(Ordering::SeqCst) == 4);
    let workers = children(&run);
    run.kill().unwrap();
    run.wait().unwrap();
    for worker in workers {
        let status = format!("/proc/{worker}/status");
        // The process that adopts orphans here may leave it as a zombie.
        wait_until("a worker has ended", || {
            std::fs::read_to_string(&status).map_or(true, |text| text.contains("State:\tZ"))
        });
    }
}

#[test]
fn clients_are_spread_over_all_servers_and_each_stream_is_checked_by_itself() {
    let servers = [serve(stream(5)), serve(stream(9))];
    for processes in ["", "--client-processes 2"] {
        let line = format!(
            "watch --clients 7 --events 5 --attach {} --attach {} {processes}",
            servers[0].url, servers[1].url
        );
        let report = report(&line);
        let figures = &report["summary"]["attached"];
        assert_eq!(figures["received_min"]["median"], 5.0);
        assert_eq!(figures["received_max"]["median"], 9.0);
        assert_eq!(figures["deliveries"]["median"], f64::from(4 * 5 + 3 * 9));
        assert_eq!(figures["events_parsed"]["runs"], 1);
    }
    let accepted = servers.map(|server| server.accepted.load(Ordering::SeqCst));
    assert_eq!(accepted, [8, 6]);
    let line = "churn --count 5 --attach http://127.0.0.1:1/ --attach http://127.0.0.1:1/";
    fails_with(&mut bench(line), "takes one --attach URL");
}

#[test]
fn more_clients_than_processes_can_hold_are_refused_before_anything_is_opened() {
    let url = serve(String::new()).url;
    let line = format!("watch --clients 90000000 --seconds 1 --attach {url}");
    fails_with(&mut bench(&line), "clients must be 1 to");
    let line = format!("watch --clients 5 --seconds 1 --client-processes 65 --attach {url}");
    fails_with(&mut bench(&line), "65 were asked for, 64 are the most");
}

#[test]
fn the_json_holds_all_that_is_needed_to_draw_it_and_nothing_of_this_machines_folders() {
    let report = report("saturation --clients 20 --events 200 --repeat 2");
    assert_eq!(report["format"], 1);
    let date = report["date"].as_str().unwrap();
    assert!(date.len() == 20 && date.ends_with('Z') && date.starts_with("20"), "{date}");
    let command: Vec<&str> =
        report["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command[..4], ["fanfare", "bench", "saturation", "--clients"]);
    let text = report.to_string();
    let folder = checkout().to_str().unwrap();
    assert!(!text.contains("report.json") && !text.contains(folder), "{text}");
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    assert_eq!(report["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["figures"]["latency_p99_ns"]["unit"], "ns");
    for run in report["runs"].as_array().unwrap() {
        let counts = run["course"]["counts"].as_array().unwrap();
        let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(sum, 4_000);
    }
    let latency = report["pooled"].as_array().unwrap().iter();
    let latency: Vec<&Value> = latency.filter(|pooled| pooled["name"] == "latency").collect();
    assert_eq!(latency.len(), 2);
    for pooled in latency {
        let distribution = &pooled["distribution"];
        let curve = distribution["curve"].as_array().unwrap();
        assert_eq!(curve[curve.len() - 1][1], distribution["count"]);
        assert_eq!(curve[curve.len() - 1][0], distribution["max_ns"]);
        assert_eq!(distribution["count"], 8_000);
    }
}

#[test]
fn the_drawing_is_well_formed_and_names_every_subject() {
    const CHECK: &str = "
import sys, xml.etree.ElementTree as tree
svg = tree.parse(sys.argv[1])
space = '{http://www.w3.org/2000/svg}'
texts = [''.join(text.itertext()) for text in svg.iter(space + 'text')]
for wanted in ['fanfare bench saturation', 'floor-b', 'fanfare', 'a<b&c', '99.9 %']:
    assert wanted in texts, (wanted, texts)
assert any('clients 10' in text and 'events 100' in text for text in texts), texts
curves = {title.text for path in svg.iter(space + 'path') for title in path.iter(space + 'title')}
assert curves == {'floor-b', 'fanfare', 'a<b&c'}, curves
paths = [path.get('d') for path in svg.iter(space + 'path')]
# In the legend, the distribution and the course, for each.
assert len(paths) == 9 and all(path.count('L') >= 1 for path in paths), paths
assert not any(word in path for path in paths for word in ('NaN', 'inf')), paths
";
    let folder = Folder::new("drawing");
    let file = folder.file("drawing.svg");
    let output = bench("saturation --clients 10 --events 100 --subjects floor-b,fanfare,a<b&c")
        .arg("--peer")
        .arg(format!("a<b&c={PLAIN}"))
        .arg("--plot")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let checked = Command::new("python3").arg("-c").arg(CHECK).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", errors(&checked));
}

#[test]
fn a_terminal_sees_how_the_run_gets_on_and_a_pipe_does_not() {
    let url = serve(stream(4)).url;
    let line = format!("watch --clients 9 --seconds 1 --attach {url}");
    let output = bench(&line).output().unwrap();
    assert!(output.status.success() && errors(&output).is_empty(), "{output:?}");
    // `script` gives the program a terminal.
    let shell = format!("{PROGRAM} {line} --unpinned");
    let output = Command::new("script").args(["-qec", &shell, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    for wanted in ["connected 9/9", "36 deliveries"] {
        assert!(shown.contains(wanted), "{wanted}: {shown:?}");
    }
}
