//! What the engine counts, in Prometheus' text format.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::exposition::Exposition;
use crate::gap::GapReason;
use crate::histogram::Histogram;
use crate::metrics::{DisconnectReason, Metrics};
use crate::options::Rule;

const NS_PER_S: f64 = 1e9;

impl Metrics {
    /// The content type of what [`Metrics::write_prometheus`] writes.
    pub const PROMETHEUS_CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Writes all counts in Prometheus' text format, version 0.0.4, for a host that serves them under
    /// its own path: some 12 KiB, and a few samples for each rule. A host may write families of its own
    /// behind them. `docs/metrics.md` lists the names.
    ///
    /// # Errors
    ///
    /// Those of `out`; writing to a `String` has none.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let mut text = String::new();
    /// hub.metrics().write_prometheus(&hub.rules(), &mut text)?;
    /// assert!(text.contains("\nfanfare_connections 0\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_prometheus(&self, rules: &[Rule], out: &mut impl Write) -> fmt::Result {
        let out = &mut Exposition::new(out);
        gauges(out, self)?;
        of_rules(out, rules)?;
        counters(out, self)?;
        let disconnects =
            DisconnectReason::all().map(|reason| (reason.as_str(), self.disconnects(reason)));
        by_reason(out, "fanfare_disconnects_total", "Event streams that ended.", disconnects)?;
        let gaps = GapReason::all().map(|reason| (reason.as_str(), self.gap_events(reason)));
        let help = "Events that told a client of others that are missing from its stream.";
        by_reason(out, "fanfare_gap_events_total", help, gaps)?;
        histogram(out, &self.latency)?;
        out.family("fanfare_build_info", "gauge", "Always 1; the version is in the label.")?;
        out.sample(concat!("fanfare_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1)
    }
}

fn gauges(out: &mut Exposition<'_>, metrics: &Metrics) -> fmt::Result {
    for (name, value, help) in [
        (
            "living_shards",
            metrics.living_shards,
            "Shards that serve; fewer than there were at the start when one has failed.",
        ),
        (
            "connections_max",
            metrics.connections_max,
            "The most connections, within the limit of open files.",
        ),
        ("connections", metrics.connections, "Open event streams."),
        (
            "pending_connections",
            metrics.pending_connections,
            "Open sockets whose request is not answered yet, or that are being closed.",
        ),
        (
            "pending_authorizations",
            metrics.pending_authorizations,
            "Connections whose request for a stream waits until the host has authorized it.",
        ),
        (
            "lagging_connections",
            metrics.lagging_connections,
            "Event streams whose socket has not taken all there is for it.",
        ),
        (
            "replaying_connections",
            metrics.replaying_connections,
            "Event streams that are being sent what they have missed, which do not count as lagging.",
        ),
        (
            "topics",
            metrics.topics,
            "Topics that have a subscriber: those that are asked for by name, and those that had an \
             event since a filter matches them.",
        ),
        (
            "known_topics",
            metrics.known_topics,
            "Topics that have a subscriber or events that are kept, or are finished.",
        ),
        (
            "filters",
            metrics.filters,
            "Wildcard filters that have a subscriber, each counted once.",
        ),
        (
            "subscriptions",
            metrics.subscriptions,
            "Topics and filters that connections ask for, each counted with each connection.",
        ),
        (
            "finished_topics",
            metrics.finished_topics,
            "Topics that are finished and not forgotten yet.",
        ),
        (
            "interest_watchers",
            metrics.interest_watchers,
            "Receivers through which a host is told which topics have subscribers.",
        ),
        (
            "owed_interest_notices",
            metrics.owed_interest_notices,
            "Notices of first and last subscribers that wait for the host to take them.",
        ),
        ("kept_events", metrics.kept_events, "Events that are kept for clients that come back."),
        (
            "kept_bytes",
            metrics.kept_bytes,
            "Bytes of events that are kept for clients that come back.",
        ),
        (
            "spread_deliveries",
            metrics.spread_deliveries,
            "Events times event streams that wait for them because they are spread over a time.",
        ),
        ("backlog_bytes", metrics.backlog_bytes, "Bytes of events that wait to be sent."),
        ("lag_bytes", metrics.lag_bytes, "Bytes that are kept for event streams that lag."),
        (
            "journal_failing",
            metrics.journal_failing,
            "1 while the journal cannot be written.",
        ),
        (
            "journal_disk_bytes",
            metrics.journal_disk_bytes,
            "Bytes that the journal takes on the disk.",
        ),
        (
            "journal_waiting_bytes",
            metrics.journal_waiting_bytes,
            "Bytes that wait until the journal holds them as safely as the durability promises.",
        ),
        (
            "cluster_failing",
            metrics.cluster_failing,
            "1 while the cluster's server does not serve.",
        ),
        (
            "cluster_backlog_bytes",
            metrics.cluster_backlog_bytes,
            "Bytes of events that are on their way to the cluster's stream and back.",
        ),
    ] {
        out.one(&format!("fanfare_{name}"), "gauge", help, value)?;
    }
    Ok(())
}

/// What the topics of each rule hold, if there are rules.
fn of_rules(out: &mut Exposition<'_>, rules: &[Rule]) -> fmt::Result {
    if rules.is_empty() {
        return Ok(());
    }
    type Value = fn(&Rule) -> u64;
    let values: [(&str, Value, &str); 4] = [
        (
            "topics",
            |rule| rule.topics,
            "Topics of a rule that have a subscriber or events that are kept, or are finished.",
        ),
        ("finished_topics", |rule| rule.finished_topics, "Topics of a rule that are finished."),
        ("kept_events", |rule| rule.kept_events, "Events of a rule's topics that are kept."),
        ("kept_bytes", |rule| rule.kept_bytes, "Bytes of a rule's topics that are kept."),
    ];
    for (name, value, help) in values {
        let name = format!("fanfare_rule_{name}");
        out.family(&name, "gauge", help)?;
        for rule in rules {
            let label = escaped(rule.subscription.as_str());
            out.sample(&format!("{name}{{rule=\"{label}\"}}"), value(rule))?;
        }
    }
    Ok(())
}

/// A text as the value of a label. No topic or filter holds a line break.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#)
}

