//! Tests: rankings, search, and one test's history with the reasons why it is called flaky.

use super::Reader;
use crate::quality::{
    Day, FlakeEvent, FlakeKind, ProjectState, Ranked, TestState, Window, counts, rank_broken, rank_flaky, rank_slowest,
    rank_unsure,
};
use crate::store::error::StoreError;
use crate::store::index::from_hexadecimal;
use crate::store::live::Hash;
use crate::store::views::{FlakeExplanation, HistoryEntry, TestHistory, TestSummary};
use rusqlite::{OptionalExtension, Row};

/// Executions that explain one flaky one: a report may name a test any number of times.
const EXECUTIONS_OF_AN_EVENT: usize = 10;

/// Reports of one piece of code that are looked at to explain a flaky test.
const REPORTS_OF_ONE_CODE: usize = 50;

pub(super) const ENTRY: &str = "SELECT run.id, r.id, run.run_key, run.attempt, run.job, run.branch, run.commit_sha, \
    run.tree_sha, run.ci_url, r.at, r.code FROM report AS r JOIN run ON run.id = r.run_id";

/// Reports that are looked through for the executions of a test, and as many again on the days it is known to have run:
/// a project may have many more, and a test run in few of them.
const REPORTS_OF_A_TEST: usize = 1_000;

/// What a list of tests is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// Flaky tests with the minimum sample, by the Wilson lower bound of their flaky share.
    Flaky,
    /// Flaky tests without the minimum sample, in the same order.
    Unsure,
    /// Tests that failed each time, by how often they did.
    Broken,
    /// All tests, by their mean duration.
    Slowest,
}

