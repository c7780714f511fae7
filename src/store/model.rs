//! What goes into the store.

use crate::quality::{Defect, Rules, Standing};
use crate::reports::{Counts, TestRun};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a store is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreOptions {
    /// How figures are computed.
    pub rules: Rules,
    /// Days for which runs and executions are kept. Day roll-ups and counters outlive them.
    pub retention_days: u32,
    /// The size in bytes the file may have. Near it, the oldest days go; at it, ingest is refused.
    pub max_bytes: Option<u64>,
    /// When a commit is on disk.
    pub durability: Durability,
    /// How long a change waits for its turn before it is refused, and the writer for another process that holds the
    /// file.
    pub patience: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            retention_days: 90,
            max_bytes: None,
            durability: Durability::Full,
            patience: Duration::from_secs(5),
        }
    }
}

/// What is kept of what was stored. Day roll-ups and counters outlive all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days for which runs and executions are kept.
    pub days: u32,
    /// The size in bytes the file may have.
    pub max_bytes: Option<u64>,
}

/// When a commit is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Before it is acknowledged: it survives a power failure.
    #[default]
    Full,
    /// Soon after: it survives the process' death, but the last moments may not survive a power failure.
    Normal,
}

/// What a push says about the run that a report belongs to. Every field is optional but the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunMeta {
    /// The CI system's key of the run. Reports of one key, attempt, job, shard, environment and variant are one
    /// run; without a key, those of one push are.
    pub run: Option<String>,
    /// The push it came with, named by whoever pushes several reports of a run that has no key. A report with neither
    /// is a run of its own.
    pub push: Option<String>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The job.
    pub job: Option<String>,
    /// The shard.
    pub shard: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The commit's tree; it outlives a rebase, so it is preferred to the commit.
    pub tree: Option<String>,
    /// The pull request's number.
    pub pull_request: Option<String>,
    /// The environment the tests ran against: `staging`.
    pub environment: Option<String>,
    /// The matrix cell: `linux-x64`. It is part of each test's identity.
    pub variant: Option<String>,
    /// The CI system.
    pub ci_provider: Option<String>,
    /// Where to read the run.
    pub ci_url: Option<String>,
    /// When the run was, in seconds since 1970; when it was received, where the push does not say it.
    pub started_at: Option<i64>,
    /// The project's default branch, where the push knows it.
    pub default_branch: Option<String>,
}

impl Default for RunMeta {
    fn default() -> Self {
        Self {
            run: None,
            push: None,
            attempt: 1,
            job: None,
            shard: None,
            branch: None,
            commit: None,
            tree: None,
            pull_request: None,
            environment: None,
            variant: None,
            ci_provider: None,
            ci_url: None,
            started_at: None,
            default_branch: None,
        }
    }
}

/// A report to be stored, whole or not at all.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// The project's key; the project is made where there is none.
    pub project: String,
    /// The run it belongs to.
    pub meta: RunMeta,
    /// What the report says.
    pub report: TestRun,
    /// The SHA-256 of the report's bytes, inflated.
    pub sha256: [u8; 32],
    /// The report's size in bytes, inflated.
    pub bytes: u64,
    /// The caller's key for this push: the same key with the same content is the same push.
    pub idempotency_key: Option<String>,
    /// When it was received, in seconds since 1970.
    pub received_at: i64,
    /// The token that brought it.
    pub token: Option<i64>,
}

/// What became of a report. A repeated push gets the first one's receipt, with `duplicate` set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The report's number.
    pub report: i64,
    /// The number of the run it belongs to.
    pub run: i64,
    /// The project's key.
    pub project: String,
    /// The same content was stored before; nothing was counted twice.
    pub duplicate: bool,
    /// The folded executions.
    pub counts: Counts,
    /// Executions that passed only after a failed attempt.
    pub flaky: u64,
    /// Tests that were not known before.
    pub new_tests: u64,
    /// Whether it counts in the figures.
    pub standing: Standing,
    /// When its run was, in seconds since 1970: by it the report lies in a window or outside.
    pub at: i64,
    /// When it was received, in seconds since 1970.
    pub received_at: i64,
}

/// Defects to be put into a project: new keys are added, known ones replaced.
#[derive(Debug, Clone)]
pub struct NewDefects {
    /// The project's key; the project is made where there is none.
    pub project: String,
    /// The defects.
    pub defects: Vec<Defect>,
    /// The size in bytes of what they were read from.
    pub bytes: u64,
    /// When they were received, in seconds since 1970.
    pub received_at: i64,
}

/// What became of defects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DefectReceipt {
    /// Keys that were not known before.
    pub added: u64,
    /// Keys whose defect changed.
    pub changed: u64,
    /// Keys whose defect is as it was.
    pub unchanged: u64,
    /// Valid production defects among them.
    pub production: u64,
    /// Valid pre-release defects among them.
    pub pre_release: u64,
    /// Defects among them that do not count.
    pub invalid: u64,
    /// Valid ones that were created before the window of the figures about defects.
    pub older_than_window: u64,
    /// The days of that window.
    pub window_days: u32,
}

/// A deployment; the same key again replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The caller's key for it, unique in a project.
    pub key: String,
    /// Where to: `production`.
    #[serde(default)]
    pub environment: String,
    /// What.
    #[serde(default)]
    pub version: String,
    /// The commit.
    #[serde(default)]
    pub commit: Option<String>,
    /// When, in seconds since 1970.
    pub at: i64,
    /// It led to an incident or was rolled back.
    #[serde(default)]
    pub failed: bool,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Bring reports, defects and deployments.
    Ingest,
    /// Read.
    Read,
    /// Everything.
    Admin,
}

/// A token to be made. Its secret is never stored: only the SHA-256 of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// A name for people, unique among the tokens that are not revoked.
    pub name: String,
    /// The SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The only project it may be used for; nothing for all of them.
    pub project: Option<String>,
    /// When it is made, in seconds since 1970.
    pub created_at: i64,
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The only project it may be used for; nothing for all of them.
    pub project: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created_at: i64,
    /// When it was last used, to the minute, in seconds since 1970.
    pub last_used_at: Option<i64>,
    /// When it was revoked, in seconds since 1970.
    pub revoked_at: Option<i64>,
}

impl Token {
    /// Whether it may do this: it is not revoked, and has the scope or is an admin's.
    pub fn may(&self, scope: Scope) -> bool {
        self.revoked_at.is_none() && (self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin))
    }

    /// Whether it may be used for a project.
    pub fn covers(&self, project: &str) -> bool {
        self.project.as_deref().is_none_or(|own| own == project)
    }
}

/// A push that was refused, for the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The format, where it was found out; else `unknown`.
    pub format: String,
    /// Why, in one word of the API: `unreadable`, `empty`, `too_large`.
    pub reason: String,
    /// Its size in bytes.
    pub bytes: u64,
}
