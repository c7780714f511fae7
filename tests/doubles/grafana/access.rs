//! Who may come in, and the faults that a test ordered: both stand before every route.

use super::reply::Reply;
use super::settings::{Fault, FaultKind, Settings};
use super::{Double, Shared};
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::{Duration, Instant};

/// So many wrong passwords lock a user out …
const ATTEMPTS: usize = 5;
/// … as long as they are younger than this.
const LOCK: Duration = Duration::from_secs(5 * 60);

/// Wrong passwords so far, the password, and the faults that are still due.
pub struct Attempts {
    failed: Vec<Instant>,
    password: String,
    faults: Vec<Fault>,
}

impl Attempts {
    pub fn new(settings: &Settings) -> Self {
        Self { failed: Vec::new(), password: settings.password.clone(), faults: settings.faults.clone() }
    }
}

impl Double {
    /// The password now: in the kept state it may have been changed from outside.
    pub fn password(&self) -> String {
        let kept = self.settings.password_file().and_then(|file| std::fs::read_to_string(file).ok());
        kept.unwrap_or_else(|| self.access.lock().unwrap().password.clone())
    }

    pub fn set_password(&self, password: &str) {
        self.settings.write_password(password).unwrap();
        password.clone_into(&mut self.access.lock().unwrap().password);
    }

    /// Orders a fault.
    pub fn fail(&self, fault: Fault) {
        self.access.lock().unwrap().faults.push(fault);
    }

    fn due_fault(&self, path: &str) -> Option<FaultKind> {
        let mut access = self.access.lock().unwrap();
        let fault = access.faults.iter_mut().find(|fault| fault.path == path && fault.times != Some(0))?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.kind)
    }

    fn log_in(&self, user: &str, password: &str) -> bool {
        let right = user == self.settings.user && password == self.password();
        let mut access = self.access.lock().unwrap();
        access.failed.retain(|failed| failed.elapsed() < LOCK);
        if access.failed.len() >= ATTEMPTS {
            return false;
        }
        if !right {
            access.failed.push(Instant::now());
        }
        right
    }
}

/// Lets a request through, or answers in its place.
pub async fn check(State(double): State<Shared>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let due = double.due_fault(&path);
    if let Some(answer) = instead(due).await {
        return answer;
    }
    let open = ["/api/health", "/healthz", "/double/writes"].contains(&path.as_str()) || !path.starts_with("/api");
    if !open || path.starts_with("/apis/") {
        let login = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Err(refusal) = admit(&double, login) {
            return refusal.into_response();
        }
    }
    let response = next.run(request).await;
    let asks = path == "/api/ds/query" || path.starts_with("/api/datasources/proxy/");
    if method != Method::GET && method != Method::HEAD && !asks {
        let written = format!("{method} {path} {}", response.status().as_u16());
        double.writes.lock().unwrap().push(written);
    }
    if due == Some(FaultKind::Lost) {
        return Reply::message(502, "the answer was lost").into_response();
    }
    response
}

fn admit(double: &Double, login: Option<&str>) -> Result<(), Reply> {
    let Some(login) = login else { return Err(Reply::unauthorized("Unauthorized", "auth.unauthorized")) };
    let Some(encoded) = login.strip_prefix("Basic ") else {
        return Err(Reply::unauthorized("Invalid API key", "api-key.invalid"));
    };
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (user, password) = decoded.split_once(':').unwrap_or_default();
    if double.log_in(user, password) {
        return Ok(());
    }
    Err(Reply::unauthorized("Invalid username or password", "password-auth.failed"))
}

/// What a fault answers in the place of what was asked.
async fn instead(due: Option<FaultKind>) -> Option<Response> {
    match due? {
        FaultKind::Lost => None,
        FaultKind::Slow(delay) => {
            tokio::time::sleep(delay).await;
            None
        }
        FaultKind::Status(status) => Some(Reply::message(status, "a fault was ordered").into_response()),
        FaultKind::Html => {
            let page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head></html>";
            Some((StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
        }
        FaultKind::Half => {
            Some((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{\"database\": \"o").into_response())
        }
        FaultKind::Query => {
            let why = "Post \"http://prometheus:9090/api/v1/query\": EOF";
            let body = serde_json::json!({ "results": { "Q0": { "error": why, "status": 400, "frames": [] } } });
            Some(Reply::new(400, body).into_response())
        }
        FaultKind::Denied => {
            let body = serde_json::json!({
                "accessErrorId": "ACE0802580243", "title": "Access denied",
                "message": "You'll need additional permissions to perform this action. Permissions needed: org:read",
            });
            Some(Reply::new(403, body).utf8().into_response())
        }
    }
}
