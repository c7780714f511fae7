//! The folded state of every project, in memory, as of the last commit.

use super::codec::Malformed;
use super::columns::decode_executions;
use super::error::StoreError;
use super::ingest::{place, read_sums};
use super::kinds::DefectKinds;
use super::snapshot::{ProjectSnapshot, Snapshot};
use super::views::IngestTotals;
use crate::quality::{
    CodeOutcomes, CompiledRules, Day, Observation, ProjectState, ReportFacts, RunSums, Standing, Window,
};
use rusqlite::{Connection, Row};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A hash of 16 bytes.
pub(super) type Hash = [u8; 16];

/// Tests whose outcomes on one piece of code are kept in memory, before the older half is forgotten.
const CACHED_OUTCOMES: usize = 400_000;

/// A project, folded.
#[derive(Debug, Default)]
pub(super) struct LiveProject {
    pub(super) key: String,
    pub(super) default_branch: Option<String>,
    pub(super) state: ProjectState,
    /// Of which kinds each of its defects is. Shared with what is shown, and copied by whoever changes it.
    pub(super) kinds: Arc<DefectKinds>,
    /// From this day on the day buckets in memory are whole; earlier ones only add to what is stored.
    pub(super) whole_from: Option<Day>,
}

/// Every project, folded up to the report `through`.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) rules: Arc<CompiledRules>,
    pub(super) projects: BTreeMap<i64, LiveProject>,
    pub(super) through: i64,
    pub(super) ingest: Arc<IngestTotals>,
    /// Executions and reports folded since the state was last saved.
    pub(super) unsaved: (usize, usize),
    pub(super) folding: Option<String>,
    /// Something that is stored could not be folded in; the state is not saved any more, so that the next start
    /// folds it.
    pub(super) incomplete: bool,
    /// Reports are folded in of a run that turned out to be an outage. That cannot be undone: everything is to be folded
    /// again, and the state is not saved before that.
    pub(super) overturned: bool,
    /// By what the runs of the reports since the last snapshot were judged.
    judged: HashMap<i64, RunSums>,
    codes: CodeCache,
    touched: BTreeSet<i64>,
    published: BTreeMap<String, Arc<ProjectSnapshot>>,
}

/// A stored report, as far as folding needs it.
#[derive(Debug, Clone)]
pub(super) struct FoldableReport {
    pub(super) id: i64,
    pub(super) run: i64,
    /// What the reports of its run say together, as far as they are stored.
    pub(super) sums: RunSums,
    /// What those of them said that were folded before; nothing where none was.
    pub(super) before: Option<RunSums>,
    /// Reports with a smaller number were folded before it.
    pub(super) after: i64,
    pub(super) project: i64,
    pub(super) at: i64,
    pub(super) branch: Option<String>,
    pub(super) attempt: u32,
    pub(super) place: u32,
    pub(super) microseconds: Option<u64>,
    pub(super) opens_run: bool,
    pub(super) code: Option<Hash>,
    pub(super) observations: Vec<Observation>,
}

/// The columns of a [`FoldableReport`], of `report AS r JOIN run ON run.id = r.run_id`.
const FOLDABLE: &str = "r.id, r.project_id, r.at, run.branch, run.attempt, r.microseconds, r.code, r.executions, \
    NOT EXISTS (SELECT 1 FROM report AS earlier WHERE earlier.run_id = r.run_id AND earlier.id < r.id), \
    r.run_id, run.decisive, run.failed, run.environment, run.variant IS NOT NULL, run.job";

impl FoldableReport {
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let executions = decode_executions(row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?)?;
        Ok(Self {
            id: row.get(0)?,
            run: row.get(9)?,
            sums: read_sums(row, 10)?,
            before: None,
            after: row.get(0)?,
            project: row.get(1)?,
            at: row.get(2)?,
            branch: row.get(3)?,
            attempt: row.get(4)?,
            place: {
                let text = |index| row.get_ref(index)?.as_str_or_null().map_err(rusqlite::Error::from);
                place(text(12)?, row.get(13)?, text(14)?)
            },
            microseconds: row.get::<_, Option<i64>>(5)?.map(|microseconds| microseconds.max(0) as u64),
            opens_run: row.get(8)?,
            code: row.get(6)?,
            observations: executions.into_iter().map(|execution| execution.observation).collect(),
        })
    }

    fn facts<'a>(&'a self, default_branch: &'a str) -> ReportFacts<'a> {
        ReportFacts {
            id: self.id,
            run_id: self.run,
            at: self.at,
            branch: self.branch.as_deref(),
            default_branch,
            attempt: self.attempt,
            place: self.place,
            microseconds: self.microseconds,
            opens_run: self.opens_run,
            run: self.sums,
            observations: &self.observations,
        }
    }
}