impl Reader<'_> {
    /// The first tests of a ranking in a project, in the window that ends now.
    pub fn ranked(
        &self,
        project: &str,
        ranking: Ranking,
        now: i64,
        limit: usize,
    ) -> Result<Vec<TestSummary>, StoreError> {
        let (id, ranked) = {
            let live = self.live();
            let (id, project) = live
                .project_by_key(project)
                .ok_or_else(|| StoreError::Unknown { what: format!("project {project:?}") })?;
            let rules = &live.rules.rules;
            let window = Window::ending(Day::of(now), rules.flake_window_days);
            let state = &project.state;
            let ranked = match ranking {
                Ranking::Flaky => rank_flaky(state, window, rules.minimum_sample, limit),
                Ranking::Unsure => rank_unsure(state, window, rules.minimum_sample, limit),
                Ranking::Broken => rank_broken(state, window, limit),
                Ranking::Slowest => rank_slowest(state, window, limit),
            };
            (id, facts(state, window, ranked))
        };
        ranked.into_iter().map(|facts| self.summary(id, facts)).collect()
    }

    /// Tests of a project whose suite, class, name or file contains a text, in the order they were first seen.
    pub fn tests(
        &self,
        project: &str,
        text: &str,
        now: i64,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<TestSummary>, StoreError> {
        let id = self.project_id(project)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT number, name, class, suite, coalesce(file, '') FROM test \
             WHERE project_id = ?1 AND number > ?2 ORDER BY number",
        )?;
        let (text, limit) = (text.to_lowercase(), limit.min(1000));
        let mut rows = statement.query((id, after.map_or(-1, i64::from)))?;
        let mut found: Vec<u32> = Vec::new();
        while let (true, Some(row)) = (found.len() < limit, rows.next()?) {
            if text.is_empty() || any_text(row, 1..5, |own| own.contains(&text))? {
                found.push(row.get(0)?);
            }
        }
        found.into_iter().map(|number| self.test_summary(id, number, now)).collect()
    }

    /// One test of a project, by its fingerprint: its newest executions, and why it is called flaky.
    pub fn history(&self, project: &str, fingerprint: &str, now: i64, limit: usize) -> Result<TestHistory, StoreError> {
        let id = self.project_id(project)?;
        let unknown = || StoreError::Unknown { what: format!("test {fingerprint:?} in project {project:?}") };
        let hash: Hash = from_hexadecimal(fingerprint).ok_or_else(unknown)?;
        let mut statement =
            self.connection.prepare_cached("SELECT number FROM test WHERE project_id = ?1 AND fingerprint = ?2")?;
        let number: u32 = statement.query_row((id, hash), |row| row.get(0)).optional()?.ok_or_else(unknown)?;
        Ok(TestHistory {
            summary: self.test_summary(id, number, now)?,
            entries: self.entries(id, number, limit)?,
            events: self.events(id, number, now)?,
        })
    }

    /// A test with its counts in the window that ends now.
    fn test_summary(&self, project: i64, number: u32, now: i64) -> Result<TestSummary, StoreError> {
        let found = {
            let live = self.live();
            let window = Window::ending(Day::of(now), live.rules.rules.flake_window_days);
            let state = live.projects.get(&project).map(|project| &project.state);
            let test = state.and_then(|state| state.tests().get(number as usize)).cloned().unwrap_or_default();
            Facts::of(counts(number, &test, window), &test, window)
        };
        self.summary(project, found)
    }

    pub(super) fn summary(&self, project: i64, facts: Facts) -> Result<TestSummary, StoreError> {
        let Facts { ranked, is_flaky, is_broken, first_day, last_day } = facts;
        let (fingerprint, test) = self.identity(project, ranked.test)?;
        Ok(TestSummary {
            number: ranked.test,
            fingerprint,
            test,
            score: ranked.score,
            decisive: ranked.decisive,
            failed: ranked.failed,
            flaky: ranked.flaky,
            mean_seconds: ranked.mean_seconds,
            is_flaky,
            is_broken,
            first_seen_at: first_day.map(Day::start),
            last_seen_at: last_day.map(Day::start),
        })
    }

    /// The newest executions of a test, newest first: the newest reports are looked through, then those of the
    /// days on which it is known to have run.
    fn entries(&self, project: i64, number: u32, limit: usize) -> Result<Vec<HistoryEntry>, StoreError> {
        let test = {
            let live = self.live();
            let state = live.projects.get(&project).map(|project| &project.state);
            state.and_then(|state| state.tests().get(number as usize)).cloned().unwrap_or_default()
        };
        // By the index of the time alone: in that of the project, each report would have to be sorted first.
        let mut statement = self.connection.prepare_cached(&format!(
            "{ENTRY} WHERE +r.project_id = ?1 AND r.at >= ?2 AND r.at < ?3 ORDER BY r.at DESC, r.id DESC"
        ))?;
        let mut entries = Vec::new();
        let mut look = |(from, until): (i64, i64), room: &mut usize| -> Result<i64, StoreError> {
            let mut reached = until;
            let mut rows = statement.query((project, from, until))?;
            while entries.len() < limit && *room > 0 {
                let Some(row) = rows.next()? else { break };
                entries.extend(self.entries_of(row, number)?);
                (reached, *room) = (row.get(9)?, *room - 1);
            }
            Ok(reached)
        };
        let mut room = REPORTS_OF_A_TEST;
        // Reports that do not count are no days of it: the newest ones may hold it whatever the state says.
        let mut until = look((test.first_day.map_or(i64::MIN, Day::start), i64::MAX), &mut room)?;
        if room == 0 {
            room = REPORTS_OF_A_TEST;
            let last = test.last_seen.filter(|last| test.days.last().is_none_or(|day| day.day < *last));
            for day in last.into_iter().chain(test.days.iter().rev().map(|entry| entry.day)) {
                look((day.start(), until.min(day.start() + 86_400)), &mut room)?;
                until = until.min(day.start());
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }

    /// Why a test is called flaky in the window that ends now.
    pub(super) fn events(&self, project: i64, number: u32, now: i64) -> Result<Vec<FlakeExplanation>, StoreError> {
        let events: Vec<FlakeEvent> = {
            let live = self.live();
            let window = Window::ending(Day::of(now), live.rules.rules.flake_window_days);
            let state = live.projects.get(&project).map(|project| &project.state);
            let test = state.and_then(|state| state.tests().get(number as usize));
            test.filter(|test| test.is_flaky(window))
                .map(|test| test.events.iter().rev().filter(|event| window.contains(event.day)).copied().collect())
                .unwrap_or_default()
        };
        let mut seen: Vec<Hash> = Vec::new();
        let mut explanations = Vec::new();
        for event in events {
            let mut of_report = self.connection.prepare_cached(&format!("{ENTRY} WHERE r.id = ?1"))?;
            let mut rows = of_report.query([event.report])?;
            // The report may be older than the retention.
            let Some(row) = rows.next()? else { continue };
            let code: Option<Hash> = row.get(10)?;
            let executions = match (event.kind, code) {
                (FlakeKind::BothOutcomesOnOneCommit, Some(code)) => {
                    if seen.contains(&code) {
                        continue;
                    }
                    seen.push(code);
                    self.entries_on_code(project, code, number)?
                }
                _ => self.entries_of(row, number)?,
            };
            explanations.push(explained(event.kind, executions));
        }
        Ok(explanations)
    }

    /// A test's executions on one piece of code, in the order they were stored.
    fn entries_on_code(&self, project: i64, code: Hash, number: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{ENTRY} WHERE r.project_id = ?1 AND r.code = ?2 ORDER BY r.id LIMIT ?3"))?;
        let mut rows = statement.query((project, code, REPORTS_OF_ONE_CODE))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.extend(self.entries_of(row, number)?.into_iter().filter(|entry| entry.outcome.is_decisive()));
        }
        Ok(entries)
    }

    /// A test's executions in one report.
    pub(super) fn entries_of(&self, row: &Row<'_>, number: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        let report = row.get(1)?;
        let executions = self.executions(report)?;
        let first = executions.partition_point(|execution| execution.observation.test < number);
        let of_test = executions[first..].iter().take_while(|execution| execution.observation.test == number);
        of_test
            .map(|execution| {
                Ok(HistoryEntry {
                    run_id: row.get(0)?,
                    report,
                    run: row.get(2)?,
                    attempt: row.get(3)?,
                    job: row.get(4)?,
                    branch: row.get(5)?,
                    commit: row.get(6)?,
                    tree: row.get(7)?,
                    ci_url: row.get(8)?,
                    at: row.get(9)?,
                    outcome: execution.observation.outcome,
                    flaky: execution.observation.flaky,
                    attempts: execution.attempts,
                    seconds: execution.observation.microseconds.map(|microseconds| microseconds as f64 / 1e6),
                })
            })
            .collect()
    }
}

