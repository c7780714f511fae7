//! Health of a data source, queries through it, and the proxy: all of them really ask the Prometheus behind.

use super::frames::{empty_frame, frames};
use super::reply::{Reply, parse, text};
use super::{Double, Shared};
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Either Prometheus' answer, or why there is none, in Grafana's words.
type Asked = Result<(u16, Value), String>;

impl Double {
    async fn ask(&self, base: &str, path: &str, form: &[(&str, String)]) -> Asked {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(&url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.map_err(|error| explain(&url, &error))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| explain(&url, &error))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// A failed connection in the words of the real one's HTTP client.
fn explain(url: &str, error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let port = parsed.as_ref().and_then(url::Url::port_or_known_default).unwrap_or_default();
    if words.contains("dns error") {
        return format!("Post \"{url}\": dial tcp: lookup {host} on 127.0.0.11:53: no such host");
    }
    if words.contains("refused") {
        return format!("Post \"{url}\": dial tcp {host}:{port}: connect: connection refused");
    }
    format!("Post \"{url}\": {words}")
}

pub async fn health(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let base = double.model().data_source(&uid).map(|source| source.text("url").to_owned());
    let Some(base) = base else { return Reply::message(500, "Unable to load datasource metadata") };
    let failed = |why: &str| {
        let message = format!("{why} - There was an error returned querying the Prometheus API.");
        Reply::new(400, json!({"message": message, "status": "ERROR"}))
    };
    match double.ask(&base, "/api/v1/query", &[("query", "1+1".to_owned())]).await {
        Ok((200, body)) if text(&body, "status") == "success" => Reply::ok(json!({
            "details": {"application": "Prometheus", "features": {"rulerApiEnabled": false}},
            "message": "Successfully queried the Prometheus API.", "status": "OK",
        })),
        Ok((status, _)) => failed(&format!("unexpected status {status}")),
        Err(why) => failed(&why),
    }
}

pub async fn query(State(double): State<Shared>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let range = (milliseconds(&body["from"], now), milliseconds(&body["to"], now));
    let mut results = Map::new();
    let mut worst = 200;
    for query in body["queries"].as_array().into_iter().flatten() {
        let uid = text(&query["datasource"], "uid");
        let source = double.model().data_source(uid).cloned();
        let Some(source) = source else { return Reply::message(404, "Data source not found") };
        let interval = text(source.keys.get("jsonData").unwrap_or(&Value::Null), "timeInterval");
        let step = step_of(query, range, seconds(interval).unwrap_or(15));
        let (status, result) = run(&double, source.text("url"), query, range, step).await;
        worst = worst.max(status);
        results.insert(text(query, "refId").to_owned(), result);
    }
    Reply::new(worst, json!({"results": results}))
}

async fn run(double: &Double, base: &str, query: &Value, (from, to): (i64, i64), step: i64) -> (u16, Value) {
    let expression = text(query, "expr");
    let instant = query["instant"].as_bool().unwrap_or(false);
    let stamp = |milliseconds: i64| format!("{}.{:03}", milliseconds / 1000, milliseconds.rem_euclid(1000));
    let asked = if instant {
        double.ask(base, "/api/v1/query", &[("query", expression.to_owned()), ("time", stamp(to))]).await
    } else {
        // From one multiple of the step to another, so that a reload draws the same points.
        let aligned = |milliseconds: i64| stamp(milliseconds.div_euclid(step * 1000) * step * 1000);
        let (start, end) = (aligned(from), aligned(to));
        let form = [("query", expression.to_owned()), ("start", start), ("end", end), ("step", step.to_string())];
        double.ask(base, "/api/v1/query_range", &form).await
    };
    let failed = |status: u16, error: String| {
        let frames = [empty_frame(query, step)];
        (status, json!({"error": error, "errorSource": "downstream", "status": status, "frames": frames}))
    };
    match asked {
        Ok((200, body)) => (200, json!({"status": 200, "frames": frames(query, &body["data"], step)})),
        Ok((status, body)) => failed(status, format!("{}: {}", text(&body, "errorType"), text(&body, "error"))),
        Err(why) => failed(500, why),
    }
}

/// The seconds from one point to the next: what the range and the points asked for make, rounded to a length people
/// know, and at least the data source's own.
fn step_of(query: &Value, (from, to): (i64, i64), least: i64) -> i64 {
    /// Lengths, each with the largest that is rounded to it.
    const ROUNDED: [(i64, i64); 12] = [
        (1, 1),
        (3, 2),
        (7, 5),
        (12, 10),
        (17, 15),
        (25, 20),
        (45, 30),
        (90, 60),
        (210, 120),
        (450, 300),
        (750, 600),
        (i64::MAX, 900),
    ];
    let points = query["maxDataPoints"].as_i64().filter(|&points| points > 0).unwrap_or(1500);
    let length = (to - from) / 1000 / points;
    let rounded = ROUNDED.iter().find(|(most, _)| length <= *most).map_or(1, |(_, length)| *length);
    rounded.max(query["intervalMs"].as_i64().unwrap_or(0) / 1000).max(least)
}

/// A point in time as the front end writes it: milliseconds, or `now` less something.
fn milliseconds(time: &Value, now: i64) -> i64 {
    if let Some(number) = time.as_i64() {
        return number;
    }
    let words = time.as_str().unwrap_or("now");
    if let Ok(number) = words.parse() {
        return number;
    }
    now - words.strip_prefix("now-").and_then(seconds).unwrap_or(0) * 1000
}

fn seconds(duration: &str) -> Option<i64> {
    let unit = duration.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = duration.split_at(unit);
    let size = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(number.parse::<i64>().ok()? * size)
}

pub async fn proxy(
    State(double): State<Shared>,
    Path((uid, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    body: Bytes,
) -> Response {
    let base = double.model().data_source(&uid).map(|source| source.text("url").to_owned());
    let Some(base) = base else { return Reply::message(404, "Data source not found").into_response() };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{}/{path}{query}", base.trim_end_matches('/'));
    match double.http.request(method, &url).body(body).send().await {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
            let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or("application/json").to_owned();
            (status, [(header::CONTENT_TYPE, content_type)], answer.bytes().await.unwrap_or_default()).into_response()
        }
        Err(_) => Reply::new(502, json!({})).into_response(),
    }
}