fn counters(out: &mut Exposition<'_>, metrics: &Metrics) -> fmt::Result {
    for (name, value, help) in [
        ("published_events", metrics.published_events, "Events that were published."),
        (
            "full_events",
            metrics.full_events,
            "Times that an event found the backlog full; it then waited, or was refused.",
        ),
        (
            "delivered_events",
            metrics.delivered_events,
            "Events times event streams that took them.",
        ),
        (
            "delivered_bytes",
            metrics.delivered_bytes,
            "Bytes of events that sockets took, as each client is sent them, with the chunks \
             around them; those of a replay when they are handed out.",
        ),
        (
            "replayed_events",
            metrics.replayed_events,
            "Events times event streams that were sent them because they had missed them.",
        ),
        (
            "gathered_parts",
            metrics.gathered_parts,
            "Parts of kept events that were gathered for all clients that had missed the same.",
        ),
        (
            "dropped_events",
            metrics.dropped_events,
            "Events times lagging event streams that skipped them.",
        ),
        (
            "conflated_events",
            metrics.conflated_events,
            "Events times lagging event streams that were sent a newer one of the same key instead.",
        ),
        (
            "heartbeats",
            metrics.heartbeats,
            "Heartbeats that silent event streams were sent, in whichever form.",
        ),
        ("batches", metrics.batches, "Batches of events that were begun to be sent."),
        (
            "held_batches",
            metrics.held_batches,
            "Times that a batch waited for event streams that lag too far but get on.",
        ),
        (
            "accepted_connections",
            metrics.accepted_connections,
            "Event streams that were ever opened.",
        ),
        (
            "refused_connections",
            metrics.refused_connections,
            "Sockets that were turned away because of the bounds on connections.",
        ),
        (
            "finished_answers",
            metrics.finished_answers,
            "Requests for streams that were answered with the status 204, since all of their topics \
             were finished and nothing was to be sent.",
        ),
        (
            "denied_authorizations",
            metrics.denied_authorizations,
            "Requests for streams that were not authorized: refused, for topics that were not \
             granted, or with a grant that had expired.",
        ),
        (
            "failed_authorizations",
            metrics.failed_authorizations,
            "Requests for streams that were told to come again, since the host has not answered \
             whether they are authorized.",
        ),
        (
            "late_authorizations",
            metrics.late_authorizations,
            "Answers of the host for which no connection waited any more.",
        ),
        (
            "lost_notices",
            metrics.lost_notices,
            "Notices of connections that a host lost because their queue was full.",
        ),
        (
            "cut_graces",
            metrics.cut_graces,
            "Times that a host was told early that a topic has no subscriber, since too many had \
             just lost theirs.",
        ),
        (
            "journal_records",
            metrics.journal_records,
            "Events, marks and rules that were written into the journal.",
        ),
        (
            "journal_syncs",
            metrics.journal_syncs,
            "Times that the disk was told to take what was written.",
        ),
        (
            "journal_errors",
            metrics.journal_errors,
            "Writes of the journal, and the like, that failed.",
        ),
        (
            "cluster_batches",
            metrics.cluster_batches,
            "Batches of events that the cluster's server has taken.",
        ),
        (
            "cluster_items",
            metrics.cluster_items,
            "Events, ends and rules that were read from the cluster's stream.",
        ),
        (
            "cluster_refused_items",
            metrics.cluster_refused_items,
            "Of these, those whose topic was finished before.",
        ),
        (
            "cluster_connects",
            metrics.cluster_connects,
            "Connections that were made to append to the cluster's stream.",
        ),
        (
            "cluster_losses",
            metrics.cluster_losses,
            "Times that the cluster's stream had lost what this node had not read.",
        ),
    ] {
        out.one(&format!("fanfare_{name}_total"), "counter", help, value)?;
    }
    Ok(())
}

