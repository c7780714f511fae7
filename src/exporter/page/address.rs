//! Where the pages are: every link is made here, so that every name in it is escaped.

use crate::quality::FigureName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;

/// What may stand in an address as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name as a part of an address.
pub fn escaped(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// The page of a project, or of all of them together.
pub fn overview(project: Option<&str>) -> String {
    project.map_or_else(|| "/".to_owned(), |project| format!("/projects/{}", escaped(project)))
}

/// A page below a project's.
pub fn below(project: &str, page: &str) -> String {
    format!("/projects/{}/{page}", escaped(project))
}

/// Why a figure is what it is.
pub fn figure(project: Option<&str>, name: FigureName) -> String {
    let base = project.map(|project| format!("/projects/{}", escaped(project))).unwrap_or_default();
    format!("{base}/figures/{}", name.word())
}

/// One run.
pub fn run(project: &str, run: i64) -> String {
    below(project, &format!("runs/{run}"))
}

/// One test.
pub fn test(project: &str, fingerprint: &str) -> String {
    below(project, &format!("tests/{}", escaped(fingerprint)))
}

/// An address with its query: pairs without a value are left out.
pub fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in pairs {
        if let Some(value) = value {
            let joint = if address.contains('?') { '&' } else { '?' };
            // Writing into a String cannot fail.
            let _ = write!(address, "{joint}{name}={}", escaped(value));
        }
    }
    address
}

/// An address that was told from outside, if following it can do no more than open a page.
pub fn foreign(address: &str) -> Option<String> {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https")).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_an_address() {
        assert_eq!(overview(Some("team/shop")), "/projects/team%2Fshop");
        let address = with_query(&below("a", "runs"), &[("branch", Some("x&before=1#\"<>")), ("before", None)]);
        assert_eq!(address, "/projects/a/runs?branch=x%26before%3D1%23%22%3C%3E");
    }

    #[test]
    fn only_pages_of_the_web_are_linked_to() {
        assert!(foreign("https://ci.example/1").is_some() && foreign("HTTP://ci.example").is_some());
        for address in
            ["javascript:alert(1)", "data:text/html,x", "//ci.example", "ci.example", "javascript://x%0aalert(1)"]
        {
            assert_eq!(foreign(address), None, "{address}");
        }
    }
}