/// An event with the first of its executions, a failure and a pass among them where there are both.
fn explained(kind: FlakeKind, mut executions: Vec<HistoryEntry>) -> FlakeExplanation {
    let left_out = executions.len().saturating_sub(EXECUTIONS_OF_AN_EVENT);
    let fails = |entry: &HistoryEntry| entry.outcome.is_failure();
    let first = executions.first().is_some_and(fails);
    let contrast = executions.iter().position(|entry| fails(entry) != first);
    if let Some(contrast) = contrast.filter(|place| *place >= EXECUTIONS_OF_AN_EVENT) {
        executions.swap(contrast, EXECUTIONS_OF_AN_EVENT - 1);
    }
    executions.truncate(EXECUTIONS_OF_AN_EVENT);
    FlakeExplanation { kind, executions, executions_left_out: left_out as u64 }
}

/// Whether one of some columns, in small letters, is as wished. SQLite's own `lower` knows the letters of ASCII alone.
pub(super) fn any_text(
    row: &Row<'_>,
    columns: std::ops::Range<usize>,
    wished: impl Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    for column in columns {
        let own = row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        if own.is_some_and(|own| wished(&own.to_lowercase())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the folded state knows of a test, taken out from under its lock.
pub(super) struct Facts {
    ranked: Ranked,
    is_flaky: bool,
    is_broken: bool,
    first_day: Option<Day>,
    last_day: Option<Day>,
}

impl Facts {
    pub(super) fn number(&self) -> u32 {
        self.ranked.test
    }

    fn of(ranked: Ranked, test: &TestState, window: Window) -> Self {
        Self {
            ranked,
            is_flaky: test.is_flaky(window),
            is_broken: test.is_broken(window),
            first_day: test.first_day,
            last_day: test.last_seen,
        }
    }
}

/// What the folded state knows of ranked tests.
pub(super) fn facts(state: &ProjectState, window: Window, ranked: Vec<Ranked>) -> Vec<Facts> {
    ranked
        .into_iter()
        .filter_map(|ranked| state.tests().get(ranked.test as usize).map(|test| Facts::of(ranked, test, window)))
        .collect()
}
