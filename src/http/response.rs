//! The heads of responses, and whole answers to requests that get no stream.

use std::time::{Duration, SystemTime};

use crate::frame::Wire;
use crate::heartbeat::HeartbeatForm;

/// Fields that keep proxies and caches from storing, compressing or holding back the stream.
const STREAM_FIELDS: &str = "Content-Type: text/event-stream\r\n\
     Cache-Control: no-cache, no-store, no-transform\r\n\
     X-Accel-Buffering: no\r\n";

/// Keeps a browser from taking an answer for another type than it has, such as a page.
const NOT_SNIFFED: &str = "X-Content-Type-Options: nosniff\r\n";

/// The head of a stream. It is the last response on its connection, and says so (RFC 9112, section
/// 9.6).
pub(crate) fn stream(wire: Wire, fields: &str) -> Vec<u8> {
    let framing = match wire {
        Wire::Chunked => "Transfer-Encoding: chunked\r\nConnection: close\r\n",
        Wire::Plain => "Connection: close\r\n",
    };
    head("200 OK", STREAM_FIELDS, fields, framing).into_bytes()
}

/// The answer to `HEAD`: the head that `GET` would get.
pub(crate) fn stream_head_only(fields: &str) -> Vec<u8> {
    head("200 OK", STREAM_FIELDS, fields, "Connection: close\r\n").into_bytes()
}

/// The answer to a request for a stream of which nothing is left, and in which nothing will come.
pub(crate) fn nothing_to_come(cors: &str) -> Vec<u8> {
    let fields = "Cache-Control: no-store\r\n";
    head("204 No Content", fields, cors, "Connection: close\r\n").into_bytes()
}

/// A stream that holds nothing but a reconnection time. An `EventSource` gives up for good on any
/// status but 200, so this tells one of overload.
pub(crate) fn come_again(fields: &str, form: HeartbeatForm, retry: Duration) -> Vec<u8> {
    let content = form.last_retry(retry);
    let framing = format!("Content-Length: {}\r\nConnection: close\r\n", content.len());
    let mut answer = head("200 OK", STREAM_FIELDS, fields, &framing);
    answer += &content;
    answer.into_bytes()
}

/// An answer that ends the connection, with a line of text that says what to do.
pub(crate) fn refusal(status: &str, fields: &str, text: &str) -> Vec<u8> {
    let framing = format!("Content-Length: {}\r\nConnection: close\r\n", text.len() + 1);
    let plain_text = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n";
    let mut answer = head(status, plain_text, fields, &framing);
    answer += text;
    answer += "\n";
    answer.into_bytes()
}

/// An answer in JSON that ends the connection.
pub(crate) fn json(fields: &str, json: &str) -> Vec<u8> {
    let framing = format!("Content-Length: {}\r\nConnection: close\r\n", json.len() + 1);
    let is_json = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
    let mut answer = head("200 OK", is_json, fields, &framing);
    answer += json;
    answer += "\n";
    answer.into_bytes()
}

/// The head of an answer, which is all that a `HEAD` gets (RFC 9110, section 9.3.2).
pub(crate) fn head_of(mut answer: Vec<u8>) -> Vec<u8> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    answer.truncate(end.map_or(answer.len(), |at| at + 4));
    answer
}

/// The answer to `OPTIONS`, which is also the one to a preflight.
pub(crate) fn options(allow: &str, cors: &str) -> Vec<u8> {
    head("204 No Content", allow, cors, "Connection: close\r\n").into_bytes()
}

fn head(status: &str, fields: &str, more_fields: &str, framing: &str) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("HTTP/1.1 {status}\r\nDate: {date}\r\n{NOT_SNIFFED}{fields}{more_fields}{framing}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_head_says_how_it_is_framed() {
        let head = String::from_utf8(stream(Wire::Chunked, "Vary: Origin\r\n")).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
        let framing = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
        assert!(head.ends_with(&format!("\r\nVary: Origin\r\n{framing}\r\n")), "{head}");
    }

    #[test]
    fn every_answer_is_the_last_and_is_not_to_be_sniffed() {
        for answer in [
            stream(Wire::Chunked, ""),
            stream(Wire::Plain, ""),
            stream_head_only(""),
            come_again("", HeartbeatForm::Id, Duration::from_secs(1)),
            refusal("404 Not Found", "", "nothing here"),
            json("", "{}"),
            options("Allow: GET\r\n", ""),
            nothing_to_come(""),
        ] {
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{answer}");
        }
    }

    #[test]
    fn a_refusal_says_how_long_it_is() {
        let answer = String::from_utf8(refusal("404 Not Found", "", "nothing here")).unwrap();
        assert!(
            answer.contains("\r\nContent-Length: 13\r\nConnection: close\r\n\r\nnothing here\n")
        );
    }
}
