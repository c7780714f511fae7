//! Defects and deployments on their way into the store: new keys are added, known ones replaced.

use super::error::StoreError;
use super::live::{Live, LiveProject};
use super::model::{DefectReceipt, Deployment, NewDefects};
use super::writer::{Applying, Work};
use crate::quality::{CompiledRules, Day, Defect, Phase, Window};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;
use tokio::sync::oneshot::Sender;

/// Defects that are being stored.
pub(super) struct DefectsWork {
    new: NewDefects,
    answer: Sender<Result<DefectReceipt, StoreError>>,
    receipt: DefectReceipt,
    project: i64,
    changes: Vec<Change>,
}

/// A defect that is new, or another one than before.
struct Change {
    /// Its number in the store.
    id: i64,
    /// What it was, if it was known.
    before: Option<Defect>,
    /// Its place among the new ones.
    index: usize,
}

impl DefectsWork {
    pub(super) fn new(new: NewDefects, answer: Sender<Result<DefectReceipt, StoreError>>) -> Self {
        Self { new, answer, receipt: DefectReceipt::default(), project: 0, changes: Vec::new() }
    }

    fn upsert(&mut self, connection: &Connection, index: usize) -> Result<(), StoreError> {
        let defect = &self.new.defects[index];
        let json = to_json(defect)?;
        let mut known = connection.prepare_cached("SELECT defect FROM defect WHERE project_id = ?1 AND key = ?2")?;
        let before: Option<String> = known.query_row((self.project, &defect.key), |row| row.get(0)).optional()?;
        if before.as_ref() == Some(&json) {
            self.receipt.unchanged += 1;
            return Ok(());
        }
        let before = before.as_deref().map(from_json).transpose()?;
        match before {
            Some(_) => self.receipt.changed += 1,
            None => self.receipt.added += 1,
        }
        let id = connection
            .prepare_cached(
                "INSERT INTO defect (project_id, key, created_at, defect) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (project_id, key) DO UPDATE SET created_at = excluded.created_at, defect = excluded.defect \
                 RETURNING id",
            )?
            .query_row((self.project, &defect.key, defect.created_at, json), |row| row.get(0))?;
        self.changes.push(Change { id, before, index });
        Ok(())
    }

    fn classify(&mut self, rules: &CompiledRules) {
        self.receipt.window_days = rules.rules.leakage_window_days;
        let window = Window::ending(Day::of(self.new.received_at), self.receipt.window_days);
        for defect in &self.new.defects {
            let class = rules.classify(defect);
            self.receipt.older_than_window += u64::from(class.valid && Day::of(defect.created_at) < window.first);
            match (class.valid, class.phase) {
                (false, _) => self.receipt.invalid += 1,
                (true, Phase::Production) => self.receipt.production += 1,
                (true, Phase::PreRelease) => self.receipt.pre_release += 1,
            }
        }
    }
}

impl Work for DefectsWork {
    fn rows(&self) -> usize {
        self.new.defects.len().max(1)
    }

    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        (self.receipt, self.changes) = (DefectReceipt::default(), Vec::new());
        self.project = applying.index.project(applying.connection, &self.new.project, None, self.new.received_at)?.id;
        for index in 0..self.new.defects.len() {
            self.upsert(applying.connection, index)?;
        }
        self.classify(applying.rules);
        applying.tally.push("defects", "stored", self.new.bytes);
        Ok(())
    }

    fn fold(&mut self, _: &Connection, live: &mut Live) -> Result<(), StoreError> {
        let rules = Arc::clone(&live.rules);
        let project = live.project(self.project);
        if project.key.is_empty() {
            project.key.clone_from(&self.new.project);
        }
        let sums = &mut project.state.sums.defects;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(());
        }
        let kinds = Arc::make_mut(&mut project.kinds);
        for Change { id, before, index } in changes {
            if let Some(before) = before {
                sums.remove(&before, &rules.classify(&before));
            }
            let after = &self.new.defects[index];
            let class = rules.classify(after);
            sums.add(after, &class);
            kinds.note(id, &class);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        // The caller may have gone; the defects are stored all the same.
        let _ = self.answer.send(result.map(|()| self.receipt));
    }
}

