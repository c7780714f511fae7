//! What a push says when it is done: a line a file, one warning for all that is only kept, one error for the rest.

use super::Push;
use crate::error::Error;
use crate::exit_code::Code;
use crate::exporter::client::Refusal;
use crate::output::Answer;
use crate::push::backlog::{Backlog, reports};
use crate::push::deliver::Kind;
use crate::reports::Counts;
use crate::words;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What became of one file.
pub struct Delivery {
    pub file: String,
    pub kind: Kind,
    pub end: End,
}

/// How it ended with a file.
pub enum End {
    /// The exporter has it.
    Stored(Value),
    /// The exporter does not answer or takes nothing now; the file waits in the spool.
    Spooled { kept: PathBuf, refusal: Refusal },
    /// The same, and it cannot be kept, either.
    Lost { refusal: Refusal, trouble: std::io::Error },
    /// The exporter refuses it.
    Refused(Refusal),
    /// It cannot be read here.
    Unreadable(String),
}

/// All that a push did.
pub struct Sent {
    pub deliveries: Vec<Delivery>,
    pub backlog: Backlog,
    /// What went from the spool because it is over its bounds, in words.
    pub dropped: Vec<String>,
}

/// The answer to a push.
pub fn of_push(push: &Push, sent: Sent, strict: bool) -> Answer {
    let Sent { deliveries, backlog, dropped } = sent;
    let mut answer = Answer::default();
    let mut lines = Vec::new();
    let mut files = Vec::new();
    let mut troubles: Vec<(String, Error)> = Vec::new();
    let mut spooled: Vec<Refusal> = Vec::new();
    let spool = spool_data(push, &backlog, deliveries.iter().filter(|one| one.is_spooled()).count());
    tell_backlog(&backlog, &mut lines, &mut answer.warnings);
    answer.warnings.extend(outside_window(&backlog, &deliveries));
    let standing = standing_of_runs(&deliveries);
    answer.warnings.extend(backlog.refused.iter().map(|(file, why)| format!("{file}, from the spool: {why}")));
    for Delivery { file, kind, end } in deliveries {
        let mut entry = json!({ "file": file, "kind": kind, "stored": false, "spooled": false });
        match end {
            End::Stored(mut receipt) => {
                let newest = receipt["run"].as_i64().and_then(|run| standing.get(&run));
                if let Some((_, newest)) = newest.filter(|(_, newest)| newest["standing"] != receipt["standing"]) {
                    receipt["standing"] = newest["standing"].clone();
                    receipt["held_out_because"] = newest["held_out_because"].clone();
                }
                lines.push(format!("{file}: {}", in_words(kind, &receipt)));
                answer.warnings.extend(warnings(&file, &receipt));
                answer.warnings.extend(older_defects(&file, &receipt));
                entry["stored"] = true.into();
                entry["receipt"] = receipt;
            }
            End::Spooled { kept, refusal } => {
                lines.push(format!("{file}: not delivered, kept in the spool"));
                entry["spooled"] = true.into();
                entry["kept"] = kept.display().to_string().into();
                spooled.push(refusal);
            }
            End::Lost { refusal, trouble } => {
                let why = refusal.into_error(push.client.base());
                let message = format!("{}, and it cannot be kept in the spool: {trouble}", why.message());
                entry["error"] = message.clone().into();
                troubles.push((file, Error::new(Code::ExporterUnreachable, message).retryable()));
            }
            End::Refused(refusal) => {
                let error = refusal.into_error(push.client.base());
                entry["error"] = error.message().into();
                troubles.push((file, error));
            }
            End::Unreadable(reason) => {
                entry["error"] = reason.clone().into();
                troubles.push((file, Error::new(Code::ReportRejected, reason)));
            }
        }
        files.push(entry);
    }
    let count = spooled.len();
    answer.verdict = verdict(&troubles, files.len());
    if let Some(refusal) = spooled.into_iter().next() {
        let why = refusal.into_error(push.client.base());
        let directory = push.spool.directory().display();
        let told = format!("{}; {} in the spool {directory} for the next push", why.message(), reports(count));
        match (&answer.verdict, strict) {
            (None, true) => {
                let hint = "The next push delivers it first; so does qastack push --flush.";
                answer.verdict = Some(Error::new(Code::ExporterUnreachable, told).hint(hint).retryable());
            }
            _ => answer.warnings.push(told),
        }
    }
    answer.warnings.extend(dropped);
    answer.data = json!({
        "url": push.client.address(),
        "project": push.project,
        "stored": files.len() - troubles.len() - count,
        "spooled": count,
        "rejected": troubles.len(),
        "files": files,
        "spool": spool,
    });
    answer.text = lines.join("\n");
    answer
}

