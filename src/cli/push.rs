//! `qastack push`: test reports and defect lists to the exporter, from a job or by hand.

use super::Context;
use super::exporter::ExporterArgs;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::{Client, Refusal};
use crate::output::Answer;
use crate::push::ci::{self, Environment};
use crate::push::deliver::{Kind, Parcel};
use crate::push::find::find;
use crate::push::git;
use crate::store::RunMeta;
use clap::Args;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Send test reports and defect lists to the exporter
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Files, globs and directories; without any, every report below the working directory. A .csv is a defect list
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    exporter: ExporterArgs,
    /// The project the reports belong to
    #[arg(long, env = "QASTACK_PUSH__PROJECT", value_name = "NAME", default_value = "default")]
    report_project: String,
    #[command(flatten)]
    run: RunArgs,
}

/// The run; what is not given is taken from the CI system, then from git.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run (taken from the CI system and git where not given)")]
pub struct RunArgs {
    /// The branch
    #[arg(long, env = "QASTACK_PUSH__BRANCH", value_name = "NAME")]
    branch: Option<String>,
    /// The commit
    #[arg(long, env = "QASTACK_PUSH__COMMIT", value_name = "SHA")]
    commit: Option<String>,
    /// The commit's tree; equal code has an equal tree
    #[arg(long, env = "QASTACK_PUSH__TREE", value_name = "SHA")]
    tree: Option<String>,
    /// The run's key; attempts of one run share it
    #[arg(long, env = "QASTACK_PUSH__RUN", value_name = "KEY")]
    run: Option<String>,
    /// The attempt of the run, from 1
    #[arg(long, env = "QASTACK_PUSH__ATTEMPT", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// The job in the run
    #[arg(long, env = "QASTACK_PUSH__JOB", value_name = "NAME")]
    job: Option<String>,
    /// The part of a job that is split over machines
    #[arg(long, env = "QASTACK_PUSH__SHARD", value_name = "NAME")]
    shard: Option<String>,
    /// The environment that was tested
    #[arg(long, env = "QASTACK_PUSH__ENVIRONMENT", value_name = "NAME")]
    environment: Option<String>,
    /// The cell of a matrix, such as linux-x64; it is part of each test's identity
    #[arg(long, env = "QASTACK_PUSH__VARIANT", value_name = "NAME")]
    variant: Option<String>,
    /// The pull request's number
    #[arg(long, env = "QASTACK_PUSH__PULL_REQUEST", value_name = "NUMBER")]
    pull_request: Option<String>,
    /// The project's default branch
    #[arg(long, env = "QASTACK_PUSH__DEFAULT_BRANCH", value_name = "NAME")]
    default_branch: Option<String>,
}

/// Uploads that go side by side.
const SIDE_BY_SIDE: usize = 4;

/// Sends everything; a file that is refused does not keep the others back.
///
/// # Errors
/// Nothing is found, or the exporter cannot be spoken to. What became of each file is in the answer.
pub async fn run(arguments: PushArgs, context: &Context) -> Result<Answer> {
    let client = arguments.exporter.client(context).await?;
    let found = find(&arguments.files);
    if found.files.is_empty() && found.missing.is_empty() {
        return Err(Error::new(Code::Usage, "no test report is found below the working directory")
            .hint("Name the files, such as qastack push 'target/surefire-reports/*.xml'."));
    }
    let environment: Environment = std::env::vars().collect();
    let meta = arguments.run.meta(&environment);
    let missing = found.missing.into_iter().map(|name| {
        let reason = "there is no such file, and no report below it".to_owned();
        Delivery { file: name, kind: Kind::Report, end: End::Unreadable(reason) }
    });
    let sending = found.files.iter().map(|path| deliver(&client, path, &arguments.report_project, &meta));
    let sent: Vec<Delivery> = futures_util::stream::iter(sending).buffered(SIDE_BY_SIDE).collect().await;
    let deliveries: Vec<Delivery> = missing.chain(sent).collect();
    Ok(answer(deliveries, &client, &arguments.report_project))
}

impl RunArgs {
    /// What is given, else what the CI system says, else what git says.
    fn meta(&self, environment: &Environment) -> RunMeta {
        let ci = ci::detect(environment).unwrap_or_default();
        let checkout = git::checkout();
        // On a pull request GitHub's own commit is a merge that nobody ever sees again.
        let reviewed = environment
            .get("GITHUB_EVENT_PATH")
            .filter(|_| ci.provider == "github" && ci.pull_request.is_some())
            .and_then(|path| ci::commit_of_github_event(&std::fs::read_to_string(path).ok()?));
        let given = self.clone();
        RunMeta {
            run: given.run.or(ci.run),
            attempt: given.attempt.or(ci.attempt).unwrap_or(1),
            job: given.job.or(ci.job),
            shard: given.shard.or(ci.shard),
            branch: given.branch.or(ci.branch).or(checkout.branch),
            // A tree belongs to what is checked out; beside another commit's name it would tie two codes together.
            tree: given.tree.or(if given.commit.is_none() { checkout.tree } else { None }),
            commit: given.commit.or(reviewed).or(ci.commit).or(checkout.commit),
            pull_request: given.pull_request.or(ci.pull_request),
            environment: given.environment,
            variant: given.variant,
            ci_provider: Some(ci.provider.to_owned()).filter(|name| !name.is_empty()),
            ci_url: ci.url.filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            started_at: None,
            default_branch: given.default_branch,
        }
    }
}