fn by_reason(
    out: &mut Exposition<'_>,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    out.family(name, "counter", help)?;
    for (reason, count) in counts {
        out.sample(&format!("{name}{{reason=\"{reason}\"}}"), count)?;
    }
    Ok(())
}

fn histogram(out: &mut Exposition<'_>, latency: &Histogram) -> fmt::Result {
    let name = "fanfare_publish_to_socket_seconds";
    let help = "How long events took from being published to a socket's taking them.";
    out.family(name, "histogram", help)?;
    let mut total = 0;
    for (bound, count) in latency.buckets() {
        total += count;
        let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| seconds(bound).to_string());
        out.sample(&format!("{name}_bucket{{le=\"{bound}\"}}"), total)?;
    }
    out.sample(&format!("{name}_sum"), seconds(latency.sum()))?;
    out.sample(&format!("{name}_count"), total)
}

/// A time in seconds, rounded once: `as_secs_f64` rounds seconds and the rest each.
fn seconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / NS_PER_S
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write as _};
    use std::net::TcpStream;

    use super::*;
    use crate::hub::Hub;
    use crate::listener::ListenOptions;
    use crate::options::{Options, TopicOptions};

    const DEADLINE: Duration = Duration::from_secs(60);

    fn text(metrics: &Metrics, rules: &[Rule]) -> String {
        let mut text = String::new();
        metrics.write_prometheus(rules, &mut text).unwrap();
        text
    }

    fn value<'a>(text: &'a str, name: &str) -> &'a str {
        let sample = |line: &'a str| line.strip_prefix(name)?.strip_prefix(' ');
        text.lines().find_map(sample).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    #[test]
    fn every_family_is_described_before_its_samples() {
        let text = text(&Metrics::default(), &[]);
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(rest.ends_with('.'), "{rest}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest.split(' ').next(), Some(family));
            } else {
                assert!(line.starts_with(family), "{line}");
                let (_, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.ends_with('\n'));
        for reason in DisconnectReason::all() {
            let name = format!("fanfare_disconnects_total{{reason=\"{reason}\"}}");
            assert_eq!(value(&text, &name), "0");
        }
        for reason in GapReason::all() {
            let name = format!("fanfare_gap_events_total{{reason=\"{reason}\"}}");
            assert_eq!(value(&text, &name), "0");
        }
    }

    #[test]
    fn each_reason_has_the_count_of_the_hub() {
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
            .write_all(b"GET /events?topic=a HTTP/1.0\r\nLast-Event-ID: unknown\r\n\r\n")
            .unwrap();
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !read.ends_with(b"\"unknown_id\"") {
            client.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
        hub.close();
        let text = text(&hub.metrics(), &[]);
        for (name, own) in [("disconnects", "closed"), ("gap_events", "unknown_id")] {
            let start = format!("fanfare_{name}_total{{reason=\"");
            let counts = text.lines().filter_map(|line| line.strip_prefix(&start));
            let counted: Vec<_> = counts.filter(|line| !line.ends_with(" 0")).collect();
            assert_eq!(counted, [format!("{own}\"}} 1")]);
        }
    }

    #[test]
    fn everything_that_the_hub_counts_is_served_under_its_name() {
        let text = text(&Metrics::default(), &[]);
        let fields = format!("{:#?}", Metrics::default());
        let names = fields.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let names: Vec<_> = names.map(|(name, _)| name).filter(|n| !n.starts_with(' ')).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names.into_iter().filter(|&name| name != "latency") {
            let is_served =
                ["gauge", "counter"].into_iter().zip(["", "_total"]).any(|(kind, end)| {
                    text.contains(&format!("\n# TYPE fanfare_{name}{end} {kind}\n"))
                });
            assert!(is_served, "Metrics::{name} is not in /metrics");
        }
    }

    #[test]
    fn what_each_rule_holds_is_served_with_its_filter_as_a_label() {
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        for text in ["run/+", r#"a"b\c"#] {
            let (subscription, topic) = (text.parse().unwrap(), text.replace('+', "7"));
            hub.set_rule(&subscription, TopicOptions::default()).unwrap();
            hub.publish(&topic.parse().unwrap(), "x").unwrap();
        }
        hub.finish(&"run/8".parse().unwrap(), None).unwrap();
        let text = text(&hub.metrics(), &hub.rules());
        for (name, of_run, of_other) in
            [("topics", "2", "1"), ("finished_topics", "1", "0"), ("kept_events", "1", "1")]
        {
            let value = |label| value(&text, &format!("fanfare_rule_{name}{{rule=\"{label}\"}}"));
            assert_eq!((value("run/+"), value(r#"a\"b\\c"#)), (of_run, of_other), "{name}");
        }
        let bytes = |label| value(&text, &format!("fanfare_rule_kept_bytes{{rule=\"{label}\"}}"));
        let [run, other] =
            ["run/+", r#"a\"b\\c"#].map(|label| bytes(label).parse::<u64>().unwrap());
        assert_eq!(run, other + 512);
    }

    #[test]
    fn the_buckets_of_the_histogram_are_cumulative() {
        let mut metrics = Metrics::default();
        metrics.latency.record(Duration::from_micros(100), 5);
        metrics.latency.record(Duration::from_micros(750), 2);
        metrics.latency.record(Duration::from_secs(20), 1);
        let text = text(&metrics, &[]);
        let name = "fanfare_publish_to_socket_seconds";
        for (bound, count) in [("0.0001", "5"), ("0.0005", "5"), ("0.001", "7"), ("10", "7")] {
            assert_eq!(value(&text, &format!("{name}_bucket{{le=\"{bound}\"}}")), count);
        }
        assert_eq!(value(&text, &format!("{name}_bucket{{le=\"+Inf\"}}")), "8");
        assert_eq!(value(&text, &format!("{name}_sum")), "20.002");
        assert_eq!(value(&text, &format!("{name}_count")), "8");
    }
}
