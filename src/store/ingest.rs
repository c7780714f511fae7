//! A report on its way into the store.

use super::columns::{self, StoredExecution};
use super::error::StoreError;
use super::index::{self, NewTest};
use super::live::{FoldableReport, Hash, Live};
use super::model::{NewReport, Receipt, RunMeta};
use super::writer::Applying;
use crate::quality::{Day, Observation, RunSums};
use crate::reports::{Counts, Execution, TestPlace, Warning};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// Warnings of one report that are kept word for word.
const KEPT_WARNINGS: usize = 50;

/// A report with everything worked out that does not need the database.
#[derive(Debug)]
pub(super) struct Prepared {
    new: NewReport,
    /// How many reports its push has.
    of: usize,
    at: i64,
    identity: Hash,
    content: Hash,
    code: Option<Hash>,
    fingerprints: Vec<Hash>,
    details: Option<Vec<u8>>,
    format: String,
}

impl Prepared {
    /// Works out hashes, sizes and texts: the caller's share of the work, so that the writer has little to do. It is
    /// the report with this number, from 0, of a push of so many.
    pub(super) fn part(mut new: NewReport, number: usize, of: usize) -> Result<Self, StoreError> {
        if of > 1
            && let Some(key) = &mut new.idempotency_key
        {
            *key = format!("{key}{PART}{number}/{of}");
        }
        if new.project.trim().is_empty() {
            return Err(StoreError::Invalid { reason: "the project's key is empty".to_owned() });
        }
        if u32::try_from(new.report.executions.len()).is_err() {
            return Err(StoreError::Invalid { reason: "the report has more than 4,294,967,295 executions".to_owned() });
        }
        new.meta.attempt = new.meta.attempt.max(1);
        if let Some(cell) = new.meta.variant.as_deref().filter(|cell| !cell.is_empty()) {
            in_cell(cell, &mut new.report.executions);
        }
        let (identity, content) = identities(&new);
        Ok(Self {
            // What is not here yet cannot have happened, whatever another computer's clock says.
            at: new.meta.started_at.map_or(new.received_at, |started| started.min(new.received_at)),
            identity,
            content,
            code: code(&new.meta, new.meta.tree.as_deref()),
            fingerprints: new.report.executions.iter().map(|execution| index::fingerprint(&execution.test)).collect(),
            details: columns::encode_details(&new.report.executions),
            format: word(&new.report.format),
            of,
            new,
        })
    }

    /// About how many rows it takes.
    pub(super) fn rows(&self) -> usize {
        1 + self.new.report.executions.len()
    }

    /// Counts it among the pushes of its format, with what became of it.
    pub(super) fn count(&self, applying: &mut Applying<'_>, result: &str) {
        applying.tally.push(&self.format, result, self.new.bytes);
    }

    /// Executions, sorted by test as the columns want them.
    fn executions(&self, numbers: &[u32]) -> Vec<StoredExecution> {
        let mut detail = 0..;
        let mut stored: Vec<StoredExecution> = self
            .new
            .report
            .executions
            .iter()
            .zip(numbers)
            .map(|(execution, &test)| StoredExecution {
                observation: Observation {
                    test,
                    outcome: execution.outcome,
                    flaky: execution.flaky,
                    microseconds: execution.duration.map(columns::microseconds),
                },
                attempts: execution.attempts.len().max(1) as u64,
                detail: if columns::has_details(execution) { detail.next() } else { None },
            })
            .collect();
        // The sort is stable: of one test's records the report's last one stays the last.
        stored.sort_by_key(|execution| execution.observation.test);
        stored
    }
}

/// Makes a matrix cell part of each test's variant. Neighbouring tests go on sharing their place.
fn in_cell(cell: &str, executions: &mut [Execution]) {
    let mut last: Option<(Arc<TestPlace>, Arc<TestPlace>)> = None;
    for Execution { test, .. } in executions {
        let inside = match last.take().filter(|(outside, _)| Arc::ptr_eq(outside, &test.place)) {
            Some((_, inside)) => inside,
            None => {
                let own = &test.place.variant;
                let variant = if own.is_empty() { cell.to_owned() } else { format!("{cell} {own}") };
                Arc::new(TestPlace { variant, ..TestPlace::clone(&test.place) })
            }
        };
        let outside = std::mem::replace(&mut test.place, Arc::clone(&inside));
        last = Some((outside, inside));
    }
}

