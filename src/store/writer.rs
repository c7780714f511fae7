//! The one thread that writes: it takes what waits, commits it together, folds it, shows it, and only then answers.
//!
//! One commit for many callers is what makes durable ingest fast: the disk is asked once. A group is bounded by
//! rows, so that a large report does not make many small ones wait.

use super::error::StoreError;
use super::exchange::{Exchanged, IfFull, Replacement};
use super::folded;
use super::index::Index;
use super::live::Live;
use super::model::Retention;
use super::refold;
use super::schema::{self, Place};
use super::snapshot::Snapshot;
use super::tally::Tally;
use crate::quality::CompiledRules;
use rusqlite::Connection;
use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc::{Receiver, WeakSender};

/// Rows after which a group is committed, whoever else waits.
const GROUP_ROWS: usize = 20_000;

/// Pieces of work after which a group is committed.
const GROUP_WORKS: usize = 512;

/// Executions and reports after which the folded state is saved: what a start has to fold again at most.
const SAVE_AFTER: (usize, usize) = (500_000, 10_000);

/// Something that changes the store.
pub(super) trait Work: Send {
    /// About how many rows it writes.
    fn rows(&self) -> usize {
        1
    }

    /// Writes. An error here undoes the whole group; whatever is the caller's fault is kept for [`Work::answer`].
    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError>;

    /// After the commit: folds what was written into the state.
    fn fold(&mut self, _connection: &Connection, _live: &mut Live) -> Result<(), StoreError> {
        Ok(())
    }

    /// Answers, after the commit and the new snapshot.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

/// What a piece of work writes with.
pub(super) struct Applying<'a> {
    pub(super) connection: &'a Connection,
    pub(super) index: &'a mut Index,
    pub(super) tally: &'a mut Tally,
    pub(super) rules: &'a CompiledRules,
}

/// A message to the writer.
pub(super) enum Message {
    /// Do this, together with whatever else waits.
    Work(Box<dyn Work>),
    /// Do this after everything before it is committed and folded, saved where it says so, and before anything else.
    Alone(Box<dyn Work>, Saved),
    /// Put another store in the place of this one, after everything before it.
    Replace(Box<Replacement>, IfFull, tokio::sync::oneshot::Sender<Result<Exchanged, StoreError>>),
    /// Finish what waits, save the state, and end.
    Close(tokio::sync::oneshot::Sender<()>),
}

/// Whether the folded state is saved before a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    /// It is.
    Before,
    /// It is not.
    WhenDue,
}

/// What the writer shares with readers.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) live: RwLock<Live>,
    pub(super) snapshot: RwLock<Arc<Snapshot>>,
    pub(super) retention: RwLock<Retention>,
}

impl Shared {
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) index: Index,
    /// The way to itself, for what is worked out on other threads.
    pub(super) messages: WeakSender<Message>,
    /// Held as long as the store is open.
    pub(super) lock: Option<File>,
}

