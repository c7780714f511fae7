//! An answer with exactly the content type that Grafana sends.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What legacy handlers send.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What middleware and the health check send.
const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// A status and a body.
pub struct Reply {
    status: StatusCode,
    body: Value,
    content_type: HeaderValue,
}

impl Reply {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), body, content_type: JSON }
    }

    pub fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    /// `{"message": …}`
    pub fn message(status: u16, message: &str) -> Self {
        Self::new(status, json!({"message": message}))
    }

    /// `{"message": …, "status": …}`
    pub fn with_status(status: u16, message: &str, word: &str) -> Self {
        Self::new(status, json!({"message": message, "status": word}))
    }

    /// The shape of refused logins.
    pub fn unauthorized(message: &str, id: &str) -> Self {
        let body = json!({"extra": null, "message": message, "messageId": id, "statusCode": 401, "traceID": ""});
        Self::new(401, body).utf8()
    }

    /// With the content type of middleware.
    pub fn utf8(mut self) -> Self {
        self.content_type = JSON_UTF8;
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, self.content_type)], self.body.to_string()).into_response()
    }
}

/// The body, or Grafana's refusal of one that is no JSON.
pub fn parse(body: &[u8]) -> Result<Value, Reply> {
    serde_json::from_slice(body).map_err(|_| Reply::message(400, "bad request data"))
}

/// A text of an object, empty where there is none.
pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
