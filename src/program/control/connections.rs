//! `/connections` and `/topics`: lists of connections and of the slow ones, counts of subscribers, both also
//! of all nodes of a cluster; other topics for live streams, and ending streams.

use std::str::FromStr;
use std::time::Duration;

use fanfare::{
    AdminError, ClusterConnection, ClusterConnections, ConnectionFilter, ConnectionId,
    ConnectionIdError, ConnectionInfo, ConnectionSelector, Hub, Subscription, SubscriptionCount,
    SubscriptionError, Topic,
};
use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::answer::{bad_request, json, Answer, Refusal};
use crate::program::query::Query;

/// The most entries of one answer, and how many there are unless the query says so.
const LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 1_000;
/// One day: the longest reconnection time that clients are told.
const RETRY_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// How long a cluster's nodes are waited for unless the client says how long it waits.
const NODES_WAIT: Duration = Duration::from_secs(2);

/// A connection, as it is written out.
#[derive(Serialize)]
struct Listed<'a> {
    /// The node that has it, where several were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    /// Text, since it may be beyond what JavaScript's numbers hold.
    id: String,
    topics: Vec<&'a str>,
    addr: Option<String>,
    tag: Option<&'a str>,
    /// RFC 3339.
    since: Option<String>,
    events: u64,
    bytes: u64,
    state: &'static str,
    lag_events: u64,
    lag_bytes: u64,
    lag_age_ms: u64,
    policy: &'static str,
}

/// Lists connections: `?topic=T&tag=T&lagging=1&limit=N&cluster=1`, each of which may be missing. With
/// `lagging` the connection that lags most comes first. With `cluster` all nodes are asked, for as long as the
/// client waits.
pub(super) async fn list(
    hub: &Hub,
    query: &str,
    wait: Option<Duration>,
) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    once(&query, &["topic", "tag", "limit", "lagging", "cluster"])?;
    let lagging = flag(&query, "lagging").map_err(bad_request)?;
    let limit = limit(&query).map_err(bad_request)?;
    let mut filter =
        ConnectionFilter::default().lagging(lagging).slowest_first(lagging).limit(limit);
    filter.subscription = subscription(&query).map_err(bad_request)?;
    filter.tag = query.first("tag").map(Into::into);
    if flag(&query, "cluster").map_err(bad_request)? {
        let found = hub.cluster_connections_async(&filter, wait.unwrap_or(NODES_WAIT)).await;
        let found = found.map_err(unanswered)?;
        let listed: Vec<Listed<'_>> = found.connections.iter().map(Listed::from).collect();
        return Ok(of_nodes(&found, json!({ "count": found.count, "connections": listed })));
    }
    let found = hub.connections_async(&filter).await.map_err(unanswered)?;
    let listed: Vec<Listed<'_>> = found.iter().map(Listed::from).collect();
    Ok(json(StatusCode::OK, &json!({ "connections": listed })))
}

/// Ends connections: one of `?id=ID`, `?topic=T`, `?tag=T` and `?all=1`; each is told a
/// reconnection time from `&retry=MS` to twice that. Answers how many.
pub(super) async fn disconnect(hub: &Hub, query: &str) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    once(&query, &["id", "topic", "tag", "all", "retry"])?;
    let selectors = [
        id(&query).map_err(bad_request)?.map(ConnectionSelector::One),
        subscription(&query).map_err(bad_request)?.map(ConnectionSelector::Subscription),
        query.first("tag").map(|tag| ConnectionSelector::Tag(tag.into())),
        flag(&query, "all").map_err(bad_request)?.then_some(ConnectionSelector::All),
    ];
    let mut selectors = selectors.into_iter().flatten();
    let (Some(selector), None) = (selectors.next(), selectors.next()) else {
        return Err(bad_request(
            "say which connections, in one way: id=ID, topic=NAME, tag=NAME or all=1",
        ));
    };
    let retry = match number(&query, "retry").map_err(bad_request)?.unwrap_or(0) {
        ms if ms <= RETRY_MS_MAX => Duration::from_millis(ms),
        _ => return Err(bad_request(format_args!("retry is at most {RETRY_MS_MAX} milliseconds"))),
    };
    let ended = hub.disconnect_async(&selector, retry).await.map_err(unanswered)?;
    Ok(json(StatusCode::OK, &json!({ "disconnected": ended })))
}

/// Gives one connection other topics, `?id=ID&topic=T&topic=U`, and answers how many have them now:
/// none if it has ended.
pub(super) async fn change(hub: &Hub, query: &str) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    once(&query, &["id"])?;
    let id = id(&query).map_err(bad_request)?;
    let id = id.ok_or_else(|| bad_request("say which connection gets the topics: id=ID"))?;
    let wanted: Vec<Subscription> =
        query.all("topic").map(Subscription::new).collect::<Result<_, _>>().map_err(bad_request)?;
    let changed = hub.set_subscriptions_async(id, &wanted).await.map_err(unanswered)?;
    Ok(json(StatusCode::OK, &json!({ "changed": u8::from(changed) })))
}