impl Writer {
    /// Works until it is told to close, or nobody is left who could tell it anything.
    pub(super) fn run(mut self, mut messages: Receiver<Message>) {
        self.put_right();
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = messages.blocking_recv() else { break };
            let mut group: Vec<Box<dyn Work>> = Vec::new();
            let mut alone = None;
            let mut replacing = None;
            let mut rows = 0;
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Close(done) => closing = Some(done),
                    Message::Alone(work, saved) => alone = Some((work, saved)),
                    Message::Replace(with, if_full, answer) => replacing = Some((with, if_full, answer)),
                    Message::Work(work) => {
                        rows += work.rows();
                        group.push(work);
                        if rows < GROUP_ROWS && group.len() < GROUP_WORKS {
                            next = messages.try_recv().ok();
                        }
                    }
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
            if let Some((work, saved)) = alone {
                if saved == Saved::Before {
                    self.save();
                }
                self.with_room(|writer| writer.commit(vec![work]));
            }
            if let Some((with, if_full, answer)) = replacing {
                // The caller may have gone.
                let _ = answer.send(self.replace(*with, if_full));
            }
            self.save_when_due();
        }
        self.save();
        let Self { connection, lock, .. } = self;
        // The file is whole and let go before anybody is told so.
        drop(connection);
        drop(lock);
        if let Some(done) = closing {
            // Whoever wanted to know may have gone.
            let _ = done.send(());
        }
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Work>>) {
        match self.write(&mut group) {
            Ok(()) => self.finish(group),
            // One of them may be at fault: alone, the others have their chance.
            Err(error) if group.len() > 1 && !matches!(error, StoreError::Busy) => {
                group.into_iter().for_each(|work| self.commit(vec![work]))
            }
            Err(error) => group.into_iter().for_each(|work| work.answer(Err(error.clone()))),
        }
    }

    /// Writes a group in one transaction; undone as a whole when anything fails.
    fn write(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
        let rules = Arc::clone(&self.shared.live.read().unwrap_or_else(PoisonError::into_inner).rules);
        let mut tally = Tally::default();
        let written = self.write_in_transaction(group, &rules, &mut tally);
        if let Err(error) = written {
            // What the index learned from this group is not in the database.
            self.index.forget();
            return Err(error.in_file(self.shared.place.path()));
        }
        if !tally.is_empty() {
            let mut live = self.shared.live.write().unwrap_or_else(PoisonError::into_inner);
            tally.show(Arc::make_mut(&mut live.ingest));
        }
        Ok(())
    }

    fn write_in_transaction(
        &mut self,
        group: &mut [Box<dyn Work>],
        rules: &CompiledRules,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for work in group {
            let mut applying = Applying { connection: &transaction, index: &mut self.index, tally, rules };
            work.apply(&mut applying)?;
        }
        tally.store(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    /// Folds a committed group, shows it, and answers.
    fn finish(&mut self, mut group: Vec<Box<dyn Work>>) {
        {
            let mut live = self.shared.live.write().unwrap_or_else(PoisonError::into_inner);
            for work in &mut group {
                if let Err(error) = work.fold(&self.connection, &mut live) {
                    // The work is stored; the next start folds it, from the state as it was saved last.
                    live.incomplete = true;
                    tracing::error!(%error, "what was stored could not be folded into the figures");
                }
            }
            let snapshot = Arc::new(live.snapshot());
            *self.shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        }
        self.put_right();
        group.into_iter().for_each(|work| work.answer(Ok(())));
    }

    /// Has everything folded again where what is folded turned out to be wrong. The figures stand soon after.
    pub(super) fn put_right(&self) {
        let (overturned, rules) = {
            let live = self.shared.live.read().unwrap_or_else(PoisonError::into_inner);
            (live.overturned && live.folding.is_none(), Arc::clone(&live.rules))
        };
        if overturned && let Err(error) = refold::begin(&self.shared, self.messages.clone(), rules) {
            tracing::error!(%error, "the figures count an outage until the next start");
        }
    }

    /// Does the housekeeping without the size limit: it must be able to make room in a full store.
    pub(super) fn with_room(&mut self, housekeeping: impl FnOnce(&mut Self)) {
        self.limit_size(None);
        housekeeping(self);
        let retention = *self.shared.retention.read().unwrap_or_else(PoisonError::into_inner);
        self.limit_size(retention.max_bytes);
    }

    fn limit_size(&self, max_bytes: Option<u64>) {
        if let Err(error) = schema::limit_size(&self.connection, max_bytes) {
            tracing::warn!(%error, "the size limit of the store could not be set");
        }
    }

    fn save_when_due(&mut self) {
        let unsaved = self.shared.live.read().unwrap_or_else(PoisonError::into_inner).unsaved;
        if unsaved.0 >= SAVE_AFTER.0 || unsaved.1 >= SAVE_AFTER.1 {
            self.save();
        }
    }

    /// Saves the folded state, if anything was folded since it was saved last. Whoever reads it reads on meanwhile: only
    /// this thread changes it.
    fn save(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut saved = Ok(());
        {
            let live = shared.live.read().unwrap_or_else(PoisonError::into_inner);
            if live.unsaved == (0, 0) || live.incomplete || live.overturned {
                return;
            }
            self.with_room(|writer| saved = save(&mut writer.connection, &live));
        }
        let mut live = shared.live.write().unwrap_or_else(PoisonError::into_inner);
        live.unsaved = (0, 0);
        match saved {
            Ok(()) => folded::forget_old_days(&mut live),
            // Nothing is lost: the next start folds more reports again.
            Err(error) => tracing::warn!(%error, "the folded state could not be saved"),
        }
    }
}

/// Saves the folded state in a transaction of its own.
fn save(connection: &mut Connection, live: &Live) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    folded::save(&transaction, live)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewReport, RunMeta, Store, StoreOptions};
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn the_state_is_saved_while_somebody_reads_it() {
        let store = Store::in_memory(StoreOptions::default()).unwrap();
        let report = crate::reports::read(b"<testsuite><testcase name='a'/></testsuite>", &Default::default()).unwrap();
        let new = NewReport {
            project: "shop".into(),
            meta: RunMeta::default(),
            report,
            sha256: [1; 32],
            bytes: 1,
            idempotency_key: None,
            received_at: 1_000_000,
            token: None,
        };
        store.ingest(new).await.unwrap();
        let connection = store.parts.shared.place.open_reader().unwrap();
        let reading = store.parts.shared.live.read().unwrap();
        let (done, _closed) = tokio::sync::oneshot::channel();
        assert!(store.parts.messages.try_send(Message::Close(done)).is_ok());
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_saved = || connection.query_row("SELECT count(*) FROM folded", [], |row| row.get::<_, i64>(0));
        while is_saved().unwrap_or(0) == 0 {
            assert!(Instant::now() < deadline, "it waits for the reader");
            std::thread::yield_now();
        }
        drop(reading);
    }
}
