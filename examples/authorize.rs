//! A host that decides by a cookie who gets which stream, and for how long.
//!
//! ```sh
//! cargo run --example authorize
//! curl -i 'http://127.0.0.1:8080/events'
//! curl -N -H 'Cookie: session=a1' 'http://127.0.0.1:8080/events'
//! curl -i -H 'Cookie: session=a1' 'http://127.0.0.1:8080/events?topic=user/bo'
//! ```
//!
//! The first is told to log in. The second gets what is for Ann and for everybody, and is ended
//! after a minute. The third asks for what is for Bo, and is refused.

use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, SystemTime};

use fanfare::{
    AnswerError, AskOptions, AuthorizationRequest, AuthorizationRequests, Authorizer, Grant, Hub,
    ListenOptions, Listener, Options, Refusal, Subscription, Topic,
};

/// How long a grant lasts: a browser comes back by itself, and is asked for its session again.
const GRANTED_FOR: Duration = Duration::from_secs(60);

/// Users by their session. A real host has them in its store.
type Sessions = HashMap<&'static str, &'static str>;

fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::start(Options::default())?;
    let (listener, requests) = listen(&hub, "127.0.0.1:8080")?;
    println!("listening on http://{}", listener.local_addr());
    thread::spawn(move || decide(requests, &HashMap::from([("a1", "ann"), ("b2", "bo")])));
    loop {
        for topic in ["public/time", "user/ann", "user/bo"] {
            hub.publish_wait(&Topic::new(topic)?, format!("for {topic}"), Duration::MAX)?;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

pub(crate) fn listen(
    hub: &Hub,
    addr: &str,
) -> Result<(Listener, AuthorizationRequests), Box<dyn Error>> {
    let (authorizer, requests) = Authorizer::ask(AskOptions::default())?;
    let listener = hub.listen(addr, ListenOptions::default().authorizer(authorizer))?;
    Ok((listener, requests))
}

/// Answers each request, until the listener is dropped.
pub(crate) fn decide(requests: AuthorizationRequests, sessions: &Sessions) {
    for request in requests {
        if let Err(error) = answer(request, sessions) {
            eprintln!("{error}");
        }
    }
}

fn answer(request: AuthorizationRequest, sessions: &Sessions) -> Result<(), AnswerError> {
    let user = request.cookie("session").and_then(|session| sessions.get(session));
    let Some(user) = user else {
        return request.refuse(Refusal::new(403).text("log in first, at /login"));
    };
    let topics = ["public/#".to_owned(), format!("user/{user}")];
    let granted = topics.iter().map(|topic| Subscription::new(topic).expect("users have names"));
    let grant = Grant::new(granted).tag(*user).expires_at(SystemTime::now() + GRANTED_FOR);
    request.allow(grant)
}
