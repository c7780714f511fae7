//! Why a figure is what it is: its definition, its numbers, and the tests, defects and runs behind it.

use super::frame::{Frame, Link, Tab};
use super::judged::{self, Context, Shown};
use super::one_test::Reason;
use super::rows::{DefectRow, RunRow, TestName, TestRow};
use super::test_lists::NoQuery;
use super::view::{View, show};
use super::words::Moment;
use super::{address, words};
use crate::exporter::api::{figures::named, query_invalid};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::FigureName;
use crate::store::{Deployment, ExplainedDeployment, ExplainedRecovery, StoreError};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Tests or defects that are shown.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "page/explain.html")]
struct Explain {
    frame: Frame,
    of: String,
    figure: Shown,
    definition: &'static str,
    parts: Vec<(String, String)>,
    rules_version: String,
    tests: Vec<(String, TestRow, Vec<Reason>)>,
    recoveries: Vec<Recovered>,
    defects: Vec<DefectRow>,
    deployments: Vec<DeploymentRow>,
    held_out: Vec<RunRow>,
    held_out_left_out: u64,
    /// What is not shown, in words; empty where everything is.
    left_out: String,
    others: Vec<Link>,
}

/// A test that went from red to green.
struct Recovered {
    project: String,
    to: String,
    test: TestName,
    reasons: Vec<Reason>,
}

impl Recovered {
    fn of(recovery: &ExplainedRecovery) -> Self {
        let project = &recovery.project;
        Self {
            project: project.clone(),
            to: address::test(project, &recovery.fingerprint),
            test: TestName::of(&recovery.test),
            reasons: vec![Reason::of_recovery(project, recovery)],
        }
    }
}

/// A deployment in the list.
struct DeploymentRow {
    project: String,
    key: String,
    failed: bool,
    environment: String,
    version: String,
    at: Moment,
}

impl DeploymentRow {
    fn of(explained: &ExplainedDeployment) -> Self {
        let Deployment { key, failed, environment, version, at, .. } = explained.deployment.clone();
        Self { project: explained.project.clone(), key, failed, environment, version, at: Moment::at(at) }
    }
}

/// `GET /figures/{figure}`.
pub async fn of_all(
    State(exporter): State<Arc<Exporter>>,
    Path(figure): Path<String>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    explain(&exporter, None, &figure, query, &asking).await
}

/// `GET /projects/{project}/figures/{figure}`.
pub async fn of_project(
    State(exporter): State<Arc<Exporter>>,
    Path((project, figure)): Path<(String, String)>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    explain(&exporter, Some(project), &figure, query, &asking).await
}

async fn explain(
    exporter: &Arc<Exporter>,
    project: Option<String>,
    word: &str,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: &Asking,
) -> Result<Response, Problem> {
    query.map_err(query_invalid)?;
    // Who may not read is not told which figures there are.
    exporter.authorize_reading(asking, project.as_deref())?;
    let name = named(word)?;
    show(exporter, asking, project, move |view| make(view, name)).await
}

fn make(view: &View<'_>, name: FigureName) -> Result<Explain, StoreError> {
    let (project, now, rules) = (view.project.as_deref(), view.now, view.rules());
    let explanation = view.reader.explain(name, project, now, SHOWN)?;
    let trend = view.reader.trend(project, now, rules.flake_window_days.min(14) + 1)?;
    let held_out = explanation.parts.get("held_out_reports").map_or(0, |reports| *reports as u64);
    let context = Context { project, now, rules, trend: &trend, held_out };
    let tests = explanation.tests.iter().map(|test| {
        let reasons = test.events.iter().take(2).map(|event| Reason::of(&test.project, event));
        (test.project.clone(), TestRow::of(&test.project, &test.summary, 0.0), reasons.collect())
    });
    let parts = explanation.parts.iter().map(|(name, number)| {
        let mut name = name.replace('_', " ");
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        (name, words::count(number.round() as u64))
    });
    let others = FigureName::all().map(|other| Link {
        to: address::figure(project, other),
        text: words::title(other).to_owned(),
        current: other == name,
    });
    // Runs that were held out do not say whose they are; where there are many projects, each has a page of its own.
    let only = view.snapshot.projects.keys().next().filter(|_| view.snapshot.projects.len() == 1);
    let held_out_of = project.or(only.map(String::as_str));
    let held_out = held_out_of.map(|key| explanation.held_out.iter().map(|run| RunRow::of(key, run)).collect());
    Ok(Explain {
        frame: view.frame(format!("Why {}", words::title(name).to_lowercase()), Tab::Elsewhere),
        of: project.map_or_else(|| "all projects".to_owned(), str::to_owned),
        figure: judged::show(&explanation.figure, &context),
        definition: explanation.definition,
        parts: parts.collect(),
        rules_version: explanation.rules_version,
        tests: tests.collect(),
        recoveries: explanation.recoveries.iter().map(Recovered::of).collect(),
        defects: explanation.defects.iter().map(DefectRow::of).collect(),
        deployments: explanation.deployments.iter().map(DeploymentRow::of).collect(),
        held_out: held_out.unwrap_or_default(),
        held_out_left_out: explanation.held_out_left_out,
        left_out: match explanation.left_out {
            0 => String::new(),
            count => words::left_out(name, count),
        },
        others: others.collect(),
    })
}
