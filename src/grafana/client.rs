//! One call to Grafana: the login, the time-out, the cap on the body, and the error in words.
//!
//! It never tries a call again; who waits does (`ready`).

use super::error::GrafanaError;
use crate::secret::Secret;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// A call that takes longer than this has failed; Grafana answers in milliseconds.
const TIME_OUT: Duration = Duration::from_secs(10);
/// No answer that we ask for is larger: the history of a dashboard is the largest, with a few hundred kilobytes.
const LARGEST_BODY: usize = 16 * 1024 * 1024;
/// How much of a body that is not Grafana's stands in an error.
const BEGINNING: usize = 200;

/// Who logs in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// Speaks Grafana's HTTP API as one user.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    login: Login,
}

/// Whether a call carries the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Anonymous,
    LoggedIn,
}

/// A status and the JSON that came with it (null where the body was empty).
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Client {
    /// A client for the Grafana at `base`, which may have a path of its own. `http` decides how it is reached.
    pub fn new(http: reqwest::Client, base: Url, login: Login) -> Self {
        Self { http, base, login }
    }

    /// The address people open in a browser for this dashboard.
    pub fn dashboard_url(&self, uid: &str) -> Url {
        self.url(&format!("/d/{uid}"))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, GrafanaError> {
        Ok(self.call(Method::GET, path, None, Access::LoggedIn).await?.body)
    }

    /// Like `get`, where an absent object is an answer, not an error.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, GrafanaError> {
        match self.get(path).await {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One call; a status of 2xx is an answer, every other one an error.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        access: Access,
    ) -> Result<Answer, GrafanaError> {
        let url = self.url(path);
        let answer = self.send(method.clone(), &url, body, access).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refusal(&method, &url, answer)) }
    }

    /// One call whose body says more than its status: health checks and queries answer 400 with a body of the
    /// same shape as 200.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        access: Access,
    ) -> Result<Answer, GrafanaError> {
        let call = format!("{method} {url}");
        let mut request = self.http.request(method, url.clone()).timeout(TIME_OUT);
        if access == Access::LoggedIn {
            request = request.basic_auth(&self.login.user, Some(self.login.password.expose()));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| GrafanaError::Unreachable {
            call: call.clone(),
            cause: crate::error::chain(&error.without_url()),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > LARGEST_BODY {
                return Err(unreadable(call, status, "more than 16 MiB", &bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        read_body(call, status, &bytes)
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    pub(super) fn refusal(&self, method: &Method, url: &Url, answer: Answer) -> GrafanaError {
        let Answer { status, body } = answer;
        let message = words_of(&body).unwrap_or_else(|| "no reason given".to_owned());
        let call = format!("{method} {url}");
        if status == StatusCode::UNAUTHORIZED {
            return GrafanaError::PasswordRefused { call, user: self.login.user.clone(), message };
        }
        let access_denied = status == StatusCode::FORBIDDEN && body.get("accessErrorId").is_some();
        GrafanaError::Status { call, status, message, access_denied }
    }
}

/// The JSON of a body. A refusal may have any body, since a proxy in between may have written it.
fn read_body(call: String, status: StatusCode, bytes: &[u8]) -> Result<Answer, GrafanaError> {
    if bytes.is_empty() {
        return Ok(Answer { status, body: Value::Null });
    }
    match serde_json::from_slice(bytes) {
        Ok(body) => Ok(Answer { status, body }),
        Err(_) if !status.is_success() => Ok(Answer { status, body: Value::String(beginning(bytes)) }),
        Err(_) if looks_like_html(bytes) => Err(unreadable(call, status, "an HTML page", bytes)),
        Err(error) if error.is_eof() => Err(unreadable(call, status, "JSON that breaks off", bytes)),
        Err(_) => Err(unreadable(call, status, "something else", bytes)),
    }
}

fn unreadable(call: String, status: StatusCode, found: &'static str, bytes: &[u8]) -> GrafanaError {
    GrafanaError::Unreadable { call, status, found, beginning: beginning(bytes) }
}

/// What a refusal says. All four shapes of Grafana's errors carry `message`; a query's error is inside `results`.
fn words_of(body: &Value) -> Option<String> {
    match body {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Object(_) => match body.get("message").and_then(Value::as_str) {
            Some(message) if !message.is_empty() => Some(message.to_owned()),
            _ => Some(beginning(body.to_string().as_bytes())),
        },
        _ => None,
    }
}

fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BEGINNING)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn looks_like_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(base: &str) -> Client {
        // Whoever comes first installs it; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let login = Login { user: "admin".to_owned(), password: Secret::new("s3cret") };
        Client::new(reqwest::Client::new(), Url::parse(base).unwrap(), login)
    }

    fn refusal(status: u16, body: Value) -> GrafanaError {
        let client = client("http://grafana");
        let answer = Answer { status: StatusCode::from_u16(status).unwrap(), body };
        client.refusal(&Method::GET, &client.url("/api/org"), answer)
    }

    #[test]
    fn each_shape_of_a_refusal_is_told_in_its_own_words() {
        for (status, body, words) in [
            (409, json!({"message": "data source with the same name already exists"}), "the same name"),
            (412, json!({"status": "version-mismatch", "message": "changed by someone else"}), "by someone else"),
            (400, json!({"statusCode": 400, "messageId": "x", "message": "Invalid datasource UID."}), "Invalid"),
            (
                403,
                json!({"title": "Access denied", "message": "Permissions needed: x", "accessErrorId": "ACE1"}),
                "needed: x",
            ),
            (404, json!({"kind": "Status", "status": "Failure", "message": "not found", "code": 404}), "not found"),
            (502, json!("<html>Bad gateway</html>"), "Bad gateway"),
            (500, json!({"odd": true}), "odd"),
            (404, Value::Null, "no reason given"),
        ] {
            let error = refusal(status, body).to_string();
            assert!(error.contains(words) && error.contains(&status.to_string()), "{words:?} is missing in {error}");
        }
        assert!(refusal(403, json!({"message": "x", "accessErrorId": "ACE1"})).is_access_denied());
        assert!(!refusal(403, json!({"message": "Cannot update read-only data source"})).is_access_denied());
    }

    #[test]
    fn a_grafana_below_a_path_is_reached_there() {
        let url = client("http://host:3000/grafana/").url("/api/org?x=1");
        assert_eq!(url.as_str(), "http://host:3000/grafana/api/org?x=1");
        assert_eq!(client("http://host:3000").dashboard_url("qa-overview").as_str(), "http://host:3000/d/qa-overview");
    }

    #[test]
    fn a_long_page_is_cut_and_stands_on_one_line() {
        let page = format!("<html>\n  {}", "é".repeat(500));
        let read = read_body("GET http://x/".to_owned(), StatusCode::OK, page.as_bytes()).unwrap_err();
        let text = read.to_string();
        assert!(text.contains("an HTML page") && text.len() < 400 && !text.contains('\n'), "{text}");
    }
}
