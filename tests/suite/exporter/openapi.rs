//! `docs/openapi.yaml` says what the exporter does: the same paths, the same methods, the same codes of answers.

use super::running::Running;
use crate::http;
use serde_yaml::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Each path of the document with its methods.
fn described() -> BTreeMap<String, BTreeSet<String>> {
    let paths = document()["paths"].clone();
    let methods = |value: &Value| {
        let keys = value.as_mapping().unwrap().keys().filter_map(Value::as_str);
        keys.filter(|key| *key != "parameters").map(str::to_uppercase).collect()
    };
    paths
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(path, value)| (path.as_str().unwrap().to_owned(), methods(value)))
        .collect()
}

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_route_is_described_and_every_described_path_is_a_route() {
    let code = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/exporter/routes.rs")).unwrap();
    let routes: BTreeSet<String> =
        code.split(".route(").skip(1).map(|rest| rest.split('"').nth(1).expect("a path").to_owned()).collect();
    // What a page needs to look well is no part of the API.
    let routes: BTreeSet<String> = routes.into_iter().filter(|path| !path.starts_with("/assets/")).collect();
    let described: BTreeSet<String> = described().into_keys().collect();
    assert_eq!(described, routes);
}

#[test]
fn every_described_method_is_possible_and_no_other_is() {
    let exporter = Running::start();
    let host = [("Host", exporter.address.as_str())];
    for (path, methods) in described() {
        let concrete: String = path.replace("{run}", "1").replace(['{', '}'], "");
        let refused = http::send(&exporter.address, "PATCH", &concrete, &host, "");
        assert_eq!(refused.status, 405, "{path}");
        let allowed: BTreeSet<String> = refused.headers["allow"].split(',').map(str::to_owned).collect();
        let allowed: BTreeSet<String> = allowed.into_iter().filter(|method| method != "HEAD").collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[test]
fn what_is_answered_is_described() {
    let exporter = Running::start();
    let document = document();
    for (path, methods) in described() {
        for method in methods {
            let concrete: String = path.replace("{run}", "1").replace("{figure}", "flake_rate").replace(['{', '}'], "");
            for body in ["", "{}"] {
                let answer = match method.as_str() {
                    "GET" => exporter.get(&concrete),
                    "POST" => exporter.post(&concrete, body),
                    method => http::send(&exporter.address, method, &concrete, &[("Host", &exporter.address)], body),
                };
                let responses = &document["paths"][path.as_str()][method.to_lowercase().as_str()]["responses"];
                let known = responses.get(answer.status.to_string()).or_else(|| responses.get("default"));
                let response = known.unwrap_or_else(|| panic!("{method} {path} answers {}", answer.status));
                let is_problem =
                    answer.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json");
                assert_eq!(is_problem, response.get("$ref").is_some(), "{method} {path}: {answer:?}");
            }
        }
    }
}
