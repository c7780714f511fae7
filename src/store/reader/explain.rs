//! Why a figure is what it is: its parts, and the tests, reports and defects behind it.

use super::Reader;
use super::tests::{Facts, facts};
use crate::quality::{
    Day, DefectKind, FigureName, Figures, ProjectState, Ranked, Window, WindowSums, counts, figures, rank_broken,
    rank_flaky, rank_slowest,
};
use crate::store::error::StoreError;
use crate::store::folded::register_tests_of;
use crate::store::live::Live;
use crate::store::views::{ExplainedTest, Explanation};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Reader<'_> {
    /// Explains a figure as of now, for one project or for all of them together, with at most `limit` of each
    /// thing that stands behind it.
    pub fn explain(
        &self,
        name: FigureName,
        project: Option<&str>,
        now: i64,
        limit: usize,
    ) -> Result<Explanation, StoreError> {
        let snapshot = self.shared.snapshot();
        let rules = Arc::clone(&snapshot.rules);
        let sums = match project {
            None => snapshot.window(now),
            Some(key) => {
                let unknown = || StoreError::Unknown { what: format!("project {key:?}") };
                snapshot.projects.get(key).ok_or_else(unknown)?.sums.window(now, &rules.rules)
            }
        };
        let figure = *figures(&sums, &rules.rules).get(name);
        let window = Window::ending(Day::of(now), figure.window_days.max(1));
        let projects = snapshot.projects.keys().filter(|key| project.is_none_or(|wanted| wanted == key.as_str()));
        let mut explanation = Explanation {
            figure,
            definition: name.definition(),
            window_from: (figure.window_days > 0).then(|| window.first.start()),
            until: now,
            rules_version: rules.version.clone(),
            parts: parts(&sums),
            tests: Vec::new(),
            defects: Vec::new(),
            held_out: Vec::new(),
            held_out_left_out: 0,
            runs: Vec::new(),
            runs_left_out: 0,
            recoveries: Vec::new(),
            deployments: Vec::new(),
            left_out: 0,
        };
        for key in projects {
            let room = limit.saturating_sub(explanation.tests.len() + explanation.defects.len());
            explanation.left_out += self.add_tests(&mut explanation.tests, name, key, now, room)?;
            if let Some(chosen) = defects_of(name) {
                let page = match chosen {
                    ChosenDefects::CreatedInWindow => self.created_in(key, window, room)?,
                    ChosenDefects::Kind(kind) => self.of_kind(key, kind, 0, room)?,
                };
                explanation.left_out += page.chosen.saturating_sub(page.defects.len() as u64);
                explanation.defects.extend(page.defects);
            }
            if figure_of_tests(name) {
                self.add_runs(&mut explanation, key, &rules, window, limit)?;
            }
            if name == FigureName::RecoveryTime {
                self.add_recoveries(&mut explanation, key, &rules, window, limit)?;
            }
            if name == FigureName::ChangeFailureRatio {
                self.add_deployments(&mut explanation, key, &rules, window, limit)?;
            }
        }
        Ok(explanation)
    }

    /// The figures that the runs of one branch alone give now: what a gate compares a branch by. They are folded
    /// from the branch's reports in the window; figures about defects and deployments know no branch, and have
    /// no value here.
    pub fn branch_figures(&self, project: &str, branch: &str, now: i64) -> Result<Figures, StoreError> {
        let rules = self.shared.snapshot().rules.rules.for_branch(branch);
        let rules = rules.compile().map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        let id = self.project_id(project)?;
        let mut live = Live::new(Arc::new(rules));
        live.project(id).default_branch = Some(branch.to_owned());
        register_tests_of(self.connection, &mut live, id)?;
        let window = Window::ending(Day::of(now), live.rules.rules.flake_window_days);
        live.fold_branch(self.connection, (id, branch), window.first.start())?;
        let rules = Arc::clone(&live.rules);
        Ok(figures(&live.project(id).state.sums.window(now, &rules.rules), &rules.rules))
    }

    /// Adds the tests behind a figure; says how many are left out.
    fn add_tests(
        &self,
        tests: &mut Vec<ExplainedTest>,
        name: FigureName,
        project: &str,
        now: i64,
        room: usize,
    ) -> Result<u64, StoreError> {
        let (id, chosen, left_out) = {
            let live = self.live();
            let Some((id, project)) = live.project_by_key(project) else { return Ok(0) };
            let window = Window::ending(Day::of(now), live.rules.rules.flake_window_days);
            let mut chosen = tests_of(name, &project.state, window);
            let left_out = chosen.len().saturating_sub(room) as u64;
            chosen.truncate(room);
            (id, facts(&project.state, window, chosen), left_out)
        };
        for facts in chosen {
            tests.push(self.explained(id, project, facts, now)?);
        }
        Ok(left_out)
    }

    fn explained(&self, id: i64, project: &str, facts: Facts, now: i64) -> Result<ExplainedTest, StoreError> {
        let number = facts.number();
        let summary = self.summary(id, facts)?;
        Ok(ExplainedTest { project: project.to_owned(), summary, events: self.events(id, number, now)? })
    }
}