/// Counts the subscribers of the topics that have most, `?limit=N` of them, or of one, `?topic=T`, which with
/// `&cluster=1` are those at all nodes.
pub(super) async fn topics(
    hub: &Hub,
    query: &str,
    wait: Option<Duration>,
) -> Result<Answer, Refusal> {
    let query = Query::parse(query).map_err(bad_request)?;
    once(&query, &["topic", "limit", "cluster"])?;
    let limit = limit(&query).map_err(bad_request)?;
    let cluster = flag(&query, "cluster").map_err(bad_request)?;
    let listed =
        |topic: &str, subscribers: u64| json!({ "topic": topic, "subscribers": subscribers });
    let topics: Vec<_> =
        match query.first("topic").map(Topic::new).transpose().map_err(bad_request)? {
            Some(topic) if cluster => {
                let found = hub.cluster_subscribers_async(&topic, wait.unwrap_or(NODES_WAIT));
                let found = found.await.map_err(unanswered)?;
                let topics = [listed(topic.as_str(), found.count)];
                return Ok(of_nodes(&found, json!({ "topics": topics })));
            }
            None if cluster => {
                return Err(bad_request("with cluster=1 say which topic: topic=NAME"));
            }
            Some(topic) => {
                let subscribers = hub.subscribers_async(&topic).await.map_err(unanswered)?;
                vec![listed(topic.as_str(), subscribers)]
            }
            None => {
                let counts = hub.subscription_counts_async(limit).await.map_err(unanswered)?;
                let list = |count: &SubscriptionCount| {
                    listed(count.subscription.as_str(), count.subscribers)
                };
                counts.iter().map(list).collect()
            }
        };
    Ok(json(StatusCode::OK, &json!({ "topics": topics })))
}

/// An answer of a cluster's nodes: what was found, and how many nodes have answered.
fn of_nodes(found: &ClusterConnections, mut content: serde_json::Value) -> Answer {
    let ClusterConnections { nodes, answered, missing, .. } = found;
    let missing: Vec<&str> = missing.iter().map(|node| &**node).collect();
    content["nodes"] = json!(nodes);
    content["answered"] = json!(answered);
    content["missing"] = json!(missing);
    json(StatusCode::OK, &content)
}

impl<'a> From<&'a ClusterConnection> for Listed<'a> {
    fn from(one: &'a ClusterConnection) -> Listed<'a> {
        Listed { node: Some(&one.node), ..Listed::from(&one.connection) }
    }
}

impl<'a> From<&'a ConnectionInfo> for Listed<'a> {
    fn from(info: &'a ConnectionInfo) -> Listed<'a> {
        Listed {
            node: None,
            id: info.id.to_string(),
            topics: names(&info.subscriptions),
            addr: info.addr.map(|addr| addr.to_string()),
            tag: info.tag.as_deref(),
            since: Timestamp::try_from(info.since).ok().map(|since| since.to_string()),
            events: info.events,
            bytes: info.bytes,
            state: info.state.as_str(),
            lag_events: info.lag_events,
            lag_bytes: info.lag_bytes,
            lag_age_ms: u64::try_from(info.lag_age.as_millis()).unwrap_or(u64::MAX),
            policy: info.policy.as_str(),
        }
    }
}

fn names(subscriptions: &[Subscription]) -> Vec<&str> {
    subscriptions.iter().map(Subscription::as_str).collect()
}

fn subscription(query: &Query<'_>) -> Result<Option<Subscription>, SubscriptionError> {
    query.first("topic").map(Subscription::new).transpose()
}

/// Refuses a query that names one of these several times, where only one can be meant.
fn once(query: &Query<'_>, names: &[&str]) -> Result<(), Refusal> {
    match names.iter().find(|name| query.all(name).nth(1).is_some()) {
        Some(name) => Err(bad_request(format_args!("say {name} once"))),
        None => Ok(()),
    }
}

fn id(query: &Query<'_>) -> Result<Option<ConnectionId>, ConnectionIdError> {
    query.first("id").map(str::parse).transpose()
}

fn limit(query: &Query<'_>) -> Result<usize, String> {
    match number(query, "limit")?.unwrap_or(LIMIT) {
        limit if limit <= LIMIT_MAX => Ok(limit),
        _ => Err(format!("limit is at most {LIMIT_MAX}")),
    }
}

fn number<N: FromStr>(query: &Query<'_>, name: &str) -> Result<Option<N>, String> {
    let number = query.first(name).map(str::parse).transpose();
    number.map_err(|_| format!("{name} is a whole number"))
}

fn flag(query: &Query<'_>, name: &str) -> Result<bool, String> {
    match query.first(name) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(format!("{name} is 0 or 1")),
    }
}

fn unanswered(error: AdminError) -> Refusal {
    let status = match error {
        AdminError::NoSubscription | AdminError::TooManySubscriptions => StatusCode::BAD_REQUEST,
        AdminError::NoCluster => StatusCode::BAD_REQUEST,
        AdminError::CatchingUp => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let is_of_server = matches!(error, AdminError::Unreachable { .. });
    let refusal = Refusal::new(status, error);
    if is_of_server {
        refusal.coded("unreachable")
    } else {
        refusal
    }
}