/// The answer to a push of the spool alone. Here what still waits is an error: delivering it is all that was asked.
pub fn of_flush(push: &Push, backlog: Backlog) -> Answer {
    let mut answer = Answer { data: json!({ "url": push.client.address() }), ..Answer::default() };
    answer.data["spool"] = spool_data(push, &backlog, 0);
    let mut lines = Vec::new();
    tell_backlog(&backlog, &mut lines, &mut answer.warnings);
    answer.warnings.extend(outside_window(&backlog, &[]));
    if lines.is_empty() && backlog.waiting == 0 && backlog.refused.is_empty() {
        lines.push("nothing waits in the spool for this exporter".to_owned());
    }
    answer.text = lines.join("\n");
    answer.verdict = match backlog.stopped {
        Some(refusal) => {
            let waiting = reports(backlog.waiting);
            let error = refusal.into_error(push.client.base());
            let told = Error::new(error.code(), format!("{}; {waiting} in the spool", error.message()));
            let told = if error.is_retryable() { told.retryable() } else { told };
            Some(match error.hint_text() {
                Some(hint) => told.hint(hint),
                None => told,
            })
        }
        None => {
            let of = backlog.delivered.len() + backlog.refused.len();
            let refused = backlog.refused.into_iter();
            let troubles: Vec<_> = refused.map(|(file, why)| (file, Error::new(Code::ReportRejected, why))).collect();
            verdict(&troubles, of)
        }
    };
    answer
}

/// What the exporter says of runs that are older than its figures' window. Many files are often of one run: they are told
/// together.
fn outside_window(backlog: &Backlog, deliveries: &[Delivery]) -> Vec<String> {
    let stored = deliveries.iter().filter_map(|delivery| match &delivery.end {
        End::Stored(receipt) => Some((&delivery.file, receipt)),
        _ => None,
    });
    let mut told: BTreeMap<(&str, Option<i64>), Vec<&str>> = BTreeMap::new();
    for (file, receipt) in backlog.delivered.iter().map(|(file, receipt)| (file, receipt)).chain(stored) {
        if let Some(text) = receipt["outside_window"].as_str() {
            told.entry((text, receipt["run"].as_i64())).or_default().push(file);
        }
    }
    let warning = |((text, _), files): ((&str, _), Vec<&str>)| match files.as_slice() {
        [only] => format!("{only}: {text}"),
        [first, others @ ..] => {
            let others = words::counted(others.len() as u64, "more file", "more files");
            format!("{first} and {}: {text}", words::plain(&others))
        }
        [] => text.to_owned(),
    };
    told.into_iter().map(warning).collect()
}

/// How each run stands by the newest of its reports: those before it were answered before all of the run was known.
fn standing_of_runs(deliveries: &[Delivery]) -> BTreeMap<i64, (i64, Value)> {
    let mut runs: BTreeMap<i64, (i64, Value)> = BTreeMap::new();
    for delivery in deliveries {
        let End::Stored(receipt) = &delivery.end else { continue };
        let (Some(run), Some(report)) = (receipt["run"].as_i64(), receipt["report"].as_i64()) else { continue };
        let newest = runs.entry(run).or_insert_with(|| (report, receipt.clone()));
        if newest.0 < report {
            *newest = (report, receipt.clone());
        }
    }
    runs
}

impl Delivery {
    fn is_spooled(&self) -> bool {
        matches!(self.end, End::Spooled { .. })
    }
}

