//! The exporter's HTTP API, as its own command line speaks it.
//!
//! One call is one request; nothing is retried here. A problem the exporter answers with becomes a [`Refusal`],
//! which keeps the words it was told in.

use crate::error::{Error, chain};
use crate::exit_code::Code;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use url::Url;

pub mod store;

/// How long the exporter may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may be silent while it works on an upload.
const SILENCE: Duration = Duration::from_secs(60);

/// Speaks to one exporter.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

/// Why a call came to nothing.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// No answer.
    Unreachable {
        /// Why, in words.
        cause: String,
    },
    /// An answer that is a problem.
    Problem {
        /// The HTTP status.
        status: u16,
        /// The exporter's documented word; empty where something else answered.
        code: String,
        /// What happened.
        detail: String,
        /// What to do about it.
        hint: Option<String>,
        /// After how many seconds the call may be tried again.
        retry_after: Option<u64>,
    },
}

/// How a command is given a token.
const TOKEN_HINT: &str = "Give one in QASTACK_TOKEN or with --token-file; qastack token create makes one. A stack's own \
    is found where -p and -f name the stack; the project of the reports is --report-project.";

impl Refusal {
    /// Whether the same call may succeed later, without anything being changed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 507),
        }
    }

    /// Whether it is the exporter that takes nothing now, and not this one call.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, .. } => matches!(status, 429 | 502 | 503 | 504 | 507),
        }
    }

    /// Whether what was sent will never be taken, whoever sends it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Problem { status: 400 | 409 | 413 | 415 | 422, .. })
    }

    /// After how long the exporter wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } => None,
            Self::Problem { retry_after, .. } => retry_after.map(Duration::from_secs),
        }
    }

    /// The HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unreachable { .. } => None,
            Self::Problem { status, .. } => Some(*status),
        }
    }

    /// The error a user reads.
    pub fn into_error(self, base: &Url) -> Error {
        match self {
            Self::Unreachable { cause } => {
                let hint = match base.scheme() {
                    "https" if cause.contains("corrupt message") => "It seems to speak without TLS: try http://.",
                    _ => "Start it with qastack up, or name another with --url.",
                };
                Error::new(Code::ExporterUnreachable, format!("the exporter at {base} does not answer: {cause}"))
                    .hint(hint)
                    .retryable()
            }
            Self::Problem { status, code, detail, hint, retry_after } => {
                let code = match status {
                    409 if code == "store_not_empty" => Code::ConfirmationNeeded,
                    422 if code.starts_with("store_") => Code::StoreDamaged,
                    401 | 403 => Code::TokenRefused,
                    404 => Code::Usage,
                    409 if code == "taken" => Code::Usage,
                    400 | 409 | 413 | 415 | 422 => Code::ReportRejected,
                    507 => Code::StoreDamaged,
                    _ => Code::ExporterUnreachable,
                };
                let mut error = Error::new(code, detail);
                // The exporter speaks to programs; whoever types a command gives the token in another way.
                let hint = if status == 401 { Some(TOKEN_HINT.to_owned()) } else { hint };
                if let Some(hint) = hint {
                    error = error.hint(hint);
                }
                if retry_after.is_some() { error.retryable() } else { error }
            }
        }
    }
}

#[derive(Deserialize)]
struct ProblemDocument {
    #[serde(default)]
    code: String,
    detail: String,
    hint: Option<String>,
}

impl Client {
    /// A client for the exporter at `base`. The token may be missing: reading needs none on loopback.
    ///
    /// # Errors
    /// The token holds characters that no header can carry, or the system gives no randomness for TLS.
    pub fn new(base: Url, token: Option<&str>) -> crate::error::Result<Self> {
        Self::with_silence(base, token, SILENCE)
    }

