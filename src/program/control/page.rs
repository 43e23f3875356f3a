//! The page that shows the server's topics and events: a document, its style and its script, each
//! by itself, so that the page's policy allows no script or style inside the document.

use hyper::header::HeaderValue;

use super::answer::{content_of, Answer};

pub(super) const STYLE_PATH: &str = "/page.css";
pub(super) const SCRIPT_PATH: &str = "/page.js";

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");

/// Where the page holds the name of the gap event.
const GAP_EVENT: &str = "name=\"gap-event\" content=\"fanfare-gap\"";
/// The page has no outside assets, and may send requests to its own server alone.
const FIELDS: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The page, which has to know the name of the gap event.
pub(super) fn page(gap_event: &str) -> Answer {
    let name = gap_event.replace('&', "&amp;").replace('"', "&quot;");
    let page = PAGE.replacen(GAP_EVENT, &format!("name=\"gap-event\" content=\"{name}\""), 1);
    let mut answer = content_of("text/html; charset=utf-8", page);
    for (name, value) in FIELDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

pub(super) fn style() -> Answer {
    content_of("text/css; charset=utf-8", STYLE)
}

pub(super) fn script() -> Answer {
    content_of("text/javascript; charset=utf-8", SCRIPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_no_inline_script_and_style() {
        assert!(PAGE.contains(GAP_EVENT));
        assert!(PAGE.contains("href=\"page.css\"") && PAGE.contains("src=\"page.js\""));
        for inline in ["<style", "<script>", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        let policy = FIELDS[0].1;
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