impl Live {
    pub(super) fn new(rules: Arc<CompiledRules>) -> Self {
        Self {
            rules,
            projects: BTreeMap::new(),
            through: 0,
            ingest: Arc::default(),
            unsaved: (0, 0),
            folding: None,
            incomplete: false,
            overturned: false,
            judged: HashMap::new(),
            codes: CodeCache::default(),
            touched: BTreeSet::new(),
            published: BTreeMap::new(),
        }
    }

    /// Folds a report in, and says how it stands. Other reports on the same code are read from the connection where they
    /// are not known. All reports of a run stand alike: where this one changes it, those before it are judged again.
    pub(super) fn fold(&mut self, connection: &Connection, report: &FoldableReport) -> Result<Standing, StoreError> {
        let standing = |run| self.rules.standing(report.branch.as_deref(), report.attempt, run);
        let stands = standing(report.sums);
        if report.id <= self.through {
            // It was folded already, from the stored reports.
            return Ok(stands);
        }
        let stood = self.judged.get(&report.run).copied().or(report.before).map(standing);
        self.judged.insert(report.run, report.sums);
        match (stood, stands) {
            (Some(Standing::HeldOut), Standing::Counts) => self.take_in(connection, report)?,
            (Some(Standing::Counts), Standing::HeldOut) => self.overturned = true,
            _ => {}
        }
        self.add(connection, report)?;
        self.through = self.through.max(report.id);
        Ok(stands)
    }

