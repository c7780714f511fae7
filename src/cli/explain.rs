//! `qastack explain`: why a figure is what it is.

use super::Context;
use super::exporter::ExporterArgs;
use crate::error::Result;
use crate::output::Answer;
use clap::Args;
use serde_json::Value;

/// Show what a figure is made of: its definition, its numbers, the tests or defects behind it
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The figure, such as flake_rate or defect_leakage
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
    let client = arguments.exporter.client(context).await?;
    let mut segments = vec!["api", "v1"];
    if let Some(project) = &arguments.report_project {
        segments.extend(["projects", project]);
    }
    segments.extend(["figures", &arguments.figure]);
    let mut url = client.url(&segments);
    url.query_pairs_mut().append_pair("limit", &arguments.limit.to_string());
    let explanation = client.get(url).await.map_err(|refusal| refusal.into_error(client.base()))?;
    let mut answer = Answer { text: in_words(&explanation), data: explanation, ..Answer::default() };
    if answer.data["sample"] == true {
        answer.warnings.push("this is sample data: nothing real has been pushed yet".to_owned());
    }
    Ok(answer)
}

fn in_words(explanation: &Value) -> String {
    let figure = &explanation["figure"];
    let text = |value: &Value| match value {
        Value::Null => "no data".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut lines = vec![
        format!("{} = {}", text(&figure["name"]), text(&figure["value"])),
        format!("  {} / {}, window {} days", figure["numerator"], figure["denominator"], figure["window_days"]),
        format!("  {}", text(&explanation["definition"])),
    ];
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
        let standing = if class["valid"] == false { "does not count".to_owned() } else { text(&class["phase"]) };
        lines.push(format!(
            "  {} {}: {standing} ({rule})",
            text(&defect["defect"]["key"]),
            text(&defect["defect"]["title"])
        ));
    }
    for recovery in list("recoveries") {
        let of = |end: &str| entry_in_words(&recovery[end]);
        lines.push(format!(
            "  {}: {}: red for {} s, {}, until {}",
            text(&recovery["project"]),
            name_of(&recovery["test"]),
            recovery["seconds"],
            of("red"),
            of("green")
        ));
    }
    for one in list("deployments") {
        let deployment = &one["deployment"];
        let end = if deployment["failed"] == true { "failed" } else { "went well" };
        lines.push(format!("  {}: deployment {} {end}", text(&one["project"]), text(&deployment["key"])));
    }
    for run in list("runs").iter().take(SHOWN) {
        lines.push(format!("  {}", run_in_words(run)));
    }
    let further = list("runs").len().saturating_sub(SHOWN) as u64 + explanation["runs_left_out"].as_u64().unwrap_or(0);
    if further > 0 {
        lines.push(format!("  and {further} more runs"));
    }
    for run in list("held_out") {
        lines.push(format!("  held out as an outage: run {} of {}", text(&run["id"]), text(&run["job"])));
    }
    if let Some(further @ 1..) = explanation["held_out_left_out"].as_u64() {
        lines.push(format!("  and {further} more runs that are held out"));
    }
    if let Some(left_out @ 1..) = explanation["left_out"].as_u64() {
        lines.push(format!("  and {left_out} more"));
    }
    lines.join("\n")
}

/// Runs that are named; JSON has all of them.
const SHOWN: usize = 10;

fn name_of(identity: &Value) -> String {
    let name = ["class", "name", "variant"].iter().filter_map(|part| identity[*part].as_str());
    name.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" › ")
}

/// A run's key, where it has one.
fn key_of(run: &Value, number: &str) -> String {
    run["run"].as_str().map_or_else(|| run[number].to_string(), str::to_owned)
}

fn code_of(run: &Value) -> &str {
    run["tree"].as_str().or(run["commit"].as_str()).map_or("unknown code", |code| code.get(..10).unwrap_or(code))
}

fn run_in_words(run: &Value) -> String {
    let counts = &run["counts"];
    format!(
        "run {} attempt {} on {}, {}: {} tests, {} failed, {} errors, {} skipped, {} flaky",
        key_of(run, "id"),
        run["attempt"],
        run["branch"].as_str().unwrap_or("no branch"),
        code_of(run),
        counts["tests"],
        counts["failed"],
        counts["errors"],
        counts["skipped"],
        run["flaky"]
    )
}

fn entry_in_words(entry: &Value) -> String {
    if entry.is_null() {
        return "a run that is not kept any more".to_owned();
    }
    let outcome = entry["outcome"].as_str().unwrap_or("?");
    format!("{outcome} in run {} attempt {} on {}", key_of(entry, "run_id"), entry["attempt"], code_of(entry))
}

fn event_in_words(event: &Value) -> String {
    let executions = event["executions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = executions.iter().map(entry_in_words);
    let further = event["executions_left_out"].as_u64().filter(|further| *further > 0);
    let further = further.map(|further| format!("and {further} more"));
    let kind = event["kind"].as_str().unwrap_or("flaky").replace('_', " ");
    format!("{kind}: {}", shown.chain(further).collect::<Vec<_>>().join("; "))
}
