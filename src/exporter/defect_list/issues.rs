//! What the trackers call things in their JSON: which of their fields we read, and what names an issue uniquely.

use super::fields::LONGEST;
use crate::quality::Defect;
use serde_json::{Map, Value};
use url::Url;

/// Whose issue an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields of the names that a CSV's columns have.
    Plain,
    /// Jira's REST API: `key`, and everything else in `fields`.
    Jira,
    /// GitHub's REST API or its `gh` tool.
    Github,
    /// GitLab's REST API.
    Gitlab,
}

impl Shape {
    /// Whose it is, by the fields that only this tracker writes.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
        let dated = has(&["created", "created_at"]);
        if object.get("fields").is_some_and(Value::is_object) && !dated {
            Self::Jira
        } else if has(&["iid"]) && has(&["web_url", "project_id", "references"]) {
            Self::Gitlab
        } else if has(&["number"])
            && has(&["createdAt", "closedAt", "stateReason", "html_url", "node_id", "state_reason"])
        {
            Self::Github
        } else {
            Self::Plain
        }
    }

    /// Whether a field that means nothing to us is kept for rules to ask for. An answer of an API says much that
    /// is no field of a defect.
    pub(super) fn keeps(self, name: &str) -> bool {
        match self {
            Self::Plain => true,
            Self::Jira => name.starts_with("customfield_") || matches!(name, "fixVersions" | "project"),
            Self::Github | Self::Gitlab => name == "milestone",
        }
    }
}

/// The fields of an issue that are read, by name. Numbers that only the tracker's own computers use are no keys.
pub(super) fn fields(shape: Shape, object: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let own = object.iter().map(|(name, value)| (name.as_str(), value));
    match shape {
        Shape::Plain => own.filter(|(name, value)| *name != "fields" || !value.is_object()).collect(),
        Shape::Jira => {
            let inner = object.get("fields").and_then(Value::as_object).into_iter().flatten();
            let inner = inner.map(|(name, value)| (name.as_str(), value));
            own.filter(|(name, _)| *name == "key").chain(inner).collect()
        }
        Shape::Github => {
            let is_api = object.contains_key("html_url");
            own.filter(|(name, _)| *name != "id" && (*name != "url" || !is_api)).collect()
        }
        // `type` is `ISSUE` for incidents, too, in some of its versions; `issue_type` tells them apart.
        Shape::Gitlab => own.filter(|(name, _)| !matches!(*name, "id" | "type")).collect(),
    }
}

/// The fields that a list of our own keeps under their own names.
pub(super) fn own_fields(object: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    let fields = object.get("fields").and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

/// GitHub lists pull requests among the issues.
pub(super) fn is_pull_request(object: &Map<String, Value>) -> bool {
    object.get("pull_request").is_some_and(Value::is_object)
}

/// What a value says, each of its parts: names for objects, the words for rich text.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(object) if object.get("type").is_some_and(|kind| kind == "doc") => {
            let mut words = Vec::new();
            prose(value, &mut words);
            vec![words.join(" ")]
        }
        Value::Object(object) => {
            let name = ["name", "value", "title", "displayName", "full", "key"].iter();
            let mut texts: Vec<String> = name.filter_map(|name| object.get(*name)).take(1).flat_map(texts).collect();
            // A choice within a choice.
            if let (Some(text), Some(child)) = (texts.first_mut(), object.get("child")) {
                self::texts(child).iter().for_each(|child| text.push_str(&format!(" / {child}")));
            }
            texts
        }
    }
}

/// The words of Atlassian's rich text.
fn prose(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            words.extend(object.get("text").and_then(Value::as_str).map(str::to_owned));
            object.get("content").iter().for_each(|content| prose(content, words));
        }
        Value::Array(list) => list.iter().for_each(|part| prose(part, words)),
        _ => {}
    }
}

/// What an issue says elsewhere than in a field of its own: the address for people, and the name it is known by.
pub(super) fn complete(shape: Shape, object: &Map<String, Value>, defect: &mut Defect) {
    match shape {
        Shape::Plain => {}
        Shape::Jira => {
            let api = object.get("self").and_then(Value::as_str).and_then(|text| text.parse::<Url>().ok());
            if let Some(address) = api.and_then(|api| api.join(&format!("/browse/{}", defect.key)).ok()) {
                defect.url = address.into();
            }
        }
        Shape::Github | Shape::Gitlab => name_by_address(defect),
    }
}

/// A number is unique in one repository only, and one project may be fed by several: `group/shop#12`.
pub(super) fn name_by_address(defect: &mut Defect) {
    let Ok(url) = defect.url.parse::<Url>() else { return };
    let ending = ["/-/issues/", "/-/work_items/", "/issues/"].iter().find_map(|part| url.path().split_once(part));
    let Some((repository, number)) = ending else { return };
    let repository = repository.trim_matches('/');
    if number.trim_end_matches('/') == defect.key && !repository.is_empty() {
        let name = format!("{repository}#{}", defect.key);
        // A longer one would be cut where it is read next, and name all issues of its repository.
        if name.chars().count() <= LONGEST {
            defect.key = name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_says_its_name_its_choice_or_its_words() {
        let rich = json!({"type": "doc", "version": 1, "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "Production,"}, {"type": "text", "text": "EU"}]}
        ]});
        for (value, expected) in [
            (json!({"self": "x", "name": "High", "id": "2"}), vec!["High"]),
            (json!({"value": "Live", "child": {"value": "EU"}}), vec!["Live / EU"]),
            (json!([{"name": "ui"}, {"name": "api"}]), vec!["ui", "api"]),
            (rich, vec!["Production, EU"]),
            (json!(7), vec!["7"]),
            (json!(null), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(texts(&value), expected, "{value}");
        }
    }

    #[test]
    fn an_issue_is_named_with_its_repository_where_its_address_says_so() {
        for (url, key, expected) in [
            ("https://github.com/acme/shop/issues/12", "12", "acme/shop#12"),
            ("https://gitlab.example.com/acme/team/shop/-/issues/7", "7", "acme/team/shop#7"),
            ("https://gitlab.example.com/acme/shop/-/work_items/7", "7", "acme/shop#7"),
            ("https://gitlab.example.com/acme/shop/issues/7/", "7", "acme/shop#7"),
            ("https://github.com/acme/shop/issues/12", "13", "13"),
            ("no address", "12", "12"),
            (&format!("https://github.com/acme/{}/issues/12", "é".repeat(300)), "12", "12"),
        ] {
            let mut defect = Defect { key: key.to_owned(), url: url.to_owned(), ..Defect::default() };
            name_by_address(&mut defect);
            assert_eq!(defect.key, expected, "{url}");
        }
    }
}