    /// Folds the reports in that were held out before this one of the same run came.
    fn take_in(&mut self, connection: &Connection, report: &FoldableReport) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {FOLDABLE} FROM report AS r JOIN run ON run.id = r.run_id \
             WHERE r.run_id = ?1 AND r.id < ?2 ORDER BY r.id"
        ))?;
        let mut rows = statement.query((report.run, report.id))?;
        while let Some(row) = rows.next()? {
            let earlier = FoldableReport { after: report.id, ..FoldableReport::read(row)? };
            let rules = Arc::clone(&self.rules);
            let project = self.projects.entry(report.project).or_default();
            let default_branch = project.default_branch.as_deref().unwrap_or(&rules.rules.default_branch);
            project.state.take_back(&rules, &earlier.facts(default_branch));
            self.add(connection, &earlier)?;
        }
        Ok(())
    }

    fn add(&mut self, connection: &Connection, report: &FoldableReport) -> Result<(), StoreError> {
        let project = self.projects.entry(report.project).or_default();
        let default_branch = project.default_branch.clone().unwrap_or_else(|| self.rules.rules.default_branch.clone());
        let code = match report.code {
            None => None,
            Some(code) => {
                Some(self.codes.get(connection, &self.rules, report, code, &mut project.state, &default_branch)?)
            }
        };
        project.state.fold(&self.rules, &report.facts(&default_branch), code);
        self.unsaved.0 = self.unsaved.0.saturating_add(report.observations.len());
        self.unsaved.1 = self.unsaved.1.saturating_add(1);
        self.touched.insert(report.project);
        Ok(())
    }

    /// Folds the stored reports of one branch of a project from a moment on in.
    pub(super) fn fold_branch(
        &mut self,
        connection: &Connection,
        (project, branch): (i64, &str),
        from: i64,
    ) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {FOLDABLE} FROM run JOIN report AS r ON r.run_id = run.id \
             WHERE run.project_id = ?1 AND run.branch = ?2 AND r.at >= ?3 ORDER BY r.id"
        ))?;
        let mut rows = statement.query((project, branch, from))?;
        while let Some(row) = rows.next()? {
            self.fold(connection, &FoldableReport::read(row)?)?;
        }
        Ok(())
    }

    /// Folds all stored reports after `self.through` in, up to and with `through`.
    pub(super) fn fold_stored(&mut self, connection: &Connection, through: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {FOLDABLE} FROM report AS r JOIN run ON run.id = r.run_id WHERE r.id > ?1 AND r.id <= ?2 ORDER BY r.id"
        );
        let mut statement = connection.prepare(&sql)?;
        let folded = self.through;
        let mut before = connection.prepare_cached(
            "SELECT sum(passed + failed + errors), sum(failed + errors) FROM report WHERE run_id = ?1 AND id <= ?2",
        )?;
        let mut rows = statement.query([folded, through])?;
        while let Some(row) = rows.next()? {
            let mut report = FoldableReport::read(row)?;
            if folded > 0 && !report.opens_run && !self.judged.contains_key(&report.run) {
                report.before = before.query_row((report.run, folded), |row| {
                    let decisive: Option<u64> = row.get(0)?;
                    let failed: Option<u64> = row.get(1)?;
                    Ok(decisive.zip(failed).map(|(decisive, failed)| RunSums { decisive, failed }))
                })?;
            }
            self.fold(connection, &report)?;
        }
        self.judged.clear();
        Ok(())
    }

    /// Takes over from the state before what the stored reports do not tell any more: counters, and the days
    /// whose reports are gone.
    pub(super) fn keep_what_cannot_be_folded_again(&mut self, before: &Self, first_day_with_reports: Option<Day>) {
        self.ingest = Arc::clone(&before.ingest);
        for (id, old) in &before.projects {
            let project = self.project(*id);
            let sums = &mut project.state.sums;
            sums.set_lifetime(old.state.sums.lifetime().map(|(branch, bucket)| (branch, bucket.clone())));
            for (day, branch, bucket) in old.state.sums.buckets() {
                if first_day_with_reports.is_none_or(|first| day < first) {
                    sums.add_bucket(day, branch, bucket);
                }
            }
            project.whole_from = old.whole_from;
        }
    }

    /// A project to change; what it shows is renewed with the next snapshot.
    pub(super) fn project(&mut self, id: i64) -> &mut LiveProject {
        self.touched.insert(id);
        self.projects.entry(id).or_default()
    }

    /// The project with a key.
    pub(super) fn project_by_key(&self, key: &str) -> Option<(i64, &LiveProject)> {
        self.projects.iter().find(|(_, project)| project.key == key).map(|(id, project)| (*id, project))
    }

    /// What readers see from now on: projects that were not touched since the last snapshot are shared with it.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.judged.clear();
        for id in std::mem::take(&mut self.touched) {
            let Some(project) = self.projects.get(&id) else { continue };
            let shown = ProjectSnapshot {
                id,
                key: project.key.clone(),
                default_branch: project
                    .default_branch
                    .clone()
                    .unwrap_or_else(|| self.rules.rules.default_branch.clone()),
                sums: project.state.sums.clone(),
                kinds: Arc::clone(&project.kinds),
            };
            self.published.insert(project.key.clone(), Arc::new(shown));
        }
        Snapshot {
            rules: Arc::clone(&self.rules),
            projects: self.published.clone(),
            ingest: Arc::clone(&self.ingest),
            folding: self.folding.clone(),
        }
    }
}

/// A test that went from red to green on the default branch, and the reports that say so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recovery {
    pub(super) test: u32,
    pub(super) red: (i64, i64),
    pub(super) green: (i64, i64),
}

impl Recovery {
    /// How long the test was red.
    pub(super) fn seconds(&self) -> u64 {
        self.green.1.abs_diff(self.red.1)
    }
}