/// What became of one file.
struct Delivery {
    file: String,
    kind: Kind,
    end: End,
}

enum End {
    /// The exporter has it.
    Stored(Value),
    /// The exporter refuses it, or does not answer.
    Refused(Refusal),
    /// It cannot be read here.
    Unreadable(String),
}

async fn deliver(client: &Client, path: &Path, project: &str, meta: &RunMeta) -> Delivery {
    let parcel = tokio::task::spawn_blocking({
        let (path, project, meta) = (PathBuf::from(path), project.to_owned(), meta.clone());
        move || Parcel::pack(&path, std::fs::read(&path)?, &project, &meta)
    });
    let end = match parcel.await.map_err(std::io::Error::other).flatten() {
        Ok(parcel) => match parcel.send(client).await {
            Ok(receipt) => End::Stored(receipt),
            Err(refusal) => End::Refused(refusal),
        },
        Err(error) => End::Unreadable(error.to_string()),
    };
    Delivery { file: path.display().to_string(), kind: Kind::of(path), end }
}

fn answer(deliveries: Vec<Delivery>, client: &Client, project: &str) -> Answer {
    let mut answer = Answer::default();
    let mut lines = Vec::new();
    let mut files = Vec::new();
    let mut troubles: Vec<(String, Error)> = Vec::new();
    for Delivery { file, kind, end } in deliveries {
        let entry = match end {
            End::Stored(receipt) => {
                lines.push(format!("{file}: {}", in_words(kind, &receipt)));
                answer.warnings.extend(warnings(&file, &receipt));
                json!({ "file": file, "kind": kind, "stored": true, "receipt": receipt })
            }
            End::Refused(refusal) => {
                let error = refusal.into_error(client.base());
                let entry = json!({ "file": file, "kind": kind, "stored": false, "error": error.message() });
                troubles.push((file, error));
                entry
            }
            End::Unreadable(reason) => {
                let entry = json!({ "file": file, "kind": kind, "stored": false, "error": reason });
                troubles.push((file, Error::new(Code::ReportRejected, reason)));
                entry
            }
        };
        files.push(entry);
    }
    answer.verdict = verdict(&troubles, files.len());
    answer.data = json!({
        "url": client.base().as_str(),
        "project": project,
        "stored": files.len() - troubles.len(),
        "rejected": troubles.len(),
        "files": files,
    });
    answer.text = lines.join("\n");
    answer
}

/// One error for all: every file that was not stored is named with its reason, and the first decides the code.
fn verdict(troubles: &[(String, Error)], of: usize) -> Option<Error> {
    let (_, first) = troubles.first()?;
    let reasons: Vec<String> = troubles.iter().map(|(file, error)| format!("{file}: {}", error.message())).collect();
    let message = match (troubles.len(), of) {
        (1, 1) => reasons.join(""),
        (count, of) => format!("{count} of {of} files were not stored: {}", reasons.join("; ")),
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
        let (added, changed) = (number("/added"), number("/changed"));
        let (production, counted) = (number("/production"), number("/production") + number("/pre_release"));
        return format!(
            "{added} defects added, {changed} changed; {production} of {counted} valid ones from production"
        );
    }
    let mut parts = vec![format!("{} passed", number("/counts/passed"))];
    for (path, word) in [("/counts/failed", "failed"), ("/counts/errors", "errors"), ("/counts/skipped", "skipped")] {
        if number(path) > 0 {
            parts.push(format!("{} {word}", number(path)));
        }
    }
    if number("/flaky") > 0 {
        parts.push(format!("{} flaky", number("/flaky")));
    }
    let mut text = format!("{} tests: {}", number("/counts/tests"), parts.join(", "));
    if receipt.get("duplicate") == Some(&Value::Bool(true)) {
        text.push_str(" (stored before, not counted again)");
    }
    if let Some(reason) = receipt.get("held_out_because").and_then(Value::as_str) {
        text.push_str(&format!(" (in no figure: {reason})"));
    }
    text
}

fn warnings(file: &str, receipt: &Value) -> Vec<String> {
    let warnings = receipt.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = warnings.iter().map(|warning| {
        let line = warning.get("line").and_then(Value::as_u64).unwrap_or(0);
        format!("{file}:{line}: {}", warning.get("text").and_then(Value::as_str).unwrap_or_default())
    });
    let left_out = receipt.get("warnings_left_out").and_then(Value::as_u64).filter(|count| *count > 0);
    told.chain(left_out.map(|count| format!("{file}: and {count} more warnings"))).collect()
}