/// A format's word, as its JSON form has it.
pub(super) fn word(format: &crate::reports::Format) -> String {
    serde_json::to_value(format).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The hash that makes reports one run, and the hash that makes pushes the same push.
fn identities(new: &NewReport) -> (Hash, Hash) {
    let meta = &new.meta;
    let attempt = meta.attempt.to_le_bytes();
    let text = |text: &'_ Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let mut run = vec![
        text(&meta.run),
        Some(attempt.to_vec()),
        text(&meta.job),
        text(&meta.shard),
        text(&meta.environment),
        text(&meta.variant),
    ];
    let hash = |parts: &[Option<Vec<u8>>]| index::hash(parts.iter().map(|part| part.as_deref()));
    let mut identity = hash(&run);
    let mut same = identity;
    if meta.run.is_none() {
        run.extend([text(&meta.branch), text(&meta.commit), text(&meta.tree), Some(new.sha256.to_vec())]);
        // Without a key, the same report of the same code is the same, whichever push brings it.
        same = hash(&run);
        identity = same;
        if meta.push.is_some() {
            run.pop();
            run.push(text(&meta.push));
            identity = hash(&run);
        }
    }
    (identity, index::hash([Some(&same[..]), Some(&new.sha256[..])]))
}

/// The hash of the code that outcomes can be compared on, and of where it ran: the environment, and where neither that
/// nor a variant is named, the job, since jobs of one commit are often the cells of a matrix. Test variants are part of
/// the tests themselves.
fn code(meta: &RunMeta, tree: Option<&str>) -> Option<Hash> {
    let filled = |text: &&str| !text.trim().is_empty();
    let (kind, id) = match (tree.filter(filled), meta.commit.as_deref().filter(filled)) {
        (Some(tree), _) => ("tree", tree),
        (None, Some(commit)) => ("commit", commit),
        (None, None) => return None,
    };
    let (environment, job) =
        environment_or_job(meta.environment.as_deref(), meta.variant.is_some(), meta.job.as_deref());
    let parts = [Some(kind), Some(id), environment].into_iter().chain(job.map(Some));
    Some(index::hash(parts.map(|part| part.map(str::as_bytes))))
}

/// Where a run was: in its environment, and where neither that nor a variant is named, in its job.
fn environment_or_job<'m>(
    environment: Option<&'m str>,
    has_variant: bool,
    job: Option<&'m str>,
) -> (Option<&'m str>, Option<&'m str>) {
    (environment, job.filter(|job| environment.is_none() && !has_variant && !is_uuid(job)))
}

/// The same as a small hash, by which a test's outcomes of different places are told apart.
pub(super) fn place(environment: Option<&str>, has_variant: bool, job: Option<&str>) -> u32 {
    let (environment, job) = environment_or_job(environment, has_variant, job);
    if environment.is_none() && job.is_none() {
        return 0;
    }
    let [a, b, c, d, ..] = index::hash([environment, job].map(|part| part.map(str::as_bytes)));
    u32::from_le_bytes([a, b, c, d])
}

/// Whether a job is named by a number that no other run of it has, as Bitbucket's steps are.
fn is_uuid(job: &str) -> bool {
    let bare = job.trim_start_matches('{').trim_end_matches('}');
    bare.len() == 36 && bare.chars().all(|character| character.is_ascii_hexdigit() || character == '-')
}

/// What separates the key of a push from the number of a report in it; no key that came in a header holds it.
const PART: char = '\n';

/// A report that is being stored.
pub(super) struct Storing {
    pub(super) prepared: Prepared,
    pub(super) outcome: Option<Result<Receipt, StoreError>>,
    stored: Option<(FoldableReport, Vec<NewTest>, Option<String>)>,
}

