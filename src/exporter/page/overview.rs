//! The overview: the two figures large, all others beside them, the days, the newest runs and the flakiest tests.

use super::address;
use super::chart::{self, BarChart};
use super::frame::{Frame, Tab};
use super::judged::{self, Context, Shown};
use super::rows::{RunRow, TestRow};
use super::view::{View, show};
use super::words::{self, Moment};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::{Day, DayBucket, FigureName, figures};
use crate::store::{ProjectSnapshot, Ranking, RunQuery, StoreError};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs and tests that the overview shows.
const FEW: usize = 6;

/// Projects and branches that an overview shows.
const SOME: usize = 25;

/// Days of the chart of executions.
const DAYS: u32 = 28;

#[derive(Template)]
#[template(path = "page/overview.html")]
struct Overview {
    frame: Frame,
    /// Nothing was pushed, and no sample is shown.
    empty: bool,
    heroes: Vec<Shown>,
    others: Vec<Shown>,
    days: Option<BarChart>,
    runs: Vec<RunRow>,
    runs_at: String,
    flaky: Vec<TestRow>,
    flaky_at: String,
    projects: Vec<ProjectRow>,
    branches: Vec<BranchRow>,
    newest: Option<Moment>,
}

/// A project in a list.
pub struct ProjectRow {
    /// Its key.
    pub key: String,
    /// Where its page is.
    pub to: String,
    /// Its flake rate.
    pub flake_rate: String,
    /// What the flake rate means.
    pub flake_verdict: judged::Verdict,
    /// Its defect leakage.
    pub leakage: String,
    /// What the defect leakage means.
    pub leakage_verdict: judged::Verdict,
    /// Tests that were seen.
    pub tests: String,
    /// Its default branch.
    pub default_branch: String,
    /// When its newest run was.
    pub newest: Option<Moment>,
}

impl ProjectRow {
    /// A project as of now.
    pub fn of(project: &ProjectSnapshot, view: &View<'_>) -> Self {
        let figures = project.figures(view.now, &view.snapshot.rules);
        let shown = |name| (words::value(figures.get(name)), judged::verdict(name, figures.value(name)));
        let (flake_rate, flake_verdict) = shown(FigureName::FlakeRate);
        let (leakage, leakage_verdict) = shown(FigureName::DefectLeakage);
        Self {
            key: project.key.clone(),
            to: address::overview(Some(&project.key)),
            flake_rate,
            flake_verdict,
            leakage,
            leakage_verdict,
            tests: words::value(figures.get(FigureName::Tests)),
            default_branch: project.default_branch.clone(),
            newest: project.sums.newest.map(Moment::at),
        }
    }
}

struct BranchRow {
    name: String,
    to: Option<String>,
    is_default: bool,
    runs: String,
    at: Moment,
}

/// `GET /`.
pub async fn all(State(exporter): State<Arc<Exporter>>, asking: Asking) -> Result<Response, Problem> {
    show(&exporter, &asking, None, make).await
}

/// `GET /projects/{project}`.
pub async fn one(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    show(&exporter, &asking, Some(project), make).await
}

