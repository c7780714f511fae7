//! The reports of one push, stored together or not at all.

use super::error::StoreError;
use super::ingest::{Prepared, Storing};
use super::live::Live;
use super::model::Receipt;
use super::writer::{Applying, Work};
use rusqlite::Connection;
use tokio::sync::oneshot::Sender;

/// The reports of one push.
pub(super) struct ReportsWork {
    all: Vec<Storing>,
    answer: Sender<Result<Vec<Receipt>, StoreError>>,
}

impl ReportsWork {
    pub(super) fn new(prepared: Vec<Prepared>, answer: Sender<Result<Vec<Receipt>, StoreError>>) -> Self {
        Self { all: prepared.into_iter().map(Storing::new).collect(), answer }
    }
}

impl Work for ReportsWork {
    fn rows(&self) -> usize {
        self.all.iter().map(|one| one.prepared.rows()).sum()
    }

    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        for one in &mut self.all {
            one.look(applying)?;
        }
        if self.all.iter().any(|one| matches!(one.outcome, Some(Err(_)))) {
            // The key was used for another push: nothing of this one is stored.
            for one in &self.all {
                one.prepared.count(applying, "conflict");
            }
            return Ok(());
        }
        for (number, one) in self.all.iter_mut().enumerate() {
            if number > 0 {
                // One of the files before may be the same.
                one.look(applying)?;
            }
            one.store(applying)?;
        }
        Ok(())
    }

    fn fold(&mut self, connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
        self.all.iter_mut().try_for_each(|one| one.fold(connection, live))
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { all, answer } = *self;
        let mut receipts = Vec::with_capacity(all.len());
        let mut refusal = None;
        for one in all {
            match one.outcome {
                Some(Ok(receipt)) => receipts.push(receipt),
                Some(Err(error)) => refusal = refusal.or(Some(error)),
                None => refusal = refusal.or(Some(StoreError::Closed)),
            }
        }
        let outcome = refusal.map_or(Ok(receipts), Err);
        // The caller may have gone; the reports are stored all the same.
        let _ = answer.send(result.and(outcome));
    }
}
