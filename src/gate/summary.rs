//! The verdict as Markdown, for a job's page. Names of others never make markup of their own there.

use super::{Check, demanded, told};
use std::fmt::Write;

/// The verdict as a table.
pub fn markdown(project: &str, trouble: Option<&str>, note: Option<&str>, checks: &[Check]) -> String {
    let passed = trouble.is_none() && checks.iter().all(|check| check.passed != Some(false));
    let mut page = format!("## qastack gate: {}\n\n", if passed { "passed" } else { "failed" });
    // Writing into a String cannot fail.
    let _ = writeln!(page, "Project `{}`\n", harmless(project));
    if let Some(trouble) = trouble {
        let _ = writeln!(page, "**{trouble}**\n");
    }
    if let Some(note) = note {
        let _ = writeln!(page, "⚠️ {}\n", harmless(note));
    }
    if !checks.is_empty() {
        page.push_str("| | figure | value | demanded |\n|---|---|---:|---|\n");
    }
    for check in checks {
        let (sign, value) = match check.passed {
            Some(true) => ("✅", told(check)),
            Some(false) => ("❌", told(check)),
            None => ("➖", format!("not compared: {}", harmless(&check.reason))),
        };
        let _ = writeln!(page, "| {sign} | `{}` | {value} | {} |", check.figure.word(), harmless(&demanded(check)));
    }
    page
}

/// A text that ends neither the cell nor the code it stands in.
fn harmless(text: &str) -> String {
    text.replace(['`', '|', '\n', '\r'], "")
}