impl Storing {
    pub(super) fn new(prepared: Prepared) -> Self {
        Self { prepared, outcome: None, stored: None }
    }

    /// Finds out what became of the same push before, if there was one.
    pub(super) fn look(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        self.stored = None;
        let new = &self.prepared.new;
        let project = applying.index.project(applying.connection, &new.project, None, new.received_at)?.id;
        self.outcome = self.earlier(applying, project)?;
        Ok(())
    }

    /// What became of the same push before, if there was one.
    fn earlier(
        &self,
        applying: &Applying<'_>,
        project: i64,
    ) -> Result<Option<Result<Receipt, StoreError>>, StoreError> {
        let receipt = |sql: &str, value: &dyn rusqlite::ToSql| {
            let mut statement = applying.connection.prepare_cached(sql)?;
            statement.query_row((project, value), |row| self.receipt_of(applying, row)).optional()
        };
        if let Some(key) = &self.prepared.new.idempotency_key {
            if !self.is_as_many(applying.connection, project, key)? {
                return Ok(Some(Err(conflict(key))));
            }
            let found = receipt(&format!("{RECEIPT} AND r.idempotency_key = ?2"), key)?;
            if let Some((receipt, content)) = found {
                let same = content == self.prepared.content;
                return Ok(Some(if same { Ok(receipt) } else { Err(conflict(key)) }));
            }
        }
        let found = receipt(&format!("{RECEIPT} AND r.content = ?2"), &self.prepared.content)?;
        Ok(found.map(|(receipt, _)| Ok(receipt)))
    }

    /// Whether the push that used the key before, if there was one, had as many reports as this one.
    fn is_as_many(&self, connection: &Connection, project: i64, key: &str) -> Result<bool, StoreError> {
        let own = match key.split_once(PART) {
            None => key,
            Some((own, part)) if part.starts_with("0/") => own,
            // The first report of the push was asked already.
            Some(_) => return Ok(true),
        };
        let mut other = connection.prepare_cached(
            "SELECT idempotency_key FROM report WHERE project_id = ?1 AND (idempotency_key = ?2 \
             OR idempotency_key > ?2 || char(10) AND idempotency_key < ?2 || char(11)) LIMIT 1",
        )?;
        let used: Option<String> = other.query_row((project, own), |row| row.get(0)).optional()?;
        let of = |key: &str| key.split_once(PART).and_then(|(_, part)| part.split_once('/')?.1.parse().ok());
        Ok(used.is_none_or(|used| of(&used).unwrap_or(1) == self.prepared.of))
    }

    fn receipt_of(&self, applying: &Applying<'_>, row: &rusqlite::Row<'_>) -> rusqlite::Result<(Receipt, Hash)> {
        let counts = read_counts(row, 3)?;
        let branch: Option<String> = row.get(9)?;
        let sums = read_sums(row, 12)?;
        let receipt = Receipt {
            report: row.get(0)?,
            run: row.get(1)?,
            project: self.prepared.new.project.clone(),
            duplicate: true,
            counts,
            flaky: row.get(7)?,
            new_tests: row.get(8)?,
            standing: applying.rules.standing(branch.as_deref(), row.get(10)?, sums),
            at: row.get(14)?,
            received_at: row.get(11)?,
        };
        Ok((receipt, row.get(2)?))
    }

