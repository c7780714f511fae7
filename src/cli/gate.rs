//! `qastack gate`: fail a job when figures are not as good as the team demands.

use super::exporter::ExporterArgs;
use super::{Context, said, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::gate::{Bound, Check, Demand, Limit, Reading, Readings, judge, markdown};
use crate::output::Answer;
use crate::push::ci;
use crate::settings::GateSettings;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Fail with exit code 20 when figures are not as good as demanded
#[derive(Debug, Args)]
pub struct GateArgs {
    #[command(flatten)]
    exporter: ExporterArgs,
    /// The project
    #[arg(long, env = "QASTACK_PUSH__PROJECT", value_name = "NAME", default_value = "default")]
    report_project: String,
    /// A figure may be at most this: flake_rate=0.1 or flake_rate=10%
    #[arg(long, value_name = "FIGURE=NUMBER")]
    max: Vec<Limit>,
    /// A figure must be at least this: pass_ratio=0.95
    #[arg(long, value_name = "FIGURE=NUMBER")]
    min: Vec<Limit>,
    /// A figure of the branch may be at most this much more than on the base branch
    #[arg(long, value_name = "FIGURE=NUMBER")]
    max_increase: Vec<Limit>,
    /// A figure of the branch may be at most this much less than on the base branch
    #[arg(long, value_name = "FIGURE=NUMBER")]
    max_decrease: Vec<Limit>,
    /// The branch that is compared [default: the CI system's]
    #[arg(long, env = "QASTACK_PUSH__BRANCH", value_name = "NAME")]
    branch: Option<String>,
    /// The branch it is compared with [default: the pull request's target]
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Append a Markdown summary to this file [default: GITHUB_STEP_SUMMARY's]
    #[arg(long, env = "GITHUB_STEP_SUMMARY", value_name = "FILE")]
    summary: Option<PathBuf>,
}

/// Judges once.
///
/// # Errors
/// Nothing is demanded, or the exporter does not answer. A failed gate is the answer's verdict.
pub async fn run(arguments: GateArgs, context: &Context) -> Result<Answer> {
    let demands = arguments.demands(&stack::load_settings(context)?.settings.gate);
    if demands.is_empty() {
        return Err(Error::new(Code::Usage, "nothing is demanded")
            .hint("Name a limit, such as --max flake_rate=0.1, or write it into the settings under gate."));
    }
    let client = arguments.exporter.client(context).await?;
    let project = &arguments.report_project;
    let of_project = figures(&client, project, None).await?;
    let (branch, base) = arguments.branches();
    let (absolute, compared): (Vec<Demand>, Vec<Demand>) =
        demands.into_iter().partition(|demand| !demand.bound.compares());
    let mut checks = judge(&absolute, &of_project.readings, None);
    if !compared.is_empty() {
        let (Some(branch), Some(base)) = (branch, base) else {
            return Err(Error::new(Code::Usage, "it is not known which branches to compare")
                .hint("Name them with --branch and --base."));
        };
        let is = figures(&client, project, Some(&branch)).await?;
        let was = figures(&client, project, Some(&base)).await?;
        checks.extend(judge(&compared, &is.readings, Some(&was.readings)));
    }
    let trouble = of_project.sample.then_some("only sample data is there, and no gate passes on it");
    if let Some(path) = arguments.summary.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        append(path, &markdown(project, trouble, &checks))?;
    }
    Ok(answer(project, trouble, checks))
}

impl GateArgs {
    /// What the settings demand, and where a flag demands the same of the same figure, the flag.
    fn demands(&self, settings: &GateSettings) -> Vec<Demand> {
        let groups = [
            (Bound::Max, &settings.max, &self.max),
            (Bound::Min, &settings.min, &self.min),
            (Bound::MaxIncrease, &settings.max_increase, &self.max_increase),
            (Bound::MaxDecrease, &settings.max_decrease, &self.max_decrease),
        ];
        let mut demands = Vec::new();
        for (bound, limits, flags) in groups {
            let is_typed = |figure: &str| flags.iter().any(|limit| limit.figure == figure);
            let set = limits.iter().filter(|(figure, _)| !is_typed(figure));
            let set = set.map(|(figure, share)| Limit { figure: figure.clone(), value: share.0 });
            demands.extend(set.chain(flags.iter().cloned()).map(|limit| Demand { bound, limit }));
        }
        demands
    }

    fn branches(&self) -> (Option<String>, Option<String>) {
        let ci = ci::detect(&std::env::vars().collect()).unwrap_or_default();
        (said(self.branch.clone()).or(ci.branch), said(self.base.clone()).or(ci.base_branch))
    }
}

struct Asked {
    sample: bool,
    readings: Readings,
}

/// A project that is not there yet has no data; that is for the gate to judge.
async fn figures(client: &Client, project: &str, branch: Option<&str>) -> Result<Asked> {
    let mut url = client.url(&["api", "v1", "projects", project, "figures"]);
    if let Some(branch) = branch {
        url.query_pairs_mut().append_pair("branch", branch);
    }
    let document = match client.get(url).await {
        Ok(document) => document,
        Err(refusal) if refusal.status() == Some(404) => {
            let shown = client.get(client.url(&["api", "v1", "figures"])).await;
            let shown = shown.map_err(|refusal| refusal.into_error(client.base()))?;
            return Ok(Asked { sample: shown["sample"] == true, readings: without_data(&shown) });
        }
        Err(refusal) => return Err(refusal.into_error(client.base())),
    };
    Ok(Asked { sample: document["sample"] == true, readings: readings(&document) })
}

fn readings(document: &Value) -> Readings {
    let figures = document["figures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reading = |figure: &Value| {
        let number = |name: &str| figure[name].as_f64().unwrap_or(0.0);
        let reading = Reading {
            value: figure["value"].as_f64(),
            numerator: number("numerator"),
            denominator: number("denominator"),
        };
        Some((figure["name"].as_str()?.to_owned(), reading))
    };
    figures.iter().filter_map(reading).collect()
}

fn without_data(document: &Value) -> Readings {
    let nothing = Reading { value: None, numerator: 0.0, denominator: 0.0 };
    readings(document).into_keys().map(|name| (name, nothing)).collect()
}

fn append(path: &Path, text: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| Error::new(Code::Usage, format!("cannot write the summary {}: {cause}", path.display())))
}

fn answer(project: &str, trouble: Option<&str>, checks: Vec<Check>) -> Answer {
    let mut reasons: Vec<String> = trouble.map(str::to_owned).into_iter().collect();
    reasons.extend(checks.iter().filter(|check| !check.passed).map(|check| check.reason.clone()));
    let verdict = (!reasons.is_empty()).then(|| Error::new(Code::GateFailed, reasons.join("; ")));
    let passed: Vec<String> =
        checks.iter().filter(|check| check.passed).map(|check| format!("ok: {}", check.reason)).collect();
    Answer {
        data: json!({ "project": project, "passed": verdict.is_none(), "sample": trouble.is_some(), "checks": checks }),
        text: passed.join("\n"),
        verdict,
        ..Answer::default()
    }
}
