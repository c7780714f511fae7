//! Why a figure is what it is: its parts, and the tests, reports and defects behind it.

use super::Reader;
use super::tests::{Facts, facts};
use crate::quality::{
    CompiledRules, Day, FigureName, Figures, ProjectState, Ranked, Window, WindowSums, counts, figures, rank_broken,
    rank_flaky, rank_slowest,
};
use crate::store::defects::from_json;
use crate::store::error::StoreError;
use crate::store::folded::register_tests_of;
use crate::store::live::Live;
use crate::store::views::{ClassifiedDefect, ExplainedTest, Explanation, RunSummary};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Reader<'_> {
    /// Explains a figure as of now, for one project or for all of them together, with at most `limit` tests and
    /// defects.
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
                let (defects, left_out) = self.classified(key, &rules, &|defect| chosen(defect, window), room)?;
                explanation.defects.extend(defects);
                explanation.left_out += left_out;
            }
            if figure_of_tests(name) && sums.executions.held_out_reports > 0 {
                explanation.held_out.extend(self.held_out(key, &rules, window)?);
            }
            if figure_of_tests(name) {
                self.add_runs(&mut explanation, key, &rules, window, limit)?;
            }
            if name == FigureName::RecoveryTime {
                self.add_recoveries(&mut explanation, key, &rules, window, limit)?;
            }
            if name == FigureName::ChangeFailureRatio {
                self.add_deployments(&mut explanation, key, window, limit)?;
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

    /// A project's defects, newest first, each with what the rules make of it.
    pub fn defects(&self, project: &str, limit: usize) -> Result<Vec<ClassifiedDefect>, StoreError> {
        let rules = Arc::clone(&self.shared.snapshot().rules);
        Ok(self.newest_defects(project, &rules, 0, limit)?.0)
    }

    /// Some of a project's defects in the order of their days, the newest first, and how many there are.
    pub(super) fn newest_defects(
        &self,
        project: &str,
        rules: &CompiledRules,
        from: usize,
        limit: usize,
    ) -> Result<(Vec<ClassifiedDefect>, u64), StoreError> {
        let id = self.project_id(project)?;
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM defect WHERE project_id = ?1")?;
        let count = count.query_row([id], |row| row.get(0))?;
        let mut statement = self.connection.prepare_cached(
            "SELECT defect FROM defect WHERE project_id = ?1 ORDER BY created_at DESC, key LIMIT ?2 OFFSET ?3",
        )?;
        let mut rows = statement.query((id, limit, from))?;
        let mut defects = Vec::new();
        while let Some(row) = rows.next()? {
            let defect = from_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
            let class = rules.classify(&defect);
            defects.push(ClassifiedDefect { project: project.to_owned(), defect, class });
        }
        Ok((defects, count))
    }

    pub(super) fn classified(
        &self,
        project: &str,
        rules: &CompiledRules,
        chosen: &dyn Fn(&ClassifiedDefect) -> bool,
        limit: usize,
    ) -> Result<(Vec<ClassifiedDefect>, u64), StoreError> {
        let id = self.project_id(project)?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT defect FROM defect WHERE project_id = ?1 ORDER BY created_at DESC, key")?;
        let mut rows = statement.query([id])?;
        let (mut defects, mut left_out) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let defect = from_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
            let class = rules.classify(&defect);
            let defect = ClassifiedDefect { project: project.to_owned(), defect, class };
            match (chosen(&defect), defects.len() < limit) {
                (true, true) => defects.push(defect),
                (true, false) => left_out += 1,
                (false, _) => {}
            }
        }
        Ok((defects, left_out))
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

    /// The runs that the infrastructure guard holds out, newest first.
    fn held_out(&self, project: &str, rules: &CompiledRules, window: Window) -> Result<Vec<RunSummary>, StoreError> {
        let guard = rules.rules.infrastructure_guard;
        let mut statement = self.connection.prepare_cached(
            "SELECT DISTINCT run.id FROM report AS r JOIN run ON run.id = r.run_id WHERE r.project_id = ?1 \
             AND r.at >= ?2 AND r.at < ?3 AND run.attempt <= 1 AND run.decisive >= ?4 \
             AND run.failed >= ?5 * run.decisive ORDER BY run.id DESC LIMIT 50",
        )?;
        let end = window.last.start() + 86_400;
        let id = self.project_id(project)?;
        let bounds = (id, window.first.start(), end, guard.minimum_decisive, guard.failed_share);
        let runs = statement.query_map(bounds, |row| row.get::<_, i64>(0))?;
        let runs = runs.map(|run| self.run_summary(run?)).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(runs.into_iter().filter(|run| run.held_out_reports > 0).collect())
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

type Chosen = fn(&ClassifiedDefect, Window) -> bool;

/// Which defects stand behind a figure, if any do.
fn defects_of(name: FigureName) -> Option<Chosen> {
    fn created_in(defect: &ClassifiedDefect, window: Window) -> bool {
        window.contains(Day::of(defect.defect.created_at))
    }
    match name {
        // Those that do not count are shown, too: with the rule that made them not count.
        FigureName::DefectLeakage | FigureName::RemovalEfficiency => Some(created_in),
        FigureName::OpenDefects | FigureName::OpenDefectAge => {
            Some(|defect, _| defect.class.valid && defect.class.open)
        }
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
