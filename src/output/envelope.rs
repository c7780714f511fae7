//! The JSON envelope that every command prints with `--json`.

use super::Answer;
use crate::error::Error;
use serde_json::{Value, json};

/// Raised when a field is removed or changes its meaning; new fields do not raise it.
const SCHEMA_VERSION: u32 = 1;

/// One line: `{schema_version, command, ok, data, warnings, error}`; `ok` is true exactly when the exit code is 0.
pub fn render(command: &str, answer: &Answer, error: Option<&Error>) -> String {
    let error = error.map_or(Value::Null, |error| {
        json!({
            "code": error.code().word(),
            "message": error.message(),
            "hint": error.hint_text(),
            "retryable": error.is_retryable(),
        })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "ok": error.is_null(),
        "data": answer.data,
        "warnings": answer.warnings,
        "error": error,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::Code;

    #[test]
    fn ok_is_true_exactly_when_there_is_no_error() {
        let answer = Answer { data: json!({"a": 1}), ..Answer::default() };
        let fine: Value = serde_json::from_str(&render("status", &answer, None)).expect("JSON");
        assert_eq!(fine["ok"], true);
        assert_eq!(fine["error"], Value::Null);
        let error = Error::new(Code::Degraded, "grafana is missing").hint("Run qastack up.");
        let degraded: Value = serde_json::from_str(&render("status", &answer, Some(&error))).expect("JSON");
        assert_eq!(degraded["ok"], false);
        assert_eq!(degraded["data"]["a"], 1, "data is there on an error too");
        assert_eq!(degraded["error"]["code"], "degraded");
        assert_eq!(degraded["error"]["hint"], "Run qastack up.");
    }
}