/// Whether a figure is made of test reports.
fn figure_of_tests(name: FigureName) -> bool {
    defects_of(name).is_none() && name != FigureName::ChangeFailureRatio
}

/// The tests behind a figure, all of them.
fn tests_of(name: FigureName, state: &ProjectState, window: Window) -> Vec<Ranked> {
    match name {
        FigureName::FlakeRate | FigureName::FlakyTests | FigureName::FlakyExecutionRatio => {
            rank_flaky(state, window, 0, usize::MAX)
        }
        FigureName::BrokenTests => rank_broken(state, window, usize::MAX),
        FigureName::TestDurationP50 | FigureName::TestDurationP95 | FigureName::RunDurationP95 => {
            rank_slowest(state, window, 50)
        }
        FigureName::NewTests => {
            let new = (0u32..).zip(state.tests()).filter(|(_, test)| {
                test.last_seen.is_some() && test.first_day.is_some_and(|first| window.contains(first))
            });
            new.map(|(number, test)| counts(number, test, window)).collect()
        }
        FigureName::PassRatio => {
            let all = (0u32..).zip(state.tests()).map(|(number, test)| counts(number, test, window));
            let mut failed: Vec<Ranked> = all.filter(|counts| counts.failed > 0).collect();
            failed.sort_by_key(|counts| std::cmp::Reverse(counts.failed));
            failed
        }
        _ => Vec::new(),
    }
}

/// Defects that stand behind a figure.
enum ChosenDefects {
    /// All of them, also those that do not count: with the rule that made them not count.
    CreatedInWindow,
    /// Those of one kind, whenever they were created.
    Kind(DefectKind),
}

/// Which defects stand behind a figure, if any do.
fn defects_of(name: FigureName) -> Option<ChosenDefects> {
    match name {
        FigureName::DefectLeakage | FigureName::RemovalEfficiency => Some(ChosenDefects::CreatedInWindow),
        FigureName::OpenDefects | FigureName::OpenDefectAge => Some(ChosenDefects::Kind(DefectKind::Open)),
        _ => None,
    }
}

/// The numbers a figure can be computed from, by name.
fn parts(sums: &WindowSums) -> BTreeMap<&'static str, f64> {
    let executions = &sums.executions;
    [
        ("decided_tests", sums.decided_tests),
        ("flaky_tests", sums.flaky_tests),
        ("broken_tests", sums.broken_tests),
        ("executions_passed", executions.passed),
        ("executions_failed", executions.failed),
        ("executions_error", executions.errors),
        ("executions_skipped", executions.skipped),
        ("executions_flaky", executions.flaky),
        ("runs", executions.runs),
        ("reports", executions.reports),
        ("held_out_reports", executions.held_out_reports),
        ("recoveries", executions.recoveries.count),
        ("production_defects", sums.production_defects),
        ("pre_release_defects", sums.pre_release_defects),
        ("invalid_defects", sums.invalid_defects),
        ("open_defects", sums.open_defects),
        ("deployments", sums.deployments),
        ("failed_deployments", sums.failed_deployments),
    ]
    .into_iter()
    .map(|(name, count)| (name, count as f64))
    .collect()
}
