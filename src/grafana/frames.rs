//! Reads Grafana's data frames: columns with a schema, values beside it.

use super::query::Point;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct QueryResult {
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    schema: Schema,
    data: Data,
}

#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    values: Vec<Vec<Value>>,
    /// What JSON has no number for: a column's rows that are NaN or infinite, with null in `values`.
    #[serde(default)]
    entities: Option<Vec<Option<Entities>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entities {
    #[serde(rename = "NaN")]
    nan: Vec<usize>,
    #[serde(rename = "Inf")]
    infinity: Vec<usize>,
    #[serde(rename = "NegInf")]
    negative_infinity: Vec<usize>,
}

/// The last row of each number column of one query's result.
pub(super) fn points(result: &Value) -> Result<Vec<Point>, serde_json::Error> {
    let result = QueryResult::deserialize(result)?;
    Ok(result.frames.iter().flat_map(points_of_frame).collect())
}

fn points_of_frame(frame: &Frame) -> Vec<Point> {
    let Some(time) = frame.schema.fields.iter().position(|field| field.kind == "time") else { return Vec::new() };
    let times = frame.data.values.get(time).map(Vec::as_slice).unwrap_or_default();
    let Some(row) = times.len().checked_sub(1) else { return Vec::new() };
    let Some(timestamp) = times[row].as_i64() else { return Vec::new() };
    let columns = frame.schema.fields.iter().enumerate().filter(|(_, field)| field.kind == "number");
    columns
        .filter_map(|(column, field)| {
            let value = frame.data.number(column, row)?;
            Some(Point { labels: field.labels.clone().unwrap_or_default(), value, timestamp })
        })
        .collect()
}

impl Data {
    fn number(&self, column: usize, row: usize) -> Option<f64> {
        let value = self.values.get(column)?.get(row)?;
        if let Some(number) = value.as_f64() {
            return Some(number);
        }
        let entities = self.entities.as_ref()?.get(column)?.as_ref()?;
        let listed = |rows: &[usize]| rows.contains(&row);
        match () {
            () if listed(&entities.nan) => Some(f64::NAN),
            () if listed(&entities.infinity) => Some(f64::INFINITY),
            () if listed(&entities.negative_infinity) => Some(f64::NEG_INFINITY),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_recorded_frame_gives_labels_value_and_time() {
        let result = json!({"status": 200, "frames": [{
            "schema": {"refId": "A", "fields": [
                {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}},
                {"name": "flake_rate", "type": "number", "labels": {"__name__": "flake_rate", "job": "test-metrics"}},
            ]},
            "data": {"values": [[1_795_381_718_624_i64], [0.08]]},
        }]});
        let points = points(&result).unwrap();
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].labels["job"], "test-metrics");
        assert_eq!((points[0].value, points[0].timestamp), (0.08, 1_795_381_718_624));
    }

    #[test]
    fn nan_and_infinities_are_values_although_json_has_no_number_for_them() {
        let frame = |entities: Value| {
            json!({"frames": [{
                "schema": {"fields": [{"name": "Time", "type": "time"}, {"name": "x", "type": "number"}]},
                "data": {"values": [[1], [null]], "entities": [null, entities]},
            }]})
        };
        assert!(points(&frame(json!({"NaN": [0]}))).unwrap()[0].value.is_nan());
        assert_eq!(points(&frame(json!({"Inf": [0]}))).unwrap()[0].value, f64::INFINITY);
        assert_eq!(points(&frame(json!({"NegInf": [0]}))).unwrap()[0].value, f64::NEG_INFINITY);
    }

    #[test]
    fn no_data_is_no_point() {
        let result = json!({"frames": [{"schema": {"fields": []}, "data": {"values": []}}]});
        assert_eq!(points(&result).unwrap(), []);
    }
}
