//! Prometheus' answers as Grafana's data frames.

use super::reply::text;
use serde_json::{Map, Value, json};

/// One frame a series; for no series one frame without fields.
pub fn frames(query: &Value, data: &Value, step: i64) -> Vec<Value> {
    let series = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    if series.is_empty() {
        return vec![empty_frame(query, step)];
    }
    if text(data, "resultType") == "scalar" {
        let only = json!({"metric": {}, "value": data["result"]});
        return vec![frame(query, "scalar", &only, step)];
    }
    series.iter().map(|series| frame(query, text(data, "resultType"), series, step)).collect()
}

/// The frame of an answer without data, and of an error.
pub fn empty_frame(query: &Value, step: i64) -> Value {
    let meta = json!({
        "typeVersion": [0, 0], "custom": {"calculatedMinStep": step * 1000},
        "executedQueryString": executed(query, step),
    });
    json!({"schema": {"refId": query["refId"], "meta": meta, "fields": []}, "data": {"values": []}})
}

fn executed(query: &Value, step: i64) -> String {
    format!("Expr: {}\nStep: {step}s", text(query, "expr"))
}

fn frame(query: &Value, result_type: &str, series: &Value, step: i64) -> Value {
    let one = [series["value"].clone()];
    let samples = series["values"].as_array().map_or(one.as_slice(), Vec::as_slice);
    let times: Vec<i64> = samples.iter().map(|sample| milliseconds(&sample[0])).collect();
    let numbers: Vec<&str> = samples.iter().map(|sample| sample[1].as_str().unwrap_or_default()).collect();
    let values: Vec<Value> = numbers.iter().map(|number| json_number(number)).collect();
    let name = series["metric"]["__name__"].as_str().unwrap_or("Value");
    let kind = if result_type == "matrix" { "timeseries-multi" } else { "numeric-multi" };
    let mut data = json!({"values": [times, values]});
    if let Some(entities) = entities(&numbers) {
        data["entities"] = json!([null, entities]);
    }
    json!({
        "schema": {
            "refId": query["refId"],
            "meta": {
                "type": kind, "typeVersion": [0, 1],
                "custom": {"calculatedMinStep": step * 1000, "resultType": result_type},
                "executedQueryString": executed(query, step),
            },
            "fields": [
                {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}, "config": {"interval": step * 1000}},
                {"name": name, "type": "number", "typeInfo": {"frame": "float64"}, "labels": series["metric"],
                 "config": {"displayNameFromDS": display_name(&series["metric"])}},
            ],
        },
        "data": data,
    })
}

/// A sample's time in milliseconds, read from the digits: a float would be off by one now and then.
fn milliseconds(time: &Value) -> i64 {
    let digits = time.to_string();
    let (seconds, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = format!("{fraction:0<3}");
    seconds.parse::<i64>().unwrap_or(0) * 1000 + fraction[..3].parse::<i64>().unwrap_or(0)
}

/// JSON has no NaN and no infinities: they are null, and listed as entities.
fn json_number(number: &str) -> Value {
    number.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number)
}

fn entities(numbers: &[&str]) -> Option<Value> {
    let mut found = Map::new();
    for (name, spelling) in [("NaN", "NaN"), ("Inf", "+Inf"), ("NegInf", "-Inf")] {
        let rows: Vec<usize> = (0..numbers.len()).filter(|row| numbers[*row] == spelling).collect();
        if !rows.is_empty() {
            found.insert(name.to_owned(), json!(rows));
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

fn display_name(labels: &Value) -> String {
    let all = labels.as_object().cloned().unwrap_or_default();
    let mut pairs: Vec<String> =
        all.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    let name = text(labels, "__name__");
    if pairs.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(", ")) }
}
