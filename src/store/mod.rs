//! SQLite: runs, tests, executions, defects, and what is folded from them. One writer; acknowledged means on disk.
//!
//! Only this room speaks SQL. A report is stored whole or not at all, and counted once, however often it is
//! pushed. It never acknowledges anything before the disk has it.
//!
//! What came from outside (reports, defects, deployments, tokens) is the truth; the folded state is made of it by
//! `quality`, lives in memory, and is saved now and then (`folded`). A start reads the saved state and folds the
//! reports that came later. Only day roll-ups and counters outlive the reports they came from.
//!
//! * [`Store::ingest`] and the other `async` methods that change something go to the writer's thread and come
//!   back when it is on disk and in the figures.
//! * [`Store::snapshot`] is what `/metrics` reads; it never waits.
//! * [`Store::read`] runs a query of [`Reader`] on a connection of its own, beside the writer.

mod codec;
mod columns;
mod defects;
mod error;
mod exchange;
mod expire;
mod folded;
mod index;
mod ingest;
mod kinds;
mod live;
mod model;
mod reader;
mod refold;
mod schema;
mod snapshot;
mod statement;
mod tally;
mod together;
mod tokens;
mod views;
mod writer;

pub use error::StoreError;
pub use exchange::IfFull;
pub use model::*;
pub use reader::{DefectPage, Ranking, Reader};
pub use schema::VERSION as SCHEMA_VERSION;
pub use snapshot::{ProjectSnapshot, Snapshot};
pub use views::*;

use crate::quality::{CompiledRules, Rules};
use exchange::Replacement;
use ingest::Prepared;
use schema::Place;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use together::ReportsWork;
use tokens::TokenBook;
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::sync::{mpsc, oneshot};
use writer::{Applying, Message, Saved, Shared, Work, Writer};

/// Works that may wait for the writer; whoever comes later waits before the queue, and for a while only.
const QUEUE: usize = 512;

/// Reports with more executions are prepared on a thread of their own.
const LARGE: usize = 2000;

/// A store. It is cheap to clone; the last clone that goes ends the writer.
#[derive(Debug, Clone)]
pub struct Store {
    /// One count goes up and down with a clone: every request makes some.
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    tokens: TokenBook,
    readers: Mutex<Vec<rusqlite::Connection>>,
    patience: Duration,
}

