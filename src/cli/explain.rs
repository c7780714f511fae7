//! `qastack explain`: why a figure is what it is.

use super::Context;
use super::exporter::ExporterArgs;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use crate::quality::{Figure, FigureName, LeakageDenominator};
use crate::reports::Counts;
use crate::words::{self, Moment};
use clap::Args;
use serde_json::Value;

/// Show what a figure is made of: its definition, its numbers, the tests or defects behind it
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The figure, such as flake_rate or defect_leakage; its name in Prometheus will do
    #[arg(value_name = "FIGURE")]
    figure: String,
    #[command(flatten)]
    exporter: ExporterArgs,
    /// The project [default: all of them together]
    #[arg(long, env = "QASTACK_PUSH__PROJECT", value_name = "NAME")]
    report_project: Option<String>,
    /// The most of each that are listed: tests or defects, runs, recoveries
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Asks once.
///
/// # Errors
/// There is no such figure or project, or the exporter does not answer.
pub async fn run(arguments: ExplainArgs, context: &Context) -> Result<Answer> {
    let figure = FigureName::meant(&arguments.figure)
        .map_err(|unknown| Error::new(Code::Usage, unknown.to_string()).hint(unknown.hint()))?;
    let client = arguments.exporter.client(context).await?;
    let mut segments = vec!["api", "v1"];
    if let Some(project) = &arguments.report_project {
        segments.extend(["projects", project]);
    }
    segments.extend(["figures", figure.word()]);
    let mut url = client.url(&segments);
    url.query_pairs_mut().append_pair("limit", &arguments.limit.to_string());
    let explanation = client.get(url).await.map_err(|refusal| refusal.into_error(client.base()))?;
    let mut answer = Answer { text: in_words(&explanation, figure), data: explanation, ..Answer::default() };
    if answer.data["sample"] == true {
        answer.warnings.push("this is sample data: nothing real has been pushed yet".to_owned());
    }
    Ok(answer)
}

fn in_words(explanation: &Value, name: FigureName) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![head(explanation, name), format!("  {}", text(&explanation["definition"]))];
    let list = |name: &str| explanation[name].as_array().map(Vec::as_slice).unwrap_or_default();
    for test in list("tests") {
        lines.push(format!("  {}: {}", text(&test["project"]), name_of(&test["summary"]["test"])));
        for event in test["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
            lines.push(format!("    {}", event_in_words(event)));
        }
    }
    for defect in list("defects") {
        let class = &defect["class"];
        let rule = class["invalid_rule"].as_str().or(class["phase_rule"].as_str()).unwrap_or("no rule matched");
        let is_valid = class["valid"] != false;
        let standing = if is_valid { text(&class["phase"]).replace('_', "-") } else { "does not count".to_owned() };
        lines.push(format!(
            "  {} {}: {standing} ({rule})",
            text(&defect["defect"]["key"]),
            text(&defect["defect"]["title"])
        ));
    }
    for recovery in list("recoveries") {
        let of = |end: &str| entry_in_words(&recovery[end]);
        lines.push(format!(
            "  {}: {}: red for {}, {}, until {}",
            text(&recovery["project"]),
            name_of(&recovery["test"]),
            words::seconds(number(&recovery["seconds"])),
            of("red"),
            of("green")
        ));
    }
    for one in list("deployments") {
        let deployment = &one["deployment"];
        let end = if deployment["failed"] == true { "failed" } else { "went well" };
        lines.push(format!("  {}: deployment {} {end}", text(&one["project"]), text(&deployment["key"])));
    }
    if let Some(left_out @ 1..) = explanation["left_out"].as_u64() {
        lines.push(format!("  and {}", words::left_out(name, left_out)));
    }
    for run in list("runs").iter().take(SHOWN) {
        lines.push(format!("  {}", run_in_words(run)));
    }
    let further = list("runs").len().saturating_sub(SHOWN) as u64 + explanation["runs_left_out"].as_u64().unwrap_or(0);
    if further > 0 {
        lines.push(format!("  and {}", words::counted(further, "more run", "more runs")));
    }
    for run in list("held_out") {
        let at = Moment::at(run["at"].as_i64().unwrap_or_default()).text;
        lines.push(format!("  held out as an outage: {}, {at} UTC", which_run(run, "id")));
    }
    if let Some(further @ 1..) = explanation["held_out_left_out"].as_u64() {
        let runs = words::counted(further, "more run that is held out", "more runs that are held out");
        lines.push(format!("  and {runs}"));
    }
    words::plain(&lines.join("\n"))
}

