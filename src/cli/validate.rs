//! `qastack validate`: what a report says as we read it, before anything is sent anywhere.

use super::Context;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use crate::packed;
use crate::push::find::{Found, find};
use crate::push::standard_input;
use crate::reports::{Counts, Limits, TestRun, Unreadable, Warning, read};
use crate::words;
use clap::Args;
use serde_json::json;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most that is unpacked: more is no report.
const MOST: u64 = 4 << 30;

/// Read test reports and say what is in them, without sending them
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files, globs and directories, - for standard input, as for push: JUnit XML, CTRF, Playwright JSON, go test -json,
    /// TRX, NUnit 3, xUnit v2
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub async fn run(arguments: ValidateArgs, _context: &Context) -> Result<Answer> {
    let files = arguments.files;
    // Reading and parsing block; a thread of their own keeps Ctrl-C alive.
    tokio::task::spawn_blocking(move || match files.as_slice() {
        [only] if only.as_os_str() == standard_input::ARGUMENT => validate_standard_input(),
        [only] if !only.is_dir() && !only.to_string_lossy().contains(['*', '?']) => validate(only),
        _ => Ok(validate_all(find(&files))),
    })
    .await
    .map_err(|cause| Error::new(Code::Unexpected, format!("the reports' reader stopped: {cause}")))?
}

/// Each file with what is in it, or why it cannot be used; one that cannot does not keep the others back.
fn validate_all(found: Found) -> Answer {
    let (mut told, mut data, mut warnings, mut unusable) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let missing = found.missing.into_iter().map(|(name, reason)| {
        let error = Error::new(Code::ReportRejected, format!("{name}: {reason}"));
        (name, Err(error))
    });
    let read = found.files.iter().map(|path| (path.display().to_string(), validate(path)));
    let input = found.standard_input.then(|| (standard_input::NAME.to_owned(), validate_standard_input()));
    for (file, answer) in missing.chain(read).chain(input) {
        let (answer, error) = match answer {
            Ok(Answer { verdict: None, data, text, warnings, .. }) => (Some((data, text, warnings)), None),
            Ok(Answer { verdict: Some(error), .. }) | Err(error) => (None, Some(error)),
        };
        if let Some((of_file, text, own)) = answer {
            told.push(format!("{file}: {text}"));
            warnings.extend(own.into_iter().map(|warning| format!("{file}: {warning}")));
            let mut of_file = of_file;
            of_file["file"] = json!(file);
            data.push(of_file);
        }
        if let Some(error) = error {
            unusable += 1;
            told.push(error.to_string());
            data.push(json!({ "file": file, "error": error.message() }));
        }
    }
    let all = data.len();
    let verdict = (unusable > 0).then(|| {
        let of = words::plain(&words::counted(all as u64, "file", "files"));
        Error::new(Code::ReportRejected, format!("{unusable} of {of} cannot be used"))
            .hint("What is wrong with each of them stands above.")
    });
    Answer { data: json!({ "files": data }), text: told.join("\n"), warnings, verdict }
}

fn validate(file: &Path) -> Result<Answer> {
    let shown = file.display();
    let is_list = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    if is_list {
        return Err(Error::new(
            Code::ReportRejected,
            format!("{shown} is a list of defects by its name, and no test report"),
        )
        .hint(format!("See what is in it with qastack import defects {shown} --dry-run.")));
    }
    let bytes = packed::open(file).and_then(all_of).map_err(|cause| {
        Error::new(Code::ReportRejected, format!("cannot read {shown}: {cause}")).hint("Name a file that exists.")
    })?;
    validate_bytes(&shown, &bytes)
}

fn validate_standard_input() -> Result<Answer> {
    standard_input::is_sent()?;
    let bytes = packed::unpacked(std::io::stdin()).and_then(all_of).map_err(|cause| {
        Error::new(Code::ReportRejected, format!("cannot read {}: {cause}", standard_input::NAME))
            .hint("Name the report's file instead.")
    })?;
    validate_bytes(&standard_input::NAME, &bytes)
}

fn all_of(content: Box<dyn Read>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn validate_bytes(shown: &dyn Display, bytes: &[u8]) -> Result<Answer> {
    let run = read(bytes, &Limits::default()).map_err(|unreadable| Error::from(unreadable).context(shown))?;
    // The exporter refuses it as well: a run without tests is nearly always a run that went wrong.
    let verdict = run.executions.is_empty().then(|| Error::from(Unreadable::NoTests).context(shown));
    Ok(Answer {
        data: data(&run),
        text: if verdict.is_some() { String::new() } else { told(&run) },
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

fn told(run: &TestRun) -> String {
    let counts = run.counts();
    let mut text = format!("{}: {}", format_name(run), words::plain(&words::tally(&counts, run.flaky())));
    // What failed outside of tests is no element, so that there may also be fewer of them.
    if run.elements.tests > counts.tests {
        let elements = words::counted(run.elements.tests, "test case element is", "test case elements are");
        let tests = words::counted(counts.tests, "test", "tests");
        text.push_str(&words::plain(&format!("\nretries folded: {elements} {tests}")));
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
    let told = || words::counted(run.warnings_left_out, "more warning is", "more warnings are");
    (run.warnings_left_out > 0).then(|| words::plain(&format!("{} left out", told())))
}