    /// One for calls at which the exporter may be silent for this long.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_silence(base: Url, token: Option<&str>, silence: Duration) -> crate::error::Result<Self> {
        // A second installation is refused, and the first one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(silence)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("qastack/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A company's proxy cannot know this machine's loopback.
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Error::new(Code::Unexpected, format!("cannot make an HTTP client: {}", chain(&error))))?;
        let authorization = token
            .map(|token| {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                    Error::new(Code::TokenRefused, "the token holds characters that no token of ours has")
                        .hint("It has to be one line without spaces.")
                })?;
                // Its Debug shows nothing then.
                value.set_sensitive(true);
                Ok::<_, Error>(value)
            })
            .transpose()?;
        Ok(Self { http, base, authorization })
    }

    /// Where the exporter is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Where the exporter is, without the user and password that an address may hold.
    pub fn address(&self) -> String {
        let mut url = self.base.clone();
        // Only an address without a host takes no user, and a client has none such.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.into()
    }

    /// The URL of a path below the exporter's, made of segments that need no escaping by the caller.
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Reads a document.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn get(&self, url: Url) -> Result<Value, Refusal> {
        self.send(self.http.get(url)).await
    }

    /// Deletes a thing.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn delete(&self, url: Url) -> Result<Value, Refusal> {
        self.send(self.http.delete(url)).await
    }

    /// Uploads a body, with its media type and how it is packed.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn post(&self, url: Url, body: Upload) -> Result<Value, Refusal> {
        let mut request = self.http.post(url).header(CONTENT_TYPE, body.media_type).body(body.bytes);
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(key) = body.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    /// A request with the token.
    pub(super) fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.authorized(self.http.request(method, url))
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Refusal> {
        let response = self.authorized(request).send().await.map_err(unreachable)?;
        read(response).await
    }
}

/// No answer, in words: the last cause is the one that says something.
pub(super) fn unreachable(error: reqwest::Error) -> Refusal {
    let error = error.without_url();
    if error.is_timeout() {
        return Refusal::Unreachable { cause: "no answer in time".to_owned() };
    }
    let last = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source()).last();
    let text = last.map(ToString::to_string).unwrap_or_default();
    let cause = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    Refusal::Unreachable { cause }
}

/// The document of an answer, or why there is none.
pub(super) async fn read(response: reqwest::Response) -> Result<Value, Refusal> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        if body.is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(&body).map_err(|_| strange(status.as_u16(), &body, retry_after));
    }
    Err(match serde_json::from_slice::<ProblemDocument>(&body) {
        Ok(ProblemDocument { code, detail, hint }) => {
            Refusal::Problem { status: status.as_u16(), code, detail, hint, retry_after }
        }
        Err(_) => strange(status.as_u16(), &body, retry_after),
    })
}

/// An answer that is not the exporter's: a proxy's page, or another program on its port.
fn strange(status: u16, body: &[u8], retry_after: Option<u64>) -> Refusal {
    let begin: String = String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ");
    let begin: String = begin.chars().take(120).collect();
    Refusal::Problem {
        // A success that cannot be read is none.
        status: if status < 400 { 502 } else { status },
        code: String::new(),
        detail: format!("status {status}, and not the words of a qastack exporter: {begin:?}"),
        hint: Some("Is another program, or a proxy, at this address?".to_owned()),
        retry_after,
    }
}

/// What is uploaded.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The bytes as sent.
    pub bytes: bytes::Bytes,
    /// Their media type.
    pub media_type: &'static str,
    /// Their Content-Encoding.
    pub encoding: Option<&'static str>,
    /// The key by which the exporter knows a repetition.
    pub idempotency_key: Option<String>,
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_the_path_it_lies_below_and_escapes_what_needs_it() {
        let client = Client::new("https://ci.example.com/qa/".parse().unwrap(), None).unwrap();
        assert_eq!(client.url(&["api", "v1", "a b/c"]).as_str(), "https://ci.example.com/qa/api/v1/a%20b%2Fc");
    }

    #[test]
    fn a_token_is_not_shown() {
        let client = Client::new("http://localhost:1".parse().unwrap(), Some("hunter2hunter2")).unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        assert!(Client::new("http://localhost:1".parse().unwrap(), Some("two\nlines")).is_err());
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let problem = |status| Refusal::Problem {
            status,
            code: String::new(),
            detail: String::new(),
            hint: None,
            retry_after: None,
        };
        for status in [408, 429, 500, 502, 503, 504, 507] {
            assert!(problem(status).is_passing(), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 413, 415, 421, 422] {
            assert!(!problem(status).is_passing(), "{status}");
        }
    }

    #[test]
    fn a_refused_token_is_neither_an_outage_nor_the_reports_fault() {
        for status in [401, 403] {
            let refused = Refusal::Problem {
                status,
                code: String::new(),
                detail: String::new(),
                hint: None,
                retry_after: Some(1),
            };
            assert!(!refused.is_passing() && !refused.is_outage() && !refused.is_final(), "{status}");
        }
    }

    #[test]
    fn a_user_and_password_in_an_address_are_not_shown() {
        let client = Client::new("https://me:hunter2@ci.example.com/qa/".parse().unwrap(), None).unwrap();
        assert_eq!(client.address(), "https://ci.example.com/qa/");
    }
}