/// The slowest recoveries of a window, and how many there are in all, read again off the stored reports in the order of
/// their runs: the state keeps their sums only. There may be as many as executions, so that no more are kept than are asked for, and as many again.
pub(super) fn recoveries(
    connection: &Connection,
    rules: &CompiledRules,
    (project, default_branch): (i64, &str),
    window: Window,
    limit: usize,
) -> Result<(Vec<Recovery>, u64), StoreError> {
    let keep_slowest = |recoveries: &mut Vec<Recovery>| {
        recoveries.sort_by_key(|one| Reverse(one.seconds()));
        recoveries.truncate(limit);
    };
    // Only the numbers are sorted, and no executions with them.
    let mut statement = connection.prepare_cached("SELECT id FROM report WHERE project_id = ?1 ORDER BY at, id")?;
    let numbers = statement.query_map([project], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {FOLDABLE} FROM report AS r JOIN run ON run.id = r.run_id \
         WHERE r.id = ?1 AND (run.branch IS NULL OR run.branch = ?2)"
    ))?;
    // Where a test is red, with the report and the moment since which it is.
    let mut red: HashMap<(u32, u32), (i64, i64)> = HashMap::new();
    let (mut slowest, mut all) = (Vec::new(), 0);
    for number in numbers {
        let mut rows = statement.query((number, default_branch))?;
        let Some(row) = rows.next()? else { continue };
        let report = FoldableReport::read(row)?;
        if report.facts(default_branch).standing(rules) != Standing::Counts {
            continue;
        }
        for observation in report.observations.iter().filter(|one| one.outcome.is_decisive()) {
            let here = (observation.test, report.place);
            if observation.outcome.is_failure() {
                red.entry(here).or_insert((report.id, report.at));
            } else if let Some(red) = red.remove(&here)
                && window.contains(Day::of(report.at))
            {
                slowest.push(Recovery { test: observation.test, red, green: (report.id, report.at) });
                all += 1;
            }
        }
        // A report may add many at once.
        if slowest.len() > 2 * limit {
            keep_slowest(&mut slowest);
        }
    }
    keep_slowest(&mut slowest);
    Ok((slowest, all))
}

/// What is known about code that reports came from lately, in two generations: when the young one is full, it
/// becomes the old one, and what was old is forgotten. What is forgotten can be read again.
#[derive(Debug, Default)]
struct CodeCache {
    young: HashMap<(i64, Hash), CodeOutcomes>,
    old: HashMap<(i64, Hash), CodeOutcomes>,
    young_tests: usize,
}

impl CodeCache {
    fn get(
        &mut self,
        connection: &Connection,
        rules: &CompiledRules,
        report: &FoldableReport,
        code: Hash,
        state: &mut ProjectState,
        default_branch: &str,
    ) -> Result<&mut CodeOutcomes, StoreError> {
        let key = (report.project, code);
        // What the report itself will add counts, too, so that a piece of code that many reports share is seen.
        self.young_tests += report.observations.len();
        if !self.young.contains_key(&key) {
            let outcomes = match self.old.remove(&key) {
                Some(outcomes) => outcomes,
                None => recall(connection, rules, report, code, state, default_branch)?,
            };
            if self.young_tests > CACHED_OUTCOMES {
                self.old = std::mem::take(&mut self.young);
                self.young_tests = report.observations.len();
            }
            self.young_tests += outcomes.tests();
            self.young.insert(key, outcomes);
        }
        Ok(self.young.entry(key).or_default())
    }
}

/// Reads what earlier reports said about a piece of code.
fn recall(
    connection: &Connection,
    rules: &CompiledRules,
    report: &FoldableReport,
    code: Hash,
    state: &mut ProjectState,
    default_branch: &str,
) -> Result<CodeOutcomes, StoreError> {
    let sql = format!(
        "SELECT {FOLDABLE} FROM report AS r JOIN run ON run.id = r.run_id \
         WHERE r.project_id = ?1 AND r.code = ?2 AND r.id < ?3 AND (r.id < ?4 OR r.run_id <> ?5) ORDER BY r.id"
    );
    let mut outcomes = CodeOutcomes::default();
    let mut statement = connection.prepare_cached(&sql)?;
    // Of its own run, those after it were not folded, either, where it was held out until now.
    let mut rows = statement.query((report.project, code, report.after, report.id, report.run))?;
    while let Some(row) = rows.next()? {
        let earlier = FoldableReport::read(row)?;
        state.recall(rules, &earlier.facts(default_branch), &mut outcomes);
    }
    Ok(outcomes)
}

impl From<Malformed> for StoreError {
    fn from(error: Malformed) -> Self {
        Self::Damaged { reason: error.to_string() }
    }
}
