//! `--rule`, and what `/metrics` and `/connections` say of it.

use crate::http::{get, publish};
use crate::process::{fanfare, run, Server};
use crate::support::Client;

#[test]
fn rules_hold_for_their_topics_and_say_what_these_hold() {
    let rules = "--rule=run/#:events=2,policy=conflate";
    let server = Server::start(&[rules, "--rule", "urn:isbn:1:bytes=1MiB,age=1h,after-finish=10m"]);
    for n in 1..=5 {
        assert_eq!(publish(server.control, "?topic=run/7", &n.to_string()).status, 200);
        assert_eq!(publish(server.control, "?topic=other", &n.to_string()).status, 200);
    }
    let mut client = Client::get(server.addr, "/events?topic=run/7&last=10");
    assert_eq!([client.data(), client.data()], ["4", "5"]);
    assert_eq!(server.metric("fanfare_rule_kept_events{rule=\"run/#\"}"), 2.0);
    assert_eq!(server.metric("fanfare_rule_topics{rule=\"urn:isbn:1\"}"), 0.0);
    assert_eq!(server.metric("fanfare_kept_events"), 7.0);
    let listed = get(server.control, "/connections").body;
    assert!(listed.contains("\"policy\":\"conflate\""), "{listed}");
}

#[test]
fn several_rules_in_the_environment_are_one_a_line() {
    let mut command = fanfare(&["serve", "--listen=127.0.0.1:0"]);
    let server = Server::of(command.env("FANFARE_RULE", "run/#:events=2\nquotes/+:events=1"));
    for rule in ["run/#", "quotes/+"] {
        assert_eq!(server.metric(&format!("fanfare_rule_topics{{rule=\"{rule}\"}}")), 0.0);
    }
}

#[test]
fn a_rule_that_cannot_be_is_a_usage_error_that_names_the_flag_and_the_key() {
    for (arguments, part) in [
        (&["--rule", "run/#:event=7"][..], "there is no key \"event\""),
        (&["--rule", "run/#"], "FILTER:KEY=VALUE"),
        (&["--rule", "a:events=1", "--rule", "a:age=1h"], "--rule a: it is there twice"),
        (&["--history-events-max=0", "--rule", "run/#:events=7"], "events is out of bounds"),
    ] {
        let arguments: Vec<_> = ["serve", "--listen=127.0.0.1:0"].iter().chain(arguments).collect();
        let arguments: Vec<&str> = arguments.into_iter().copied().collect();
        let output = run(&mut fanfare(&arguments));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("--rule") && error.contains(part), "{error}");
    }
}
