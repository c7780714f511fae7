//! `qastack gate`: fail a job when figures are not as good as the team demands.

use super::exporter::ExporterArgs;
use super::{Context, said, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::gate::{Bound, By, Check, Demand, Limit, Reading, Readings, judge, markdown, not_compared};
use crate::output::Answer;
use crate::push::{ci, git};
use crate::quality::{FigureName, LeakageDenominator};
use crate::settings::GateSettings;
use crate::words;
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
    /// The branch that is compared [default: the CI system's, else git's]
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
/// Nothing is demanded, a flag compares with a base that is not known, or the exporter does not answer. A failed gate
/// is the answer's verdict.
pub async fn run(arguments: GateArgs, context: &Context) -> Result<Answer> {
    let demands = arguments.demands(&stack::load_settings(context)?.settings.gate)?;
    if demands.is_empty() {
        return Err(Error::new(Code::Usage, "nothing is demanded")
            .hint("Name a limit, such as --max flake_rate=0.1, or write it into the settings under gate."));
    }
    let (compared, absolute): (Vec<Demand>, Vec<Demand>) =
        demands.into_iter().partition(|demand| demand.bound.compares());
    let known = arguments.branches();
    let branches = if compared.is_empty() { Branches::default() } else { known.clone() };
    // The settings hold for every job, also for one that has no base; whoever types a flag wants an answer.
    if let Err(unknown) = branches.pair()
        && !branches.are_the_same()
        && compared.iter().any(|demand| demand.by == By::Flag)
    {
        return Err(Error::new(Code::Usage, format!("it is not known which branches to compare: {unknown}"))
            .hint("Name them with --branch and --base."));
    }
    let client = arguments.exporter.client(context).await?;
    let project = &arguments.report_project;
    let of_project = figures(&client, project, None).await?;
    if let Some(leakage) = of_project.leakage {
        absolute.iter().chain(&compared).try_for_each(|demand| fits(demand, leakage))?;
    }
    let mut answer = Answer::default();
    let mut checks = judge(&absolute, &of_project.readings, None);
    match branches.pair() {
        _ if compared.is_empty() => {}
        Ok((branch, base)) => {
            let is = figures(&client, project, Some(branch)).await?;
            let was = figures(&client, project, Some(base)).await?;
            checks.extend(judge(&compared, &is.readings, Some(&was.readings)));
        }
        Err(why) => {
            let limits = words::plain(&words::counted(compared.len() as u64, "limit", "limits"));
            answer.warnings.push(format!("{limits} not compared: {why}"));
            checks.extend(not_compared(&compared, &why));
        }
    }
    let trouble = of_project.sample.then_some("only sample data is there, and no gate passes on it");
    let note = held_out(&client, project, known.branch.as_deref()).await;
    answer.warnings.extend(note.clone());
    if let Some(path) = arguments.summary.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        // The verdict is what a job waits for; a page that cannot be written must not hide it.
        let written = append(path, &markdown(project, trouble, note.as_deref(), &checks));
        let warning = |cause| format!("the summary {} is not written: {cause}", path.display());
        answer.warnings.extend(written.err().map(warning));
    }
    answer.verdict = match verdict(trouble, &checks) {
        Some(failed) if checks.iter().any(is_without_data) => {
            Some(match whereabouts(&client, project, &branches).await {
                Some(hint) => failed.hint(hint),
                None => failed,
            })
        }
        verdict => verdict,
    };
    answer.text = in_words(&checks);
    answer.data = json!({
        "project": project,
        "branch": branches.branch,
        "base": branches.base,
        "passed": answer.verdict.is_none(),
        "sample": trouble.is_some(),
        "checks": checks,
    });
    Ok(answer)
}

impl GateArgs {
    /// What the settings demand, and where a flag demands the same of the same figure, the flag.
    fn demands(&self, settings: &GateSettings) -> Result<Vec<Demand>> {
        let groups = [
            (Bound::Max, &settings.max, &self.max),
            (Bound::Min, &settings.min, &self.min),
            (Bound::MaxIncrease, &settings.max_increase, &self.max_increase),
            (Bound::MaxDecrease, &settings.max_decrease, &self.max_decrease),
        ];
        let mut demands = Vec::new();
        for (bound, limits, flags) in groups {
            for (figure, share) in limits {
                let limit = Limit::new(figure, share.0).map_err(|what| Error::new(Code::SettingsInvalid, what))?;
                if !flags.iter().any(|flag| flag.figure == limit.figure) {
                    demands.push(Demand { by: By::Settings, bound, limit });
                }
            }
            demands.extend(flags.iter().cloned().map(|limit| Demand { by: By::Flag, bound, limit }));
        }
        Ok(demands)
    }

    fn branches(&self) -> Branches {
        let ci = ci::detect(&super::environment().collect()).unwrap_or_default();
        let branch = said(self.branch.clone()).or(ci.branch).or_else(|| git::checkout().branch);
        Branches { branch, base: said(self.base.clone()).or(ci.base_branch) }
    }
}

/// Which branch is compared with which.
#[derive(Debug, Clone, Default)]
struct Branches {
    branch: Option<String>,
    base: Option<String>,
}

impl Branches {
    fn are_the_same(&self) -> bool {
        self.branch.is_some() && self.branch == self.base
    }