    fn insert(&mut self, applying: &mut Applying<'_>) -> Result<Receipt, StoreError> {
        let Prepared { new, at, .. } = &self.prepared;
        let connection = applying.connection;
        let meta = &new.meta;
        let default_branch = meta.default_branch.as_deref();
        let project = applying.index.project(connection, &new.project, default_branch, new.received_at)?;
        let tests =
            self.prepared.fingerprints.iter().zip(new.report.executions.iter().map(|execution| &execution.test));
        let (numbers, new_tests) = project.numbers(connection, Day::of(*at), tests)?;
        let (project_id, default_branch) = (project.id, project.default_branch.clone());
        let code = self.code(connection, project_id)?;
        let counts = new.report.counts();
        let (run, before) = self.run(connection, project_id)?;
        let sums = add_to_run(connection, run, counts)?;
        let executions = self.prepared.executions(&numbers);
        let microseconds = new.report.duration.map(columns::microseconds).or_else(|| total(&new.report.executions));
        let mut insert = connection.prepare_cached(
            "INSERT INTO report (project_id, run_id, content, idempotency_key, code, format, bytes, token_id, at, \
             received_at, passed, failed, errors, skipped, flaky, new_tests, microseconds, warnings, executions) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?;
        let report = insert.insert(rusqlite::params![
            project_id,
            run,
            self.prepared.content,
            new.idempotency_key,
            code,
            self.prepared.format,
            new.bytes as i64,
            new.token,
            at,
            new.received_at,
            counts.passed as i64,
            counts.failed as i64,
            counts.errors as i64,
            counts.skipped as i64,
            new.report.flaky() as i64,
            new_tests.len() as i64,
            microseconds.map(|microseconds| microseconds as i64),
            kept_warnings(&new.report.warnings),
            columns::encode_executions(&executions),
        ])?;
        if let Some(details) = &self.prepared.details {
            connection
                .prepare_cached("INSERT INTO report_details (report_id, details) VALUES (?1, ?2)")?
                .execute((report, details))?;
        }
        let receipt = Receipt {
            report,
            run,
            project: new.project.clone(),
            duplicate: false,
            counts,
            flaky: new.report.flaky(),
            new_tests: new_tests.len() as u64,
            standing: applying.rules.standing(meta.branch.as_deref(), meta.attempt, sums),
            at: *at,
            received_at: new.received_at,
        };
        let foldable = FoldableReport {
            id: report,
            run,
            sums,
            before,
            after: report,
            project: project_id,
            at: *at,
            branch: meta.branch.clone(),
            attempt: meta.attempt,
            place: place(meta.environment.as_deref(), meta.variant.is_some(), meta.job.as_deref()),
            microseconds,
            opens_run: before.is_none(),
            code,
            observations: executions.into_iter().map(|execution| execution.observation).collect(),
        };
        self.stored = Some((foldable, new_tests, default_branch));
        Ok(receipt)
    }

    /// The code it is compared on. Where only the commit is said, and another run says its tree, by that tree.
    fn code(&self, connection: &Connection, project: i64) -> Result<Option<Hash>, StoreError> {
        let meta = &self.prepared.new.meta;
        let (None, Some(commit)) = (&meta.tree, &meta.commit) else { return Ok(self.prepared.code) };
        let mut known = connection.prepare_cached(
            "SELECT tree_sha FROM run WHERE project_id = ?1 AND commit_sha = ?2 AND tree_sha IS NOT NULL LIMIT 1",
        )?;
        let tree: Option<String> = known.query_row((project, commit), |row| row.get(0)).optional()?;
        Ok(tree.map_or(self.prepared.code, |tree| code(meta, Some(&tree))))
    }

    /// The run's number, and what its reports said so far; nothing where it was made just now.
    fn run(&self, connection: &Connection, project: i64) -> Result<(i64, Option<RunSums>), StoreError> {
        let mut known = connection
            .prepare_cached("SELECT id, decisive, failed FROM run WHERE project_id = ?1 AND identity = ?2")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Some(read_sums(row, 1)?)));
        if let Some(known) = known.query_row((project, self.prepared.identity), read).optional()? {
            return Ok(known);
        }
        let meta = &self.prepared.new.meta;
        let mut insert = connection.prepare_cached(
            "INSERT INTO run (project_id, identity, run_key, attempt, job, shard, environment, variant, branch, \
             commit_sha, tree_sha, pull_request, ci_provider, ci_url, at, received_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        let run = insert.insert((
            project,
            self.prepared.identity,
            &meta.run,
            meta.attempt,
            &meta.job,
            &meta.shard,
            &meta.environment,
            &meta.variant,
            &meta.branch,
            &meta.commit,
            &meta.tree,
            &meta.pull_request,
            &meta.ci_provider,
            &meta.ci_url,
            self.prepared.at,
            self.prepared.new.received_at,
        ))?;
        Ok((run, None))
    }

    /// Stores it, unless it was stored before.
    pub(super) fn store(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        if self.outcome.is_none() {
            self.outcome = Some(Ok(self.insert(applying)?));
        }
        if self.stored.is_none() {
            self.prepared.count(applying, "duplicate");
            return Ok(());
        }
        self.prepared.count(applying, "stored");
        for warning in &self.prepared.new.report.warnings {
            applying.tally.warning(warning.code, 1);
        }
        Ok(())
    }

    /// Folds it in, if it was stored just now.
    pub(super) fn fold(&mut self, connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
        let Some((mut report, new_tests, default_branch)) = self.stored.take() else { return Ok(()) };
        // Others of its run may have been committed with it.
        let mut sums = connection.prepare_cached("SELECT decisive, failed FROM run WHERE id = ?1")?;
        report.sums = sums.query_row([report.run], |row| read_sums(row, 0))?;
        let project = live.project(report.project);
        if project.key.is_empty() {
            project.key.clone_from(&self.prepared.new.project);
        }
        project.default_branch = default_branch;
        project
            .state
            .register(new_tests.iter().map(|test| (test.number, test.place.suite.as_str(), Some(test.first_day))));
        let standing = live.fold(connection, &report)?;
        if let Some(Ok(receipt)) = &mut self.outcome {
            receipt.standing = standing;
        }
        Ok(())
    }
}