/// A deployment that is being stored.
pub(super) struct DeploymentWork {
    project_key: String,
    new: Deployment,
    answer: Sender<Result<(), StoreError>>,
    project: i64,
    before: Option<Deployed>,
    received_at: i64,
}

impl DeploymentWork {
    pub(super) fn new(
        project: String,
        new: Deployment,
        received_at: i64,
        answer: Sender<Result<(), StoreError>>,
    ) -> Self {
        Self { project_key: project, new, answer, project: 0, before: None, received_at }
    }
}

impl Work for DeploymentWork {
    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        let connection = applying.connection;
        self.project = applying.index.project(connection, &self.project_key, None, self.received_at)?.id;
        self.before = connection
            .prepare_cached("SELECT at, failed, environment FROM deployment WHERE project_id = ?1 AND key = ?2")?
            .query_row((self.project, &self.new.key), |row| Deployed::read(row, 0))
            .optional()?;
        let Deployment { key, environment, version, commit, at, failed } = &self.new;
        connection
            .prepare_cached(
                "INSERT INTO deployment (project_id, key, environment, version, commit_sha, at, failed) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (project_id, key) DO UPDATE SET \
                 environment = excluded.environment, version = excluded.version, commit_sha = excluded.commit_sha, \
                 at = excluded.at, failed = excluded.failed",
            )?
            .execute((self.project, key, environment, version, commit, at, failed))?;
        Ok(())
    }

    fn fold(&mut self, _: &Connection, live: &mut Live) -> Result<(), StoreError> {
        let rules = Arc::clone(&live.rules);
        let project = live.project(self.project);
        if project.key.is_empty() {
            project.key.clone_from(&self.project_key);
        }
        if let Some(before) = self.before.take() {
            before.count(&rules, project, -1);
        }
        let Deployment { at, failed, environment, .. } = &self.new;
        let now = Deployed { at: *at, failed: *failed, environment: environment.clone() };
        now.count(&rules, project, 1);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        // The caller may have gone; the deployment is stored all the same.
        let _ = self.answer.send(result);
    }
}

/// A deployment, as far as it is counted.
struct Deployed {
    at: i64,
    failed: bool,
    environment: String,
}

impl Deployed {
    /// Reads it from three columns.
    fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { at: row.get(first)?, failed: row.get(first + 1)?, environment: row.get(first + 2)? })
    }

    fn count(&self, rules: &CompiledRules, project: &mut LiveProject, by: i64) {
        if !rules.counts_deployment(&self.environment) {
            return;
        }
        let deployments = &mut project.state.sums.deployments;
        deployments.all.change(Day::of(self.at), by);
        if self.failed {
            deployments.failed.change(Day::of(self.at), by);
        }
    }
}

/// Counts all stored defects and deployments in.
pub(super) fn load(connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
    let rules = Arc::clone(&live.rules);
    let mut defects = connection.prepare("SELECT project_id, defect, id FROM defect")?;
    let mut rows = defects.query([])?;
    while let Some(row) = rows.next()? {
        let defect = from_json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        let class = rules.classify(&defect);
        let project = live.project(row.get(0)?);
        project.state.sums.defects.add(&defect, &class);
        Arc::make_mut(&mut project.kinds).note(row.get(2)?, &class);
    }
    let mut deployments = connection.prepare("SELECT project_id, at, failed, environment FROM deployment")?;
    let mut rows = deployments.query([])?;
    while let Some(row) = rows.next()? {
        Deployed::read(row, 1)?.count(&rules, live.project(row.get(0)?), 1);
    }
    Ok(())
}

fn to_json(defect: &Defect) -> Result<String, StoreError> {
    serde_json::to_string(defect).map_err(|error| StoreError::Invalid { reason: format!("{}: {error}", defect.key) })
}

pub(super) fn from_json(json: &str) -> Result<Defect, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Damaged { reason: format!("a defect: {error}") })
}