fn make(view: &View<'_>) -> Result<Overview, StoreError> {
    let (project, now, rules) = (view.project.as_deref(), view.now, view.rules());
    let chosen: Vec<&ProjectSnapshot> = view
        .snapshot
        .projects
        .values()
        .map(Arc::as_ref)
        .filter(|one| project.is_none_or(|key| one.key == key))
        .collect();
    let trend = view.reader.trend(project, now, rules.flake_window_days.min(14) + 1)?;
    let sums = match project.and_then(|key| view.snapshot.projects.get(key)) {
        Some(one) => one.sums.window(now, rules),
        None => view.snapshot.window(now),
    };
    let context = Context { project, now, rules, trend: &trend, held_out: sums.executions.held_out_reports };
    let mut shown: Vec<Shown> = figures(&sums, rules).iter().map(|figure| judged::show(figure, &context)).collect();
    let others = shown.split_off(2);
    // Lists are of one project: of the only one, where there is one.
    let focus = if chosen.len() == 1 { chosen.first().map(|one| one.key.as_str()) } else { None };
    let (mut runs, mut flaky, mut branches) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(key) = focus {
        let query = RunQuery { branch: None, before: None, limit: FEW };
        runs = view.reader.runs(key, &query)?.iter().map(|run| RunRow::of(key, run)).collect();
        flaky = TestRow::all(key, &view.reader.ranked(key, Ranking::Flaky, now, FEW)?);
        branches = branch_rows(view, key, &chosen[0].default_branch)?;
    }
    let mut projects: Vec<&ProjectSnapshot> = if focus.is_none() { chosen.clone() } else { Vec::new() };
    projects.sort_by_key(|one| (std::cmp::Reverse(one.sums.newest), &one.key));
    projects.truncate(SOME);
    Ok(Overview {
        frame: view.frame(project.unwrap_or("Overview"), Tab::Overview),
        empty: chosen.is_empty(),
        heroes: shown,
        others,
        days: days(&chosen, now),
        runs,
        runs_at: focus.map(|key| address::below(key, "runs")).unwrap_or_default(),
        flaky,
        flaky_at: focus.map(|key| address::below(key, "flaky")).unwrap_or_default(),
        projects: projects.into_iter().map(|one| ProjectRow::of(one, view)).collect(),
        branches,
        newest: chosen.iter().filter_map(|one| one.sums.newest).max().map(Moment::at),
    })
}

fn branch_rows(view: &View<'_>, project: &str, default_branch: &str) -> Result<Vec<BranchRow>, StoreError> {
    let mut branches = view.reader.branches(project)?;
    branches.truncate(SOME);
    let rows = branches.into_iter().map(|branch| BranchRow {
        is_default: branch.branch.as_deref() == Some(default_branch),
        to: branch
            .branch
            .as_deref()
            .map(|name| address::with_query(&address::below(project, "runs"), &[("branch", Some(name))])),
        name: branch.branch.map_or_else(|| "(no branch)".to_owned(), |name| words::clipped(&name, 80)),
        runs: words::counted(branch.runs, "run", "runs"),
        at: Moment::at(branch.last_run_at),
    });
    Ok(rows.collect())
}

/// Executions by day and outcome.
fn days(projects: &[&ProjectSnapshot], now: i64) -> Option<BarChart> {
    let mut by_day: BTreeMap<Day, DayBucket> = BTreeMap::new();
    let today = Day::of(now);
    for project in projects {
        for (day, bucket) in project.sums.days() {
            by_day.entry(day).or_default().merge(&bucket);
        }
    }
    let parts: Vec<chart::BarParts> = (0..DAYS)
        .rev()
        .map(|back| {
            let day = today.back(back);
            let bucket = by_day.get(&day).cloned().unwrap_or_default();
            let failed = bucket.failed + bucket.errors;
            let title = format!(
                "{}: {} in {}, {} failed, {} flaky, {} skipped",
                words::day(day),
                words::counted(bucket.executions(), "execution", "executions"),
                words::counted(bucket.runs, "run", "runs"),
                words::count(failed),
                words::count(bucket.flaky),
                words::count(bucket.skipped),
            );
            // A flaky execution may have passed or failed: its failures are the ones that failed for nothing.
            let layers =
                vec![("failed", failed as f64), ("passed", bucket.passed as f64), ("skipped", bucket.skipped as f64)];
            (title, layers)
        })
        .collect();
    let all: u64 = (0..DAYS).filter_map(|back| by_day.get(&today.back(back))).map(DayBucket::executions).sum();
    let label = format!("Executions by day and outcome over {DAYS} days, {} in all", words::count(all));
    let ends = (words::day(today.back(DAYS - 1)), "today".to_owned());
    chart::bars(&parts, label, ends, |top| words::count(top as u64))
}