fn spool_data(push: &Push, backlog: &Backlog, added: usize) -> Value {
    let file = |(file, receipt): &(String, Value)| json!({ "file": file, "receipt": receipt });
    let refused = |(file, why): &(String, String)| json!({ "file": file, "error": why });
    json!({
        "directory": push.spool.directory().display().to_string(),
        "delivered": backlog.delivered.iter().map(file).collect::<Vec<_>>(),
        "refused": backlog.refused.iter().map(refused).collect::<Vec<_>>(),
        "waiting": backlog.waiting + added,
    })
}

fn tell_backlog(backlog: &Backlog, lines: &mut Vec<String>, told: &mut Vec<String>) {
    for (file, receipt) in &backlog.delivered {
        // A list of defects has no executions, a report no keys.
        let kind = if receipt.get("counts").is_some() { Kind::Report } else { Kind::Defects };
        lines.push(format!("{file}, from the spool: {}", in_words(kind, receipt)));
        told.extend(warnings(file, receipt));
        told.extend(older_defects(file, receipt));
    }
    told.extend(backlog.warnings.iter().cloned());
}

/// One error for all: every file that was not stored is named with its reason, and the first decides the code.
fn verdict(troubles: &[(String, Error)], of: usize) -> Option<Error> {
    let (_, first) = troubles.first()?;
    let reasons: Vec<String> = troubles.iter().map(|(file, error)| format!("{file}: {}", error.message())).collect();
    let message = match (troubles.len(), of) {
        (1, 1) => reasons.join(""),
        (count, of) => {
            let were = words::counted(of as u64, "file was", "files were");
            format!("{count} of {} not stored: {}", words::plain(&were), reasons.join("; "))
        }
    };
    let mut error = Error::new(first.code(), message);
    if let Some(hint) = first.hint_text() {
        error = error.hint(hint);
    }
    Some(if troubles.iter().all(|(_, error)| error.is_retryable()) { error.retryable() } else { error })
}

fn in_words(kind: Kind, receipt: &Value) -> String {
    let number = |path: &str| receipt.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    if kind == Kind::Defects {
        let (added, changed) = (words::counted(number("/added"), "defect", "defects"), number("/changed"));
        let (production, counted) = (number("/production"), number("/production") + number("/pre_release"));
        let valid = if counted == 1 { "valid one" } else { "valid ones" };
        let text = format!("{added} added, {changed} changed; {production} of {counted} {valid} from production");
        return words::plain(&text);
    }
    let counts = Counts {
        tests: number("/counts/tests"),
        passed: number("/counts/passed"),
        failed: number("/counts/failed"),
        errors: number("/counts/errors"),
        skipped: number("/counts/skipped"),
    };
    let mut text = words::plain(&words::tally(&counts, number("/flaky")));
    if receipt.get("duplicate") == Some(&Value::Bool(true)) {
        text.push_str(" (stored before, not counted again)");
    }
    if let Some(reason) = receipt.get("held_out_because").and_then(Value::as_str) {
        text.push_str(&format!(" (in no figure: {reason})"));
    }
    text
}

/// What the exporter says of defects that are older than its figures' window. An older exporter says nothing.
fn older_defects(file: &str, receipt: &Value) -> Option<String> {
    let number = |name: &str| receipt[name].as_u64().unwrap_or(0);
    let valid = number("production") + number("pre_release");
    let told = words::older_defects(number("older_than_window"), valid, number("window_days"))?;
    Some(format!("{file}: {told}"))
}

fn warnings(file: &str, receipt: &Value) -> Vec<String> {
    let warnings = receipt.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = warnings.iter().map(|warning| {
        let line = warning.get("line").and_then(Value::as_u64).unwrap_or(0);
        format!("{file}:{line}: {}", warning.get("text").and_then(Value::as_str).unwrap_or_default())
    });
    let left_out = receipt.get("warnings_left_out").and_then(Value::as_u64).filter(|count| *count > 0);
    told.chain(
        left_out.map(|count| {
            format!("{file}: and {}", words::plain(&words::counted(count, "more warning", "more warnings")))
        }),
    )
    .collect()
}
