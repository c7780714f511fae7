//! `qastack validate`: what a report says as we read it, before anything is sent anywhere.

use super::Context;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use crate::reports::{Counts, Limits, TestRun, Unreadable, Warning, read};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Read a test report and say what is in it, without sending it
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The report, in any format that is read: JUnit XML, CTRF, Playwright JSON, go test -json, TRX, NUnit 3, xUnit v2
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub async fn run(arguments: ValidateArgs, _context: &Context) -> Result<Answer> {
    let file = arguments.file;
    // Reading and parsing block; a thread of their own keeps Ctrl-C alive.
    tokio::task::spawn_blocking(move || validate(&file))
        .await
        .map_err(|cause| Error::new(Code::Unexpected, format!("the report's reader stopped: {cause}")))?
}

fn validate(file: &Path) -> Result<Answer> {
    let shown = file.display();
    let limits = Limits::default();
    let bytes = std::fs::read(file).map_err(|cause| {
        Error::new(Code::ReportRejected, format!("cannot read {shown}: {cause}")).hint("Name a file that exists.")
    })?;
    let run = read(&bytes, &limits).map_err(|unreadable| Error::from(unreadable).context(&shown))?;
    // The exporter refuses it as well: a run without tests is nearly always a run that went wrong.
    let verdict = run.executions.is_empty().then(|| Error::from(Unreadable::NoTests).context(&shown));
    Ok(Answer {
        data: data(&run),
        text: if verdict.is_some() { String::new() } else { words(&run) },
        warnings: run.warnings.iter().map(in_words).chain(left_out(&run)).collect(),
        verdict,
    })
}

fn data(run: &TestRun) -> serde_json::Value {
    let Counts { tests, passed, failed, errors, skipped } = run.counts();
    json!({
        "format": run.format,
        "elements": run.elements,
        "tests": tests,
        "passed": passed,
        "failed": failed,
        "errors": errors,
        "skipped": skipped,
        "flaky": run.flaky(),
        "warnings": run.warnings,
        "warnings_left_out": run.warnings_left_out,
        "reported_start": run.reported_start,
        "duration_seconds": run.duration.map(|duration| duration.as_secs_f64()),
    })
}

fn words(run: &TestRun) -> String {
    let Counts { tests, passed, failed, errors, skipped } = run.counts();
    let mut text = format!(
        "{}: {tests} tests, {passed} passed ({} of them flaky), {failed} failed, {errors} errors, {skipped} skipped",
        format_name(run),
        run.flaky(),
    );
    if run.elements.tests != tests {
        text.push_str(&format!("\nretries folded: {} test case elements are {tests} tests", run.elements.tests));
    }
    text
}

fn format_name(run: &TestRun) -> String {
    serde_json::to_value(run.format).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn in_words(warning: &Warning) -> String {
    format!("line {}: {} ({})", warning.line, warning.text, warning.code)
}

fn left_out(run: &TestRun) -> Option<String> {
    (run.warnings_left_out > 0).then(|| format!("{} more warnings are left out", run.warnings_left_out))
}