impl Store {
    /// Opens the store in a file, or makes it. Blocks; what is there already is read.
    ///
    /// A file that is damaged, newer or somebody else's is an error, and is left as it is.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_place(Place::File(path.as_ref().to_owned()), options)
    }

    /// An empty store that lives in memory and ends with its last clone.
    pub fn in_memory(options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_place(Place::new_memory(), options)
    }

    fn open_place(place: Place, options: StoreOptions) -> Result<Self, StoreError> {
        let wanted = Arc::new(compile(&options.rules)?);
        let lock = place.lock()?;
        let connection = place.open_writer(&options)?;
        let open = |connection: &rusqlite::Connection| {
            let rules = folded::stored_rules(connection)?.unwrap_or_else(|| Arc::clone(&wanted));
            let mut live = folded::load(connection, rules)?;
            let snapshot = Arc::new(live.snapshot());
            Ok((live, snapshot, TokenBook::load(connection)?))
        };
        let (live, snapshot, tokens) = open(&connection).map_err(|error: StoreError| error.in_file(place.path()))?;
        let rules_changed = live.rules.version != wanted.version;
        let retention = RwLock::new(Retention { days: options.retention_days, max_bytes: options.max_bytes });
        let shared = Arc::new(Shared { place, live: RwLock::new(live), snapshot: RwLock::new(snapshot), retention });
        let (messages, waiting) = mpsc::channel(QUEUE);
        let writer = Writer {
            connection,
            shared: Arc::clone(&shared),
            index: Default::default(),
            messages: messages.downgrade(),
            lock,
        };
        spawn("store writer", move || writer.run(waiting))?;
        let parts = Parts { shared, messages, tokens, readers: Mutex::default(), patience: options.patience };
        if rules_changed {
            refold::begin(&parts.shared, parts.messages.downgrade(), wanted)?;
        }
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Stores a report, whole or not at all. When this returns, it is on disk and in the figures.
    ///
    /// The same content for the same run, or the same idempotency key with the same content, gets the first
    /// push's receipt; the same key with other content is [`StoreError::Conflict`]. A full store is
    /// [`StoreError::Full`]; where its size is limited, the oldest days go then, so that the next try succeeds.
    pub async fn ingest(&self, report: NewReport) -> Result<Receipt, StoreError> {
        let receipts = self.ingest_together(vec![report]).await?;
        receipts.into_iter().next().ok_or(StoreError::Closed)
    }

    /// Stores the reports of one push, all of them or none, and returns their receipts in the same order.
    ///
    /// All have the push's idempotency key, which then stands for all of their contents, in this order. Otherwise
    /// as [`Store::ingest`].
    pub async fn ingest_together(&self, reports: Vec<NewReport>) -> Result<Vec<Receipt>, StoreError> {
        let received_at = reports.first().map_or(0, |report| report.received_at);
        let executions: usize = reports.iter().map(|report| report.report.executions.len()).sum();
        let prepared = if executions > LARGE {
            let prepared = tokio::task::spawn_blocking(move || prepare(reports)).await;
            prepared.map_err(|_| StoreError::Closed)??
        } else {
            prepare(reports)?
        };
        let result = self.work(|answer| ReportsWork::new(prepared, answer)).await;
        if matches!(result, Err(StoreError::Full { .. })) && self.retention().max_bytes.is_some() {
            // The caller is refused, but whoever tries again finds room.
            self.expire(received_at).await?;
        }
        result
    }

    /// Puts defects into a project: new keys are added, known ones replaced.
    pub async fn upsert_defects(&self, defects: NewDefects) -> Result<DefectReceipt, StoreError> {
        check_key(&defects.project, "project")?;
        self.work(|answer| defects::DefectsWork::new(defects, answer)).await
    }

    /// Puts a deployment into a project; the same key again replaces it.
    pub async fn record_deployment(
        &self,
        project: &str,
        deployment: Deployment,
        received_at: i64,
    ) -> Result<(), StoreError> {
        check_key(project, "project")?;
        check_key(&deployment.key, "deployment")?;
        let project = project.to_owned();
        self.work(|answer| defects::DeploymentWork::new(project, deployment, received_at, answer)).await
    }

    /// Counts a push that was refused before it could be stored.
    pub async fn count_rejection(&self, rejection: Rejection) -> Result<(), StoreError> {
        self.change(move |applying| {
            applying.tally.push(&rejection.format, &rejection.reason, rejection.bytes);
            Ok(())
        })
        .await
    }

    /// Makes a token. Its name must be free.
    pub async fn create_token(&self, new: NewToken) -> Result<Token, StoreError> {
        check_key(&new.name, "token")?;
        let sha256 = new.sha256;
        let token = self.change(move |applying| tokens::insert(applying.connection, &new)).await?;
        self.parts.tokens.add(sha256, token.clone());
        Ok(token)
    }

    /// Revokes a token, by its number or its name.
    pub async fn revoke_token(&self, name_or_id: &str, now: i64) -> Result<Token, StoreError> {
        let name_or_id = name_or_id.to_owned();
        let token = self.change(move |applying| tokens::revoke(applying.connection, &name_or_id, now)).await?;
        self.parts.tokens.remove(token.id);
        Ok(token)
    }

    /// The token whose secret has this SHA-256, unless it is revoked. Does not wait; the use is noted, and
    /// written down within a minute.
    pub fn authenticate(&self, sha256: &[u8; 32], now: i64) -> Option<Token> {
        let token = self.parts.tokens.find(sha256)?;
        if self.parts.tokens.used(sha256, now) {
            let (answer, _) = oneshot::channel();
            let id = token.id;
            let note = statement::Statement::new(
                move |applying: &mut Applying<'_>| tokens::note_use(applying.connection, id, now),
                answer,
            );
            // A full queue is no reason to refuse anybody.
            let _ = self.parts.messages.try_send(Message::Work(Box::new(note)));
        }
        Some(token)
    }

    /// What `/metrics` reads: everything as of the last commit. It never waits for the writer.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.shared.snapshot()
    }

    /// Whether anything was ever stored.
    pub fn has_input(&self) -> bool {
        self.snapshot().has_input()
    }

    /// Runs a query beside the writer, on a thread of its own.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read_blocking(query)).await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a query beside the writer, on this thread.
    pub fn read_blocking<T>(&self, query: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let pooled = self.parts.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => self.parts.shared.place.open_reader()?,
        };
        let result = query(&Reader::new(&connection, &self.parts.shared));
        let mut readers = self.parts.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < 4 {
            readers.push(connection);
        }
        result.map_err(|error| error.in_file(self.parts.shared.place.path()))
    }

    /// Computes figures under other rules from now on: everything is folded again, while the old figures are
    /// served. Returns when the new ones stand.
    pub async fn set_rules(&self, rules: Rules) -> Result<(), StoreError> {
        let rules = Arc::new(compile(&rules)?);
        {
            let live = self.parts.shared.live.read().unwrap_or_else(PoisonError::into_inner);
            if live.folding.is_none() && live.rules.version == rules.version {
                return Ok(());
            }
        }
        refold::begin(&self.parts.shared, self.parts.messages.downgrade(), rules)?
            .await
            .map_err(|_| StoreError::Closed)?
    }

    /// What is kept from now on. It holds for the size at once, and for what is stored already from the next
    /// [`Store::expire`] on.
    pub fn set_retention(&self, retention: Retention) {
        *self.parts.shared.retention.write().unwrap_or_else(PoisonError::into_inner) = retention;
    }

    fn retention(&self) -> Retention {
        *self.parts.shared.retention.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the store, as it is at one moment, into a new file, while reports come in.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let (shared, path) = (Arc::clone(&self.parts.shared), path.to_owned());
        let copied = tokio::task::spawn_blocking(move || exchange::copy(&shared.place, &path)).await;
        copied.map_err(|_| StoreError::Closed)?
    }

    /// Puts the store in a file in the place of this one: whole or not at all, and not at all where the file is
    /// damaged, newer or somebody else's. When this returns, it is on disk and its figures are shown. The file may be
    /// brought to the newest version meanwhile, and is not needed any more.
    pub async fn replace_with(&self, path: &Path, if_full: IfFull) -> Result<(), StoreError> {
        let rules = Arc::clone(&self.parts.shared.live.read().unwrap_or_else(PoisonError::into_inner).rules);
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Replacement::open(&path, rules)).await;
        let replacement = Box::new(opened.map_err(|_| StoreError::Closed)??);
        let (answer, answered) = oneshot::channel();
        self.send(Message::Replace(replacement, if_full, answer)).await?;
        let exchanged = answered.await.map_err(|_| StoreError::Closed)??;
        self.parts.tokens.replace(exchanged.tokens);
        match exchanged.wanted {
            Some(wanted) => {
                let folding = refold::begin(&self.parts.shared, self.parts.messages.downgrade(), wanted)?;
                folding.await.map_err(|_| StoreError::Closed)?
            }
            None => Ok(()),
        }
    }

    /// Whether there is anything that [`IfFull::Refuse`] would keep.
    pub async fn holds_anything(&self) -> Result<bool, StoreError> {
        Ok(self.has_input() || !self.read(|reader| reader.tokens()).await?.is_empty())
    }

    /// Removes what is older than the retention, or what must go to keep the size. Returns how many reports went.
    /// They go in small steps, between which the writer does whatever else waits.
    pub async fn expire(&self, now: i64) -> Result<u64, StoreError> {
        let (mut removed, mut saved) = (0, Saved::Before);
        loop {
            let (answer, answered) = oneshot::channel();
            let expire = Box::new(expire::Expire::new(self.retention(), now, answer));
            self.send(Message::Alone(expire, saved)).await?;
            match answered.await.map_err(|_| StoreError::Closed)?? {
                0 => return Ok(removed),
                step => removed += step,
            }
            // Only reports go that the state saved then has: once is enough.
            saved = Saved::WhenDue;
        }
    }

    /// Saves the folded state and ends the writer, after all that waits is done. Later calls are
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.parts.messages.send(Message::Close(done)).await.is_ok() {
            // An error means that it has ended already.
            let _ = ended.await;
        }
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        self.parts.messages.send(message).await.map_err(|_| StoreError::Closed)
    }

    async fn change<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Applying<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.work(|answer| statement::Statement::new(change, answer)).await
    }

    async fn work<T, W: Work + 'static>(
        &self,
        work: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> W,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Work(Box::new(work(answer)));
        match self.parts.messages.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(StoreError::Closed),
            Err(TrySendError::Full(message)) => {
                let sent = self.parts.messages.send_timeout(message, self.parts.patience).await;
                sent.map_err(|error| match error {
                    SendTimeoutError::Timeout(_) => StoreError::Busy,
                    SendTimeoutError::Closed(_) => StoreError::Closed,
                })?;
            }
        }
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

fn prepare(reports: Vec<NewReport>) -> Result<Vec<Prepared>, StoreError> {
    let of = reports.len();
    reports.into_iter().enumerate().map(|(number, report)| Prepared::part(report, number, of)).collect()
}

fn compile(rules: &Rules) -> Result<CompiledRules, StoreError> {
    rules.check().and_then(|()| rules.compile()).map_err(|error| StoreError::Invalid { reason: error.to_string() })
}

fn check_key(key: &str, of: &str) -> Result<(), StoreError> {
    if key.trim().is_empty() {
        return Err(StoreError::Invalid { reason: format!("the {of}'s key is empty") });
    }
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| StoreError::Invalid { reason: format!("a thread could not be started: {error}") })
}