    /// Both, or why there is nothing to compare.
    fn pair(&self) -> Result<(&str, &str), String> {
        match (&self.branch, &self.base) {
            (Some(_), Some(base)) if self.are_the_same() => Err(format!("the branch `{base}` is its own base")),
            (Some(branch), Some(base)) => Ok((branch, base)),
            (_, None) => Err("this is no pull request, and no --base is named".to_owned()),
            (None, _) => Err("the branch is known neither to the CI system nor to git".to_owned()),
        }
    }
}

/// Refuses a limit that the figure cannot reach by the exporter's rules, which are known only now.
fn fits(demand: &Demand, leakage: LeakageDenominator) -> Result<()> {
    let code = match demand.by {
        By::Flag => Code::Usage,
        By::Settings => Code::SettingsInvalid,
    };
    demand.limit.fits(leakage).map_err(|what| Error::new(code, what).hint("The exporter's own rules decide."))
}

struct Asked {
    sample: bool,
    /// What the leakage is a share of; an older exporter does not say it.
    leakage: Option<LeakageDenominator>,
    readings: Readings,
}

/// A project that is not there yet has no data; that is for the gate to judge.
async fn figures(client: &Client, project: &str, branch: Option<&str>) -> Result<Asked> {
    let mut url = client.url(&["api", "v1", "projects", project, "figures"]);
    let mut whose = format!("project `{project}`");
    if let Some(branch) = branch {
        url.query_pairs_mut().append_pair("branch", branch);
        whose = format!("branch `{branch}` of {whose}");
    }
    let (document, is_there) = match client.get(url).await {
        Ok(document) => (document, true),
        Err(refusal) if refusal.status() == Some(404) => {
            let shown = client.get(client.url(&["api", "v1", "figures"])).await;
            (shown.map_err(|refusal| refusal.into_error(client.base()))?, false)
        }
        Err(refusal) => return Err(refusal.into_error(client.base())),
    };
    let figures = list(&document["figures"]).filter_map(|figure| {
        let number = |name: &str| figure[name].as_f64().filter(|_| is_there);
        let reading = Reading {
            value: number("value"),
            numerator: number("numerator").unwrap_or(0.0),
            denominator: number("denominator").unwrap_or(0.0),
        };
        Some((FigureName::from_word(figure["name"].as_str()?)?, reading))
    });
    let readings = Readings { whose, figures: figures.collect() };
    let leakage = serde_json::from_value(document["leakage_denominator"].clone()).ok();
    Ok(Asked { sample: document["sample"] == true, leakage, readings })
}

/// Whether the newest run, of this branch where it has any, is in no figure: what was judged is older than it then.
async fn held_out(client: &Client, project: &str, branch: Option<&str>) -> Option<String> {
    let newest = async |branch: Option<&str>| {
        let mut url = client.url(&["api", "v1", "projects", project, "runs"]);
        url.query_pairs_mut().append_pair("limit", "1").extend_pairs(branch.map(|branch| ("branch", branch)));
        list(&client.get(url).await.ok()?).next().cloned()
    };
    let run = match newest(branch).await {
        None if branch.is_some() => newest(None).await?,
        run => run?,
    };
    let is_held_out = run["held_out_reports"].as_u64().is_some_and(|reports| reports > 0);
    let name = run["run"].as_str().map_or_else(|| format!("number {}", run["id"]), str::to_owned);
    is_held_out.then(|| format!("the newest run, {name}, is in no figure: almost all of it failed, as in an outage"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn is_without_data(check: &Check) -> bool {
    check.passed == Some(false) && (check.value.is_none() || check.bound.compares() && check.base.is_none())
}

/// Where there is data, for one who looked where there is none; nothing where that cannot be told.
async fn whereabouts(client: &Client, project: &str, branches: &Branches) -> Option<String> {
    const NAMED: usize = 10;
    let named = |names: &[&str]| {
        let more = if names.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
    };
    let projects = client.get(client.url(&["api", "v1", "projects"])).await.ok()?;
    let keys: Vec<&str> = list(&projects).filter_map(|known| known["key"].as_str()).collect();
    if keys.is_empty() {
        return Some("Nothing has been pushed yet; qastack push does.".to_owned());
    }
    if !keys.contains(&project) {
        return Some(format!("Projects with data: {}; name one with --report-project.", named(&keys)));
    }
    branches.pair().ok()?;
    let known = client.get(client.url(&["api", "v1", "projects", project, "branches"])).await.ok()?;
    let known: Vec<&str> = list(&known).filter_map(|known| known["branch"].as_str()).collect();
    let are_known = [&branches.branch, &branches.base].into_iter().flatten().all(|name| known.contains(&name.as_str()));
    (!are_known && !known.is_empty()).then(|| format!("Branches of `{project}` with runs: {}.", named(&known)))
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn verdict(trouble: Option<&str>, checks: &[Check]) -> Option<Error> {
    let mut reasons: Vec<&str> = trouble.into_iter().collect();
    reasons.extend(checks.iter().filter(|check| check.passed == Some(false)).map(|check| check.reason.as_str()));
    (!reasons.is_empty()).then(|| Error::new(Code::GateFailed, reasons.join("; ")))
}

/// What passed, and what was not compared; the error has the rest.
fn in_words(checks: &[Check]) -> String {
    let told = checks.iter().filter_map(|check| match check.passed {
        Some(true) => Some(format!("ok: {}", check.reason)),
        Some(false) => None,
        None => Some(format!("not compared: {}: {}", check.figure.word(), check.reason)),
    });
    told.collect::<Vec<_>>().join("\n")
}