/// The columns of a receipt.
const RECEIPT: &str = "SELECT r.id, r.run_id, r.content, r.passed, r.failed, r.errors, r.skipped, r.flaky, r.new_tests, \
    run.branch, run.attempt, r.received_at, run.decisive, run.failed, r.at \
    FROM report AS r JOIN run ON run.id = r.run_id WHERE r.project_id = ?1";

/// Adds to what the reports of a run say together.
fn add_to_run(connection: &Connection, run: i64, counts: Counts) -> Result<RunSums, StoreError> {
    let failed = counts.failed + counts.errors;
    let mut add = connection.prepare_cached(
        "UPDATE run SET decisive = decisive + ?2, failed = failed + ?3 WHERE id = ?1 RETURNING decisive, failed",
    )?;
    let added = (run, (counts.passed + failed) as i64, failed as i64);
    Ok(add.query_row(added, |row| read_sums(row, 0))?)
}

/// Reads from two columns what the reports of a run say together.
pub(super) fn read_sums(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<RunSums> {
    Ok(RunSums { decisive: row.get(first)?, failed: row.get(first + 1)? })
}

/// Reads passed, failed, errors and skipped from four columns.
pub(super) fn read_counts(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Counts> {
    let (passed, failed) = (row.get::<_, u64>(first)?, row.get::<_, u64>(first + 1)?);
    let (errors, skipped) = (row.get::<_, u64>(first + 2)?, row.get::<_, u64>(first + 3)?);
    Ok(Counts { tests: passed + failed + errors + skipped, passed, failed, errors, skipped })
}

fn total(executions: &[Execution]) -> Option<u64> {
    let durations = executions.iter().filter_map(|execution| execution.duration);
    durations.map(columns::microseconds).reduce(|sum, one| sum.saturating_add(one).min(columns::LONGEST))
}

fn kept_warnings(warnings: &[Warning]) -> Option<String> {
    if warnings.is_empty() {
        return None;
    }
    let kept: Vec<String> =
        warnings.iter().take(KEPT_WARNINGS).map(|warning| format!("line {}: {}", warning.line, warning.text)).collect();
    Some(kept.join("\n"))
}

fn conflict(key: &str) -> StoreError {
    StoreError::Conflict { key: key.split(PART).next().unwrap_or_default().to_owned() }
}