/// The value, what it is made of, and its window.
fn head(explanation: &Value, name: FigureName) -> String {
    let told = &explanation["figure"];
    let figure = Figure {
        name,
        value: told["value"].as_f64(),
        numerator: number(&told["numerator"]),
        denominator: number(&told["denominator"]),
        window_days: told["window_days"].as_u64().and_then(|days| u32::try_from(days).ok()).unwrap_or(0),
    };
    let part = |name: &str| number(&explanation["parts"][name]);
    let valid = part("production_defects") + part("pre_release_defects");
    // Which of the two the leakage is a share of is the exporter's rule; its own numbers tell.
    let leakage = match figure.denominator < valid {
        true => LeakageDenominator::PreRelease,
        false => LeakageDenominator::Total,
    };
    let made_of = figure.value.map(|_| format!(" ({})", words::made_of(&figure, leakage))).unwrap_or_default();
    let window = words::window(&figure, explanation["until"].as_i64().unwrap_or_default());
    format!("{} = {}{made_of}, {window}", name.word(), words::value(&figure))
}

/// Runs that are named; JSON has all of them.
const SHOWN: usize = 10;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn name_of(identity: &Value) -> String {
    let name = ["class", "name", "variant"].iter().filter_map(|part| identity[*part].as_str());
    name.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" › ")
}

/// A run by its key, else its number, with the attempt and what tells it from others of the same key.
fn which_run(run: &Value, number: &str) -> String {
    let key = run["run"].as_str().map_or_else(|| run[number].to_string(), str::to_owned);
    let parts = ["job", "shard", "environment", "variant"].iter().filter_map(|part| run[*part].as_str());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let job = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(" · ")) };
    format!("run {key} attempt {}{job}", run["attempt"])
}

fn code_of(run: &Value) -> &str {
    run["tree"].as_str().or(run["commit"].as_str()).map_or("unknown code", |code| code.get(..10).unwrap_or(code))
}

fn run_in_words(run: &Value) -> String {
    let count = |name: &str| run["counts"][name].as_u64().unwrap_or(0);
    let counts = Counts {
        tests: count("tests"),
        passed: count("passed"),
        failed: count("failed"),
        errors: count("errors"),
        skipped: count("skipped"),
    };
    let branch = run["branch"].as_str().unwrap_or("no branch");
    let tally = words::tally(&counts, run["flaky"].as_u64().unwrap_or(0));
    format!("{} on {branch}, {}: {tally}", which_run(run, "id"), code_of(run))
}

fn entry_in_words(entry: &Value) -> String {
    if entry.is_null() {
        return "a run that is not kept any more".to_owned();
    }
    let outcome = entry["outcome"].as_str().unwrap_or("?");
    format!("{outcome} in {} on {}", which_run(entry, "run_id"), code_of(entry))
}

fn event_in_words(event: &Value) -> String {
    let executions = event["executions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = executions.iter().map(entry_in_words);
    let further = event["executions_left_out"].as_u64().filter(|further| *further > 0);
    let further =
        further.map(|further| format!("and {}", words::counted(further, "more execution", "more executions")));
    let kind = event["kind"].as_str().unwrap_or("flaky").replace('_', " ");
    format!("{kind}: {}", shown.chain(further).collect::<Vec<_>>().join("; "))
}
